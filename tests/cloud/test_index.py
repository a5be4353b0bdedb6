"""An index behind the service: asked and changed by `RemoteIndex`, by hand, by Triton's client."""

import base64
import json

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from ricsk import EtCEncryptor, SecretKey
from ricsk.cloud import Limits, RemoteIndex, create_app
from ricsk.codecs import read_image
from ricsk.exceptions import CloudHalfError, ServiceError
from ricsk.search import ImageIndex
from tests.cloud.serving import LINEAR, NETWORK, X, encode_png, running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def index():
    with ImageIndex(NETWORK) as index:
        index.add(X[:9])
        yield index


@pytest.fixture
def url(index):
    limits = Limits(max_images=16, max_bytes=2**16)
    with running(create_app({"photos": index, "a": LINEAR}, limits=limits, writable=True)) as url:
        yield url


@pytest.fixture
def remote(url):
    with RemoteIndex(url, "photos", batch_size=4, retries=0) as remote:
        yield remote


def check_same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.distances, expected.distances, atol=1e-6)
    np.testing.assert_array_equal(found.images, expected.images)


def test_the_remote_index_answers_as_the_index(remote, index):
    assert len(remote) == 9
    check_same(remote.query(X, k=3), index.query(X, k=3))
    check_same(remote.query_features(NETWORK.features(X), k=20), index.query(X, k=20))


def test_the_remote_index_changes_the_index(remote, index):
    assert remote.add(X, range(12)).tolist() == list(range(12))
    assert remote.add(X, range(12)).tolist() == list(range(12))
    assert len(remote) == len(index) == 12
    np.testing.assert_array_equal(index.query(X, k=1).images, X[:, np.newaxis])
    assert remote.remove([0, 2, 99]) == 2
    assert remote.remove([]) == 0
    assert len(index) == 10
    with pytest.raises(ServiceError, match="the id 1 is there with another image"):
        remote.add(X[2:3], [1])
    with pytest.raises(ServiceError, match="all whole numbers, or all texts"):
        remote.add(X[2:3], ["b"])
    with pytest.raises(TypeError, match="ids are missing"):
        remote.add(X[2:3])
    with pytest.raises(ValueError, match="1 images and 2 ids"):
        remote.add(X[2:3], [1, 2])


def test_texts_and_an_empty_index(remote, index):
    index.remove(index.ids)
    assert remote.query(X[:2]).ids.shape == (2, 0)
    remote.add(X[:5], ["a", "b", "ö", "d", "e"])
    assert remote.query(X[2:3], k=1).ids.tolist() == [["ö"]]


def test_a_client_of_triton_asks_an_index(url, index):
    tensor = triton.InferInput("images", list(X[:2].shape), "UINT8")
    tensor.set_data_from_numpy(X[:2])
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        metadata = client.get_model_metadata("photos")
        found = client.infer("photos", [tensor], parameters={"k": 2}, request_id="a1")
    assert [output["datatype"] for output in metadata["outputs"]] == ["INT64", "FP32", "BYTES"]
    assert [given["shape"] for given in metadata["inputs"]] == [[-1, 8, 8, 3], [-1, 4]]
    assert found.get_response()["id"] == "a1"
    expected = index.query(X[:2], k=2)
    np.testing.assert_array_equal(found.as_numpy("ids"), expected.ids)
    images = [[read_image(file) for file in row] for row in found.as_numpy("images")]
    np.testing.assert_array_equal(images, expected.images)


def make_message(name="images", values=X[:1], datatype="UINT8", **head):
    tensor = {"name": name, "datatype": datatype, "shape": list(values.shape)}
    return {"inputs": [tensor | {"data": values.ravel().tolist()}], **head}


def test_files_go_in_and_out_in_base64(url):
    file = base64.b64encode(encode_png(X[3])).decode()
    message = {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": [file]}]}
    answer = httpx.post(
        f"{url}/v2/models/photos/infer", json=message | {"parameters": {"k": 1}}
    ).json()
    found = {output["name"]: output for output in answer["outputs"]}
    assert found["ids"]["data"] == [3]
    np.testing.assert_array_equal(read_image(base64.b64decode(found["images"]["data"][0])), X[3])


ONES = np.ones((1, 4))


@pytest.mark.parametrize(
    ("verb", "message", "status", "words"),
    [
        ("infer", make_message(parameters={"k": 0}), 400, "k is not a whole number from 1"),
        ("infer", make_message(parameters={"k": True}), 400, "k is not a whole number from 1"),
        ("infer", make_message("pictures"), 400, "called 'images' or 'features'"),
        ("infer", make_message(values=X[:1, :4]), 400, "expects [n, 8, 8, 3]"),
        ("infer", make_message(values=X[:1] / 255, datatype="FP32"), 400, "expected 8-bit images"),
        ("infer", make_message("features", ONES[:, :2], "FP32"), 400, "2 features; the index has"),
        ("infer", make_message("features", ONES[0], "FP32"), 400, "shape [n, size]"),
        ("infer", make_message("features", ONES.astype(int), "INT8"), 400, "datatype FP"),
        ("infer", make_message("features", ONES.repeat(17, 0), "FP32"), 413, "1 to 16"),
        ("infer", make_message(values=X, parameters={"k": 30}), 413, "more than 65536 bytes"),
        ("infer", make_message(outputs=[{"name": "labels"}]), 400, "outputs of photos are ids"),
        ("add", make_message(), 400, "expected the inputs images and ids"),
        ("remove", make_message(), 400, "expected the inputs ids"),
        ("remove", make_message("ids", np.arange(4).reshape(2, 2), "INT64"), 400, "expected [n]"),
        ("remove", make_message("ids", np.ones(2), "FP32"), 400, "float cannot be an id"),
        ("forget", make_message(), 404, ""),
    ],
)
def test_what_is_wrong_is_said_in_words(url, index, verb, message, status, words):
    index.add(X.repeat(2, axis=0), range(100, 124))
    answer = httpx.post(f"{url}/v2/models/photos/{verb}", json=message)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert len(index) == 33


def test_a_classifier_is_no_index(url):
    answer = httpx.post(f"{url}/v2/models/a/add", json=make_message())
    assert (answer.status_code, answer.json()["error"]) == (404, "a is not an index.")
    with RemoteIndex(url, "a") as remote, pytest.raises(ServiceError, match="not an index"):
        len(remote)


def test_an_index_is_changed_only_where_that_was_allowed(index):
    with running(create_app({"photos": index})) as url, RemoteIndex(url, "photos") as remote:
        assert len(remote.query(X[:1])) == 1
        for change in (lambda: remote.add(X[:1], [99]), lambda: remote.remove([1])):
            with pytest.raises(ServiceError, match="status 404"):
                change()
    assert len(index) == 9


def test_an_index_with_a_key_is_refused():
    network = type(NETWORK)(width=4, depth=1, epochs=1, random_state=0).fit(X, [0, 1] * 6)
    network.encryptor = EtCEncryptor(SecretKey.generate())
    with pytest.raises(CloudHalfError, match="there is a EtCEncryptor"):
        create_app({"photos": ImageIndex(network)})


def answer_with(**tensors):
    """Make an application that answers whatever it is asked with these tensors."""
    outputs = [{"name": name, **tensor} for name, tensor in tensors.items()]

    async def app(scope, receive, send):
        assert scope["type"] == "http" or scope["type"] == "lifespan"
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            body = json.dumps({"outputs": outputs}).encode()
            await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": None}, "did not answer with ids"),
        ({"ids": {"datatype": "INT64", "shape": [1, 2], "data": [1, 2]}}, "up to 1 neighbours"),
        ({"distances": {"datatype": "INT64", "shape": [1, 1], "data": [1]}}, "up to 1 neighbours"),
        ({"images": {"datatype": "BYTES", "shape": [1, 1], "data": ["GIF"]}}, "no image"),
    ],
)
def test_answers_are_not_trusted(changes, words):
    right = {
        "ids": {"datatype": "INT64", "shape": [1, 1], "data": [1]},
        "distances": {"datatype": "FP32", "shape": [1, 1], "data": [0.5]},
        "images": {"datatype": "BYTES", "shape": [1, 1], "data": [""]},
    }
    tensors = {name: tensor for name, tensor in (right | changes).items() if tensor}
    with (
        running(answer_with(**tensors)) as url,
        RemoteIndex(url, "photos") as remote,
        pytest.raises(ServiceError, match=words),
    ):
        remote.query(X[:1], k=1)
