"""Classifiers as ONNX files: they answer as the classifiers do, and the service serves them."""

import subprocess
import sys

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import tritonclient.http as triton
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn

from ricsk import (
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    PretrainedClassifier,
    ViTClassifier,
    export_onnx,
)
from ricsk.cloud import CloudHalf, RemoteClassifier, create_app
from ricsk.cloud.serve import load_model
from ricsk.exceptions import NotExportableError
from tests.cloud.serving import encode_png, running

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 8, 8, 3), np.uint8)
Y = np.array(["cat", "dög", "fox"])[np.arange(12) % 3]

CLASSIFIERS = [
    CNNClassifier(width=4, depth=1, epochs=1),
    ConvMixerClassifier(dim=8, depth=1, kernel_size=3, patch_size=2, epochs=1),
    ViTClassifier(dim=16, depth=2, n_heads=2, patch_size=4, epochs=1),
    AdaptNetClassifier("ele", "cnn", width=4, depth=1, epochs=1),
    AdaptNetClassifier("le", depth=8, epochs=1),
    AdaptNetClassifier("tanaka", depth=8, epochs=1),
    AdaptNetClassifier(None, "cnn", width=4, depth=1, epochs=1),
]


class Network(nn.Module):
    def __init__(self, end=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, end)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean(dim=(2, 3)))


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


def check(path, classifier, images):
    found = run(path, images)
    np.testing.assert_array_equal(found["labels"], classifier.predict(images))
    expected = classifier.predict_proba(images)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert list(found)[2:] == (["features"] if "features" in found else [])
    if "features" in found:
        np.testing.assert_allclose(found["features"], classifier.features(images), atol=1e-4)
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_our_classifiers_answer_alike(path, classifier, dtype):
    images = X if dtype == "uint8" else (X / np.float32(255)) * 3 - 1
    classifier = classifier.set_params(random_state=0).fit(images, Y)
    export_onnx(CloudHalf(classifier), path, dtype=dtype)
    assert "features" in check(path, classifier, images)
    check(path, classifier, images[:1])


def test_adapted_weights_are_not_touched(path):
    classifier = CLASSIFIERS[3].fit(X, Y)
    before = classifier.predict_proba(X)
    export_onnx(FrozenEstimator(classifier), path)
    assert nn.utils.parametrize.is_parametrized(classifier.module_.network.adaptation)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize(
    "params",
    [
        {"size": 8},
        {"size": 8, "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3), "classes": ["a", "b", "ü"]},
        {"size": 8, "from_logits": False},
        {"image_shape": None, "classes": [7, 5, 3]},
        {"size": 8, "value_range": (-1.0, 2.0)},
    ],
    ids=str,
)
def test_networks_of_others_answer_alike(path, params):
    torch.manual_seed(0)
    network = Network()
    if params.get("from_logits") is False:
        network = nn.Sequential(network, nn.Softmax(dim=1))
    classifier = PretrainedClassifier(network, **params)
    export_onnx(classifier, path, image_shape=(8, 8))
    check(path, classifier, X)
    export_onnx(classifier, path, image_shape=(8, 8, 3), dtype="float32")
    check(path, classifier, (X / 255).astype(np.float32))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("crop", [None, 0.8])
@pytest.mark.parametrize("size", [6, (12, 9)], ids=str)
def test_resizing_is_in_the_file(path, size, crop, interpolation):
    torch.manual_seed(0)
    images = RNG.integers(0, 2, (12, 10, 7, 3), np.uint8) * 255  # on which cubic curves overshoot
    classifier = PretrainedClassifier(Network(), size=size, crop=crop, interpolation=interpolation)
    export_onnx(classifier, path, image_shape=(10, 7))
    check(path, classifier, images)


def test_networks_without_a_linear_layer_have_no_features(path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3, 8), nn.Flatten())
    export_onnx(PretrainedClassifier(network, size=8), path)
    assert list(run(path, X)) == ["labels", "probabilities"]
    assert not hasattr(load_model(path), "transform")


def test_a_network_with_one_output_has_two_classes(path):
    torch.manual_seed(0)
    classifier = PretrainedClassifier(Network(1), size=8, classes=[False, True])
    export_onnx(classifier, path)
    assert check(path, classifier, X)["labels"].dtype == bool


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_file_is_served_and_asked_as_the_classifier_is(path, dtype, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    images = X if dtype == "uint8" else X / np.float32(255)
    classifier = CLASSIFIERS[0].set_params(random_state=0).fit(images, Y)
    export_onnx(classifier, path, dtype=dtype)
    with running(create_app({"file": load_model(path), "itself": classifier})) as url:
        remote = RemoteClassifier(url, "file")
        np.testing.assert_array_equal(remote.predict(images), classifier.predict(images))
        expected = classifier.predict_proba(images)
        np.testing.assert_allclose(remote.predict_proba(images), expected, atol=1e-5)
        np.testing.assert_allclose(remote.features(images), classifier.features(images), atol=1e-5)
        remote.close()
        theirs, ours = (httpx.get(f"{url}/v2/models/{name}").json() for name in ("file", "itself"))
        assert theirs["inputs"][0].pop("datatype") == ("UINT8" if dtype == "uint8" else "FP32")
        del theirs["name"], ours["name"], ours["inputs"][0]["datatype"]
        assert theirs == ours
        tensor = {"name": "images", "datatype": "FP64", "shape": [1, 8, 8, 3], "data": [0.5] * 192}
        answer = httpx.post(f"{url}/v2/models/file/infer", json={"inputs": [tensor]})
        assert answer.status_code == (400 if dtype == "uint8" else 200)


def test_files_are_read_without_torch(path):
    export_onnx(CLASSIFIERS[0].fit(X, Y), path)
    program = (
        "import sys; from ricsk.cloud.serve import load_model; import numpy; "
        f"load_model({str(path)!r}).predict(numpy.zeros((1, 8, 8, 3), 'u1')); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {"torch", "ricsk.keys", "ricsk.encryptors"}.isdisjoint(loaded)


def test_what_cannot_be_written_is_refused(path):
    with pytest.raises(TypeError, match=r"a LogisticRegression cannot .* skl2onnx"):
        export_onnx(CloudHalf(LogisticRegression().fit(X.reshape(12, -1), Y)), path)
    with pytest.raises(NotFittedError):
        export_onnx(CNNClassifier(), path)
    with pytest.raises(ValueError, match="dtype='float16'"):
        export_onnx(CNNClassifier(), path, dtype="float16")
    fitted = CLASSIFIERS[0].fit(X, Y)
    with pytest.raises(ValueError, match=r"and here \(8, 8, 3\)"):
        export_onnx(fitted, path, image_shape=(16, 16))
    with pytest.raises(ValueError, match="the size of the images is not known"):
        export_onnx(PretrainedClassifier(Network(), classes=list("abc")), path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        export_onnx(fitted, path.parent / "nowhere" / "a.onnx")
    assert not path.exists()


class Counting(Network):
    """A network that counts its images in Python, so that a trace knows one number of them."""

    def forward(self, x):
        return super().forward(x) * len(x)


def test_a_file_that_answers_otherwise_is_refused(path):
    with pytest.raises(NotExportableError, match="answers otherwise"):
        export_onnx(PretrainedClassifier(Counting(), size=8), path)
    assert not path.exists()


class Unknown(Network):
    """A network with an operator that ONNX does not have."""

    def forward(self, x):
        return super().forward(torch.special.bessel_j0(x))


def test_a_network_that_cannot_be_written_is_named(path):
    with pytest.raises(NotExportableError, match="cannot be written: UnsupportedOperatorError"):
        export_onnx(PretrainedClassifier(Unknown(), size=8), path)


def test_black_boxes_are_files_already(path):
    export_onnx(PretrainedClassifier(Network(), size=8), path)
    black_box = PretrainedClassifier.from_onnx(path, gradients=False, output="probabilities")
    with pytest.raises(NotExportableError, match="black box"):
        export_onnx(black_box, path, image_shape=(8, 8))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_packages_it_says_what_to_install(path, monkeypatch, package):
    fitted = CLASSIFIERS[0].fit(X, Y)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package} .*'ricsk\[onnx\]'"):
        export_onnx(fitted, path)


def test_files_of_others_are_not_guessed_at(tmp_path):
    path = tmp_path / "theirs.onnx"
    helper = onnx.helper
    tensor = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])
    other = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [tensor], [other])
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    with pytest.raises(ValueError, match=r"theirs\.onnx was not written by ricsk\.export_onnx"):
        load_model(path)


def test_png_files_reach_a_served_file(path):
    classifier = CLASSIFIERS[0].fit(X, Y)
    export_onnx(classifier, path)
    with (
        running(create_app({"file": load_model(path)})) as url,
        triton.InferenceServerClient(url.removeprefix("http://")) as client,
    ):
        files = np.array([encode_png(image) for image in X], object)
        tensor = triton.InferInput("images", [12], "BYTES")
        tensor.set_data_from_numpy(files)
        found = client.infer("file", [tensor]).as_numpy("labels")
    assert [label.decode() for label in found] == classifier.predict(X).tolist()
