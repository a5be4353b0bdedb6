"""`RemoteClassifier` against the service, and against services that answer otherwise."""

import copy
import gc
import json
import pickle
import socket
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ricsk import CNNClassifier, EtCEncryptor, RICEncryptor, SealedEncryptor, SecretKey
from ricsk._frozen import is_frozen
from ricsk.cloud import Limits, RemoteClassifier, _connection, create_app
from ricsk.cloud._protocol import Tensor, encode_message
from ricsk.exceptions import ServiceError, ServiceUnreachableError
from tests.cloud.serving import LINEAR, NETWORK, TEXTS, X, running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Pauses between attempts, which are not made."""
    found = []
    monkeypatch.setattr(_connection, "sleep", found.append)
    return found


@pytest.fixture(scope="module")
def url():
    models = {"network": NETWORK, "linear": LINEAR}
    with running(create_app(models, limits=Limits(max_images=5, max_bytes=2**16))) as url:
        yield url


@pytest.fixture
def make():
    """Make classifiers whose connections are closed in the end."""
    made = []

    def make_one(url, name="network", **params):
        made.append(RemoteClassifier(url, name, **{"batch_size": 5, **params}))
        return made[-1]

    yield make_one
    for one in made:
        one.close()


@pytest.mark.parametrize("n_connections", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_it_answers_as_the_model_does(url, make, batch_size, n_connections):
    remote = make(url, batch_size=batch_size, n_connections=n_connections)
    assert remote.classes_.tolist() == ["cat", "dög", "fox"]
    np.testing.assert_array_equal(remote.predict(X), NETWORK.predict(X))
    np.testing.assert_allclose(
        remote.predict_proba(X), NETWORK.predict_proba(X), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(remote.features(X), NETWORK.features(X), rtol=1e-5, atol=1e-6)
    assert remote.score(X, NETWORK.predict(X)) == 1


@pytest.mark.parametrize(
    "form",
    [
        lambda X: X.reshape(12, -1),
        list,
        lambda X: X / 255,
        lambda X: pd.DataFrame(X.reshape(12, -1)),
    ],
    ids=["flat", "list", "floats", "table"],
)
def test_images_come_in_any_form(url, make, form):
    np.testing.assert_array_equal(make(url).predict(form(X)), NETWORK.predict(X))


def test_labels_keep_their_type(url, make):
    remote = make(url, "linear")
    found = remote.predict(X / 255)
    assert (found.dtype, remote.classes_.dtype) == (np.dtype(int), np.dtype(int))
    np.testing.assert_array_equal(found, LINEAR.predict(X.reshape(12, -1) / 255))
    renamed = make(url, classes=["fox", "cat", "dög"])
    np.testing.assert_array_equal(renamed.predict(X), NETWORK.predict(X))


def test_many_labels_are_no_key(url, make):
    assert make(url, classes=[f"class {i}" for i in range(100)]).classes_.shape == (100,)
    with pytest.raises(TypeError, match="may be a key"):
        make(url, classes=list(range(32)))


def test_it_stands_behind_an_encryptor(make):
    encryptor = EtCEncryptor(SecretKey(bytes(range(32))), block_size=4)
    C = encryptor.fit_transform(X)
    classifier = CNNClassifier(width=4, depth=1, epochs=1, random_state=0).fit(C, TEXTS)
    with running(create_app({"half": classifier})) as url:
        pipeline = Pipeline([("enc", encryptor), ("clf", make(url, "half"))]).fit(X, TEXTS)
        np.testing.assert_array_equal(pipeline.predict(X), classifier.predict(C))
        assert pipeline.score(X, classifier.predict(C)) == 1
        assert pipeline.classes_.tolist() == ["cat", "dög", "fox"]


def test_it_is_fitted_for_good_and_connects_when_it_is_used():
    remote = RemoteClassifier("http://127.0.0.1:9", "nobody")
    assert is_frozen(remote)
    assert remote.fit(X, TEXTS) is remote
    assert clone(make_pipeline(remote))[-1] is remote


def test_copies_hold_no_connection(url, make):
    remote = make(url)
    remote.predict(X)
    for again in (pickle.loads(pickle.dumps(remote)), copy.deepcopy(remote)):
        assert set(vars(again)) == set(remote.get_params())
        np.testing.assert_array_equal(again.predict(X), NETWORK.predict(X))
        again.close()


def test_connections_are_closed_with_their_owner(url):
    remote = RemoteClassifier(url, "network", batch_size=5)
    remote.predict(X)
    client = remote._connection._client
    assert not client.is_closed
    del remote
    gc.collect()
    assert client.is_closed


def test_forked_processes_share_no_connection(url, make, monkeypatch):
    remote = make(url)
    remote.predict(X)
    before = remote._connection
    monkeypatch.setattr(_connection.os, "getpid", lambda: -1)
    assert remote._connection is not before
    np.testing.assert_array_equal(remote.predict(X), NETWORK.predict(X))
    before.close()


def test_parameters_act_at_once(url, make):
    remote = make(url)
    remote.predict(X)
    assert remote.set_params(name="linear").classes_.tolist() == [0, 1]
    with running(create_app({"linear": NETWORK})) as other:
        assert remote.set_params(url=other).classes_.tolist() == ["cat", "dög", "fox"]
    remote.set_params(url=url)
    remote.close()
    assert remote.predict(X / 255).shape == (12,)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"url": "127.0.0.1:8080"}, "not an address"),
        ({"url": "ftp://a"}, "not an address"),
        ({"url": "http://a:99999"}, "not an address"),
        ({"url": "http://me:word@a"}, "a user, a query or a fragment"),
        ({"url": "http://a/?token=word"}, "a user, a query or a fragment"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_connections": 0}, "n_connections"),
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"classes": ["a", "a"]}, "all different"),
    ],
    ids=str,
)
def test_parameters_are_checked(params, words):
    remote = RemoteClassifier(**{"url": "http://127.0.0.1:9", "name": "a", **params})
    with pytest.raises(ValueError, match=words) as caught:
        remote.predict(X)
    assert "word" not in str(caught.value)


def test_without_httpx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"'ricsk\[remote\]'"):
        RemoteClassifier("http://127.0.0.1:9", "a").predict(X)


def test_what_is_no_batch_is_not_sent(url, make):
    remote = make(url)
    for wrong in (X[0, 0, 0], X[:0]):
        with pytest.raises(ValueError, match="expected a batch"):
            remote.predict(wrong)
    with pytest.raises(TypeError, match="expected numbers"):
        remote.predict(X > 3)
    with pytest.raises(ValueError, match=r"images of the shape \(4, 8, 3\), but network takes"):
        remote.predict(X[:, :4])


def test_a_wrong_model_is_named(url, make):
    with pytest.raises(ServiceError, match=r"status 404: there is no model of this name.*linear"):
        make(url, "another").predict(X)


def test_what_the_service_refuses_is_told_in_its_words(url, make, pauses):
    with pytest.raises(ServiceError, match="status 413: the request has 12 images"):
        make(url, batch_size=12).predict(X)
    with pytest.raises(ServiceError, match="status 413: the request is larger than 65536 bytes"):
        make(url, batch_size=10**5).predict(np.repeat(X, 2000, axis=0))
    with pytest.raises(ServiceError, match=r"status 400: .* outside of the range"):
        make(url).predict(X + 0.5)
    assert not pauses


def test_nobody_there(make, pauses):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ServiceUnreachableError, match=f"{port} cannot be reached.* Tried 3 times"):
        make(f"http://127.0.0.1:{port}", retries=2).predict(X)
    assert len(pauses) == 2
    assert pauses[0] < pauses[1] < 0.31


def test_a_service_that_is_silent_is_given_up(make, pauses):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        remote = make(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.1)
        with pytest.raises(ServiceUnreachableError, match="did not answer in time"):
            remote.predict(X)
    assert not pauses


METADATA = {
    "name": "fake",
    "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}],
    "outputs": [
        {"name": "labels", "parameters": {"classes": '["cat", "dog"]'}},
        {"name": "probabilities"},
    ],
}


def make_fake(*answers, metadata=METADATA):
    """Make a service that gives these answers, one after the other: bodies, or responses."""
    left = list(answers)

    def describe(request):
        return Response(json.dumps(metadata), media_type="application/json")

    async def infer(request):
        await request.body()
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Response):
            return answer
        body, length = answer
        headers = {} if length is None else {"Inference-Header-Content-Length": length}
        return Response(body, headers=headers)

    path = "/v2/models/fake"
    return Starlette(
        routes=[Route(path, describe), Route(f"{path}/infer", infer, methods=["POST"])]
    )


def encode(name, values, binary=True):
    values = np.asarray(values)
    if values.dtype.kind == "U":
        values = np.array([text.encode() for text in values], object)
    names = {"O": "BYTES", "f": f"FP{8 * values.itemsize}", "i": f"INT{8 * values.itemsize}"}
    tensor = Tensor(name, names[values.dtype.kind], values)
    return encode_message({}, "outputs", [tensor], lambda _: binary)


RIGHT = encode("labels", ["cat", "dog"])


def test_a_busy_service_is_asked_again(make, pauses):
    busy = [Response(status_code=429), Response(status_code=503, headers={"Retry-After": "7"})]
    with running(make_fake(*busy, RIGHT)) as url:
        assert make(url, "fake").predict(X[:2]).tolist() == ["cat", "dog"]
    first, second = pauses
    assert 0.1 <= first <= 0.15
    assert 7 <= second <= 10.5


def test_a_service_that_stays_busy_is_given_up(make, pauses):
    busy = Response('{"error": "come again"}', 503, headers={"Retry-After": "99999999"})
    with (
        running(make_fake(busy)) as url,
        pytest.raises(ServiceUnreachableError, match=r"status 503: come again\. Tried 5 times"),
    ):
        make(url, "fake").predict(X[:2])
    assert max(pauses) <= 45


def test_json_is_understood_as_well(make):
    with running(make_fake(encode("labels", ["cat", "dog"], binary=False))) as url:
        assert make(url, "fake").predict(X[:2]).tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("predict", (b"<html>", None), "did not answer as the Open Inference Protocol says"),
        ("predict", (b"{}", None), "did not answer as the Open Inference Protocol says"),
        ("predict", (RIGHT[0], "99999"), "did not answer as the Open Inference Protocol says"),
        ("predict", (RIGHT[0][:-1], RIGHT[1]), "did not answer as"),
        ("predict", encode("labels", ["cat"]), "answered 1 labels for 2 images"),
        ("predict", encode("labels", ["cat", "cow"]), "not among its classes"),
        ("predict", encode("labels", [0, 1]), "not among its classes"),
        ("predict", encode("labels", np.zeros((2, 2))), r"labels of the shape \(2, 2\)"),
        ("predict", encode("text", ["cat", "dog"]), "did not answer with labels"),
        ("predict", encode("labels", np.array([b"\xff", b""], object)), "labels that are not text"),
        ("predict", Response("no", 404), "status 404, and not as the Open Inference Protocol"),
        ("predict", Response("", 302, {"Location": "http://a"}), "status 302"),
        ("predict", Response('{"error": "a\\u001bb"}', 500), "status 500: a b$"),
        ("predict", Response("", 200, {"Content-Encoding": "gzip"}), "answered compressed"),
        ("predict", Response(b" " * 2**20), "larger than 3072 bytes"),
        ("predict_proba", encode("probabilities", [[0.5, 0.5, 0], [1, 0, 0]]), "one for each of 2"),
        ("predict_proba", encode("probabilities", [[0.5, 0.6], [1, 0.0]]), "no probabilities"),
        ("predict_proba", encode("probabilities", [[-1.0, 2.0], [1, 0]]), "no probabilities"),
        ("predict_proba", encode("probabilities", [[np.nan, 2.0], [1, 0]]), "not finite numbers"),
        ("predict_proba", encode("probabilities", ["a", "b"]), "not finite numbers"),
        ("features", encode("features", [1.0, 2.0]), r"features of the shape \(2,\)"),
    ],
)
def test_answers_that_do_not_fit_are_refused(make, monkeypatch, pauses, method, answer, words):
    monkeypatch.setattr(_connection, "MAX_ANSWER_BYTES", 2**10)
    with running(make_fake(answer)) as url, pytest.raises(ServiceError, match=words):
        getattr(make(url, "fake"), method)(X[:2])
    assert not pauses


def test_features_of_several_lengths_are_refused(make):
    answers = [encode("features", np.zeros((1, n))) for n in (2, 3)]
    with running(make_fake(*answers)) as url, pytest.raises(ServiceError, match="several shapes"):
        make(url, "fake", batch_size=1).features(X[:2])


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ([], "did not answer as"),
        ({}, "not a classifier of images"),
        ({**METADATA, "inputs": METADATA["inputs"] * 2}, "not a classifier of images"),
        ({**METADATA, "inputs": [{"name": "x", "shape": [-1, 3]}]}, "not called images"),
        ({**METADATA, "inputs": [{"name": "images", "shape": []}]}, "not called images"),
        ({**METADATA, "outputs": [{"name": "scores"}]}, "not a classifier of images"),
        ({**METADATA, "outputs": [{"name": "labels"}]}, "does not say the labels"),
        (
            {**METADATA, "outputs": [{"name": "labels", "parameters": {"classes": "["}}]},
            "not a classifier of images",
        ),
        (
            {**METADATA, "outputs": [{"name": "labels", "parameters": {"classes": "[[1]]"}}]},
            "not a list of labels",
        ),
    ],
    ids=str,
)
def test_models_of_another_kind_are_refused(make, metadata, words):
    with (
        running(make_fake(RIGHT, metadata=metadata)) as url,
        pytest.raises(ServiceError, match=words),
    ):
        make(url, "fake").predict(X[:2])


def test_an_answer_that_never_ends_is_given_up(make, monkeypatch):
    times = iter(np.arange(1000) * 30.0)
    monkeypatch.setattr(_connection, "monotonic", lambda: next(times))
    with running(make_fake(RIGHT)) as url, pytest.raises(ServiceUnreachableError, match="in time"):
        make(url, "fake", timeout=20).predict(X[:2])


def test_no_more_connections_than_asked_for(make):
    busy, most, lock = 0, 0, threading.Lock()

    def infer(request):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        threading.Event().wait(0.02)
        with lock:
            busy -= 1
        body, length = encode("labels", ["cat"])
        return Response(body, headers={"Inference-Header-Content-Length": length})

    def describe(request):
        return Response(json.dumps(METADATA))

    path = "/v2/models/fake"
    routes = [Route(path, describe), Route(f"{path}/infer", infer, methods=["POST"])]
    with running(Starlette(routes=routes)) as url:
        make(url, "fake", batch_size=1, n_connections=2).predict(X)
    assert most == 2


@pytest.mark.parametrize("kind", [RICEncryptor, SealedEncryptor])
@pytest.mark.parametrize("wrap", [lambda remote: remote, FrozenEstimator], ids=["bare", "frozen"])
def test_an_encryptor_does_not_show_it_plain_images(kind, wrap, make, url, monkeypatch):
    remote = make(url)
    monkeypatch.setattr(RemoteClassifier, "predict", lambda *_: pytest.fail("was asked"))
    with pytest.raises(TypeError, match="asks about plain images"):
        kind(SecretKey(bytes(32)), wrap(remote)).fit(np.zeros_like(X))
