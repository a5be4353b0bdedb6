"""The service on loopback, asked by Triton's client and by hand."""

import base64
import json
import logging
import re
import socket
import sys
import threading
import time

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from prometheus_client.parser import text_string_to_metric_families
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn
from tritonclient.utils import InferenceServerException

from ricsk import PixelEncryptor, PretrainedClassifier, SecretKey
from ricsk.cloud import CloudHalf, Limits, create_app
from ricsk.cloud._served import ServedModel
from ricsk.cloud._worker import Worker
from ricsk.exceptions import CloudHalfError
from tests.cloud.serving import LINEAR, NETWORK, TEXTS, X, encode_png, running
from tests.pretrained.networks import make_network


class Broken(LogisticRegression):
    """A classifier that computes nonsense from large values."""

    def predict_proba(self, X):
        return super().predict_proba(X) * np.where(X.max() > 1e9, np.nan, 1)


MODELS = {
    "network": CloudHalf(NETWORK),
    "linear": LINEAR,
    "broken": Broken().fit(X.reshape(12, -1), TEXTS),
    "margins": LinearSVC().fit(X.reshape(12, -1), TEXTS),
    "open": PretrainedClassifier(make_network(), size=8),
    "linearless": PretrainedClassifier(nn.Sequential(nn.Conv2d(3, 3, 8), nn.Flatten()), size=8),
    "unsized": PretrainedClassifier(make_network(), classes=list("abcd")),
}


@pytest.fixture(scope="module")
def url():
    limits = Limits(max_bytes=2**20, max_json_bytes=2**17, max_images=16, max_values=2**15)
    with running(create_app(MODELS, limits=limits)) as url:
        yield url


@pytest.fixture
def client(url):
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        yield client


def make_input(values, datatype="UINT8", binary=True):
    tensor = triton.InferInput("images", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def make_message(values=X, **changes):
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(values.shape)}
    return {"inputs": [{**tensor, "data": values.ravel().tolist(), **changes}]}


def ask(url, content, model="network", **headers):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{url}/v2/models/{model}/infer", content=content, headers=headers)


def read_output(answer, name):
    assert answer.status_code == 200, answer.text
    (found,) = [one for one in answer.json()["outputs"] if one["name"] == name]
    return np.array(found["data"]).reshape(found["shape"])


def test_a_client_of_triton_finds_its_way(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("network")
    assert client.is_model_ready("network", model_version="1")
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("network", model_version="2")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("network")
    assert metadata["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]},
    ]
    labels, *others = metadata["outputs"]
    assert json.loads(labels.pop("parameters")["classes"]) == ["cat", "dög", "fox"]
    assert [labels, *others] == [
        {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "features", "datatype": "FP32", "shape": [-1, 4]},
    ]


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_a_client_of_triton_gets_the_answers(client, binary_in, binary_out):
    names = ("labels", "probabilities", "features")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    inputs = [make_input(X, binary=binary_in)]
    found = client.infer("network", inputs, outputs=outputs, request_id="a1", model_version="1")
    assert found.get_response()["id"] == "a1"
    labels = [
        label if isinstance(label, str) else label.decode() for label in found.as_numpy("labels")
    ]
    assert labels == NETWORK.predict(X).tolist()
    expected = NETWORK.predict_proba(X), NETWORK.features(X)
    for name, values in zip(names[1:], expected, strict=True):
        np.testing.assert_allclose(found.as_numpy(name), values, rtol=1e-5, atol=1e-6)


def test_a_client_of_triton_sends_png_files(client):
    files = np.array([encode_png(image) for image in X], object)
    found = client.infer("network", [make_input(files, "BYTES")])
    labels = [label.decode() for label in found.as_numpy("labels")]
    assert labels == NETWORK.predict(X).tolist()


def test_a_client_of_triton_is_told_what_is_wrong(client):
    with pytest.raises(InferenceServerException, match=r"network expects \[n, 8, 8, 3\]"):
        client.infer("network", [make_input(X[:, :4])])


def test_outputs_are_those_that_were_asked_for(url):
    message = make_message() | {"outputs": [{"name": "features"}]}
    (output,) = ask(url, message).json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("features", "FP32", [12, 4])
    names = [output["name"] for output in ask(url, make_message()).json()["outputs"]]
    assert names == ["labels", "probabilities", "features"]
    for model, expected in {
        "margins": ["labels"],
        "linear": ["labels", "probabilities"],
        "linearless": ["labels", "probabilities"],
        "open": ["labels", "probabilities", "features"],
    }.items():
        answer = ask(url, make_message(), model).json()
        assert [output["name"] for output in answer["outputs"]] == expected
        metadata = httpx.get(f"{url}/v2/models/{model}").json()
        assert [output["name"] for output in metadata["outputs"]] == expected


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        (X.reshape(12, -1), "UINT8"),
        (X.astype(int), "INT64"),
        (X / 255, "FP64"),
        (X / np.float32(255), "FP32"),
        (X / np.float16(255), "FP16"),
    ],
    ids=["flat", "INT64", "FP64", "FP32", "FP16"],
)
def test_images_come_in_many_forms(url, values, datatype):
    found = read_output(ask(url, make_message(values, datatype=datatype)), "probabilities")
    np.testing.assert_allclose(found, NETWORK.predict_proba(X), atol=2e-3)


def test_flat_classifiers_take_images(url):
    for values in (X / 255, X.reshape(12, -1) / 255):
        found = read_output(ask(url, make_message(values, datatype="FP64"), "linear"), "labels")
        np.testing.assert_array_equal(found, LINEAR.predict(X.reshape(12, -1) / 255))


def test_files_in_json_are_in_base64(url):
    data = [base64.b64encode(encode_png(image)).decode() for image in X]
    answer = ask(url, make_message(datatype="BYTES", shape=[12], data=data))
    assert read_output(answer, "labels").tolist() == NETWORK.predict(X).tolist()


def test_networks_that_resize_take_any_size(url):
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    expected = MODELS["open"].predict_proba(images)
    np.testing.assert_allclose(
        read_output(ask(url, make_message(images), "open"), "probabilities"),
        expected,
        rtol=1e-5,
        atol=1e-6,
    )
    data = [base64.b64encode(encode_png(image)).decode() for image in images]
    answer = ask(url, make_message(datatype="BYTES", shape=[2], data=data), "open")
    np.testing.assert_allclose(read_output(answer, "probabilities"), expected, rtol=1e-5, atol=1e-6)


FILES = {
    "small": encode_png(X[0, :4]),
    "right": encode_png(X[0]),
    "grey": encode_png(X[0, ..., 0]),
    "wide": encode_png(np.zeros((200, 200, 3), np.uint8)),
}


def make_files(*files):
    data = [base64.b64encode(file).decode() for file in files]
    return make_message(datatype="BYTES", shape=[len(files)], data=data)


@pytest.mark.parametrize(
    ("content", "model", "status", "words"),
    [
        (b"", "network", 400, "not JSON"),
        (make_message(), "nothing", 404, "no model of this name. .* network, linear"),
        (make_message(name="pictures"), "network", 400, "one input, which is called 'images'"),
        ({"inputs": make_message()["inputs"] * 2}, "network", 400, "one input"),
        (make_message(X[:0]), "network", 400, "takes 1 to 16"),
        (make_message(X[:, :1].repeat(2, axis=0)), "network", 413, "takes 1 to 16"),
        (make_message(X[:, :4]), "network", 400, r"expects \[n, 8, 8, 3\]"),
        (make_message(X[:, :, 0, 0]), "open", 400, r"expects \[n, height, width, channels\]"),
        (make_message(X[:, :2, :2]), "unsized", 400, "cannot read images of the shape"),
        (make_message(X[:, :4]), "linear", 400, r"expects \[n, 192\]"),
        (make_message(X > 3, datatype="BOOL"), "network", 400, "BOOL"),
        (make_message(X.astype(int) - 300, datatype="INT64"), "network", 400, "8-bit values"),
        (make_message(X + 0.5, datatype="FP32"), "network", 400, "outside of the range"),
        (make_message(X * 1e9, datatype="FP64"), "broken", 400, "probabilities .* are not finite"),
        (make_message() | {"outputs": [{"name": "logits"}]}, "network", 400, "outputs of network"),
        (make_message() | {"outputs": [{"name": "labels"}] * 2}, "network", 400, "at most once"),
        (make_message() | {"outputs": "labels"}, "network", 400, "not a list"),
        (make_message() | {"outputs": [{"name": []}]}, "network", 400, "outputs of network"),
        (make_message() | {"id": 3}, "network", 400, "id is not a text"),
        (make_message() | {"parameters": []}, "network", 400, "parameters is not an object"),
        (
            make_message() | {"parameters": {"binary_data_output": 1}},
            "network",
            400,
            "neither true nor false",
        ),
        (
            make_message() | {"outputs": [{"name": "labels", "parameters": {"classification": 2}}]},
            "network",
            400,
            "classification is not known",
        ),
        (make_files(FILES["small"]), "network", 400, r"images\[0\] has 4×8 pixels; expected 8×8"),
        (make_files(FILES["right"], FILES["small"]), "open", 400, r"images\[1\] has 4×8"),
        (make_files(FILES["right"], FILES["grey"]), "open", 400, "some of the images are grey"),
        (make_files(FILES["grey"]), "network", 400, "expects"),
        (make_files(FILES["wide"]), "open", 413, "decodes 32768 values"),
        (make_files(FILES["right"][:60]), "network", 400, r"cannot read the image images\[0\]"),
        (make_files(b"GIF89a"), "network", 400, "not a file of the format PNG"),
        (make_message(datatype="BYTES", shape=[1], data=["%"]), "network", 400, "base64"),
        (
            make_message(datatype="BYTES", shape=[1, 2], data=["", ""]),
            "network",
            400,
            r"have \[n\]",
        ),
        (b" " * 2**18, "network", 413, "JSON has 262144 bytes"),
        (b" " * (2**20 + 1), "network", 413, "larger than 1048576 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_in_words(url, content, model, status, words):
    answer = ask(url, content, model)
    (error,) = answer.json().values()
    assert answer.status_code == status, error
    assert list(answer.json()) == ["error"]
    assert re.search(words, error), error


def test_a_body_without_a_length_is_limited_as_well(url):
    parts = (b" " * 2**16 for _ in range(64))
    answer = httpx.post(f"{url}/v2/models/network/infer", content=parts)
    assert answer.status_code == 413
    assert "larger than 1048576 bytes" in answer.json()["error"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(client, value):
    images = np.full((1, 8, 8, 3), value, np.float32)
    for model in ("network", "linear", "open"):
        with pytest.raises(
            InferenceServerException, match="images hold values that are not finite"
        ):
            client.infer(model, [make_input(images, "FP32")])


def talk(url, *parts):
    """Open a connection, and send what makes the beginning of a request."""
    connection = socket.create_connection(url.removeprefix("http://").split(":"))
    for part in parts:
        connection.sendall(part)
    return connection


START_OF_REQUEST = b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"


def test_a_body_that_does_not_come_is_given_up():
    with running(make_slow_app(read_timeout=0.1)) as url, talk(url, START_OF_REQUEST) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_clients_that_go_away_leave_nothing():
    with running(make_slow_app(max_pending=1)) as url:
        with talk(url, START_OF_REQUEST):
            wait_for_pending(url, 1)
        wait_for_pending(url, 0)
        assert ask(url, ONE, "slow").status_code == 200


def test_null_is_nothing(url):
    tensor = make_message()["inputs"][0] | {"parameters": None}
    message = {"inputs": [tensor], "id": None, "outputs": None, "parameters": None}
    answer = ask(url, message)
    assert read_output(answer, "labels").tolist() == NETWORK.predict(X).tolist()
    assert "id" not in answer.json()


def test_compressed_requests_are_refused(url):
    assert ask(url, b"", **{"Content-Encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/v2"), ("GET", "/v2/others")])
def test_other_paths_and_methods_are_refused_in_json(url, method, path):
    answer = httpx.request(method, url + path)
    assert answer.status_code in (404, 405)
    assert list(answer.json()) == ["error"]


class Slow(LogisticRegression):
    """A classifier that waits for a sign, and has not been written well."""

    def predict(self, X):
        START.set()
        assert GO.wait(10)
        if (X == 0.25).any():
            raise RuntimeError(f"the secret values are {X}")
        return super().predict(X)


START, GO = threading.Event(), threading.Event()
SLOW = Slow().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
ONE = make_message(np.ones((1, 2)), datatype="FP64") | {"outputs": [{"name": "labels"}]}


@pytest.fixture
def sign():
    """Have the slow classifier wait from now on."""
    GO.clear()
    START.clear()
    yield
    GO.set()


def make_slow_app(**limits):
    GO.set()  # the service tries its models
    return create_app({"slow": SLOW}, limits=Limits(**limits))


def ask_in_threads(url, messages):
    answers = [None] * len(messages)

    def run(i):
        answers[i] = ask(url, messages[i], "slow")

    threads = [threading.Thread(target=run, args=[i]) for i in range(len(messages))]
    for thread in threads:
        thread.start()
    return threads, answers


def test_a_busy_service_says_so(sign):
    app = make_slow_app(max_pending=1)
    with running(app) as url:
        GO.clear()
        START.clear()
        (thread,), answers = ask_in_threads(url, [ONE])
        assert START.wait(10)
        refused = ask(url, ONE, "slow")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200  # it still stands
        GO.set()
        thread.join()
        assert answers[0].status_code == 200
        assert ask(url, ONE, "slow").status_code == 200


def test_what_was_given_up_takes_no_memory(sign):
    GO.set()
    worker = Worker(ServedModel("slow", SLOW, Limits()), lambda n: None)
    GO.clear()
    START.clear()
    first = worker.submit(json.dumps(ONE).encode(), None)
    assert START.wait(10)
    body = bytes(2**20)
    second = worker.submit(body, None)
    before = sys.getrefcount(body)
    assert second.cancel()
    assert sys.getrefcount(body) < before
    GO.set()
    assert first.result(10).n_images == 1
    assert worker.is_alive
    worker.close(10)
    assert not worker.is_alive


def test_an_answer_that_takes_too_long_is_given_up(sign):
    with running(make_slow_app(timeout=0.05)) as url:
        GO.clear()
        answer = ask(url, ONE, "slow")
        assert answer.status_code == 503
        assert "0.05 seconds" in answer.json()["error"]
        GO.set()


def ask_together(url, messages):
    """Have messages wait behind a first one, until all of them are there."""
    GO.clear()
    START.clear()
    first, answers = ask_in_threads(url, [ONE])
    assert START.wait(10)
    others, more = ask_in_threads(url, messages)
    wait_for_pending(url, 1 + len(messages))
    GO.set()
    for thread in first + others:
        thread.join()
    assert answers[0].status_code == 200
    return more


LABELS = {"outputs": [{"name": "labels"}]}
ZEROS = make_message(np.zeros((2, 2)), datatype="FP64") | LABELS
BAD = make_message(np.full((1, 2), 0.25), datatype="FP64") | LABELS


def test_what_waits_is_computed_together(sign):
    with running(make_slow_app()) as url:
        answers = ask_together(url, [ZEROS, ONE, ZEROS])
        found = [read_output(answer, "labels").tolist() for answer in answers]
        assert found == [[0, 0], [1], [0, 0]]
        metrics = read_metrics(url)
    assert metrics["ricsk_batch_images_count", ("model", "slow")] == 2
    assert metrics["ricsk_batch_images_sum", ("model", "slow")] == 6


def test_batches_are_no_larger_than_a_request_may_be(sign):
    with running(make_slow_app(max_images=3)) as url:
        answers = ask_together(url, [ZEROS, ZEROS])
        assert [answer.status_code for answer in answers] == [200, 200]
        assert read_metrics(url)["ricsk_batch_images_count", ("model", "slow")] == 3


def test_one_fault_spoils_no_other_request(sign):
    with running(make_slow_app()) as url:
        answers = ask_together(url, [ZEROS, ONE, BAD])
    assert [answer.status_code for answer in answers] == [200, 200, 500]
    assert [read_output(answer, "labels").tolist() for answer in answers[:2]] == [[0, 0], [1]]


def read_metrics(url):
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def wait_for_pending(url, n):
    for _ in range(500):
        if read_metrics(url)["ricsk_pending_requests", ("model", "slow")] == n:
            time.sleep(0.05)  # their bodies arrive
            return
        time.sleep(0.01)
    raise AssertionError(f"{n} requests did not arrive")


def test_stopping_waits_for_what_has_begun(sign):
    with running(make_slow_app()) as url:
        GO.clear()
        START.clear()
        (thread,), answers = ask_in_threads(url, [ONE])
        assert START.wait(10)
        threading.Timer(0.1, GO.set).start()
    thread.join()
    assert answers[0].status_code == 200
    assert "ricsk-slow" not in [thread.name for thread in threading.enumerate()]


def test_logs_and_answers_hold_nothing_of_an_image(caplog, sign):
    bad = make_message(np.full((1, 2), 0.25), datatype="FP64")
    with caplog.at_level(logging.DEBUG, "ricsk.cloud"), running(make_slow_app()) as url:
        answer = ask(url, bad, "slow")
        assert httpx.get(f"{url}/v2/models/a-secret").status_code == 404
    assert answer.status_code == 500
    assert answer.json() == {"error": "an error of the service."}
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    written = repr([(record.getMessage(), record.exc_info) for record in caplog.records]) + repr(
        fields
    )
    assert "0.25" not in written
    assert "secret" not in written
    assert "RuntimeError" in written
    assert {"endpoint": "infer", "model": "slow", "status": 500} in [
        {name: entry.get(name) for name in ("endpoint", "model", "status")} for entry in fields
    ]


def test_metrics_count(url):
    def count():
        found = read_metrics(url)
        labels = ("endpoint", "infer"), ("model", "network"), ("status", "200")
        images = found.get(("ricsk_images_total", ("model", "network")), 0)
        return found.get(("ricsk_requests_total", *labels), 0), images

    before = count()
    ask(url, make_message())
    assert np.subtract(count(), before).tolist() == [1, 12]


def test_names_from_outside_are_no_labels_of_metrics(url):
    httpx.get(f"{url}/v2/models/stranger")
    assert "stranger" not in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a\n", 3])
def test_names_that_are_no_part_of_a_path_are_refused(name):
    with pytest.raises(ValueError, match="cannot be the name of a model"):
        create_app({name: LINEAR})


def test_what_cannot_be_served_is_refused():
    with pytest.raises(ValueError, match="models is empty"):
        create_app({})
    with pytest.raises(NotFittedError):
        create_app({"a": LogisticRegression()})
    with pytest.raises(TypeError, match="the model a is a LinearRegression, which has no classes_"):
        create_app({"a": LinearRegression().fit([[0.0], [1.0]], [0, 1])})
    encryptor = PixelEncryptor(SecretKey.generate())
    private = make_pipeline(encryptor, LogisticRegression()).fit(X.reshape(12, -1), TEXTS)
    with pytest.raises(CloudHalfError, match="there is a PixelEncryptor"):
        create_app({"a": private})
    with pytest.raises(ValueError, match="max_images=0"):
        Limits(max_images=0)
