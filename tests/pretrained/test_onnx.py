"""ONNX files: as black boxes through onnxruntime, and as white boxes where they convert."""

import copy
import pickle
import sys

import numpy as np
import onnx
import pytest
import torch

from ricsk import PretrainedClassifier, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.exceptions import ModelChangedError, NoViewError
from ricsk.nae import view_classifier
from ricsk.pretrained import ModelReference, load_onnx
from ricsk.pretrained._onnx_rewrite import TARGET_OPSET, rewrite
from tests.pretrained.networks import make_images, make_network, make_onnx2torch, write_onnx

X = make_images(6)
EXPECTED = PretrainedClassifier(make_network(), size=8)


@pytest.fixture
def converter(monkeypatch):
    """A stand-in for onnx2torch, which knows what `write_onnx` writes."""
    for name, module in make_onnx2torch().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def no_converter(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx2torch", None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.onnx"


def test_a_file_that_converts_is_a_white_box(path, converter):
    classifier = PretrainedClassifier.from_onnx(write_onnx(path), classes=list("abcd"))
    assert classifier.white_box_
    assert classifier.size == (8, 8)
    expected = EXPECTED.decision_function(X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-4)
    np.testing.assert_allclose(classifier.features(X), EXPECTED.features(X), atol=1e-4)
    view = view_classifier(classifier)
    np.testing.assert_allclose(view.scores(torch.tensor(X).double()), expected, atol=1e-4)


def test_a_file_that_does_not_convert_is_a_black_box_and_says_so(path, no_converter):
    write_onnx(path)
    with pytest.warns(UserWarning, match=r"network\.onnx is run by onnxruntime, as a black box"):
        classifier = PretrainedClassifier.from_onnx(path)
    assert not classifier.white_box_
    with pytest.raises(ImportError, match=r"onnx2torch, .*, is not installed.* 'ricsk\[onnx\]'"):
        PretrainedClassifier.from_onnx(path, gradients=True)


def test_a_black_box_answers_alike_and_has_no_view(path):
    classifier = PretrainedClassifier.from_onnx(write_onnx(path), gradients=False)
    expected = EXPECTED.decision_function(X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-4)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        path.unlink(missing_ok=True)  # it is stored with what is in it
        np.testing.assert_array_equal(copied.decision_function(X), classifier.decision_function(X))
    with pytest.raises(NoViewError, match="black box"):
        view_classifier(classifier)
    with pytest.raises(TypeError, match="has no linear layer"):
        classifier.features(X)


@pytest.mark.parametrize("scheme", [SealedEncryptor, RICEncryptor])
def test_guided_encryptors_ask_a_black_box(path, scheme):
    images = make_images(4, (32, 32), seed=2)
    classifier = PretrainedClassifier.from_onnx(
        write_onnx(path), gradients=False, mean=0.5, std=0.25
    )
    assert len(set(classifier.predict(images))) > 1
    encryptor = scheme(SecretKey(bytes(32)), classifier).fit(images)
    C = encryptor.transform(images)
    assert classifier.predict(C).tolist() == classifier.predict(images).tolist()


@pytest.mark.parametrize("params", [{"batch": 1}, {"batch": 4}, {"channels_last": True}])
def test_files_for_so_many_images_and_with_channels_last(path, params):
    classifier = PretrainedClassifier.from_onnx(write_onnx(path, **params), gradients=False)
    assert classifier.size == (8, 8)
    found = classifier.decision_function(X)
    np.testing.assert_allclose(found, EXPECTED.decision_function(X), atol=1e-4)


@pytest.mark.parametrize("gradients", [False, True])
def test_a_softmax_at_the_end_is_seen(path, converter, gradients):
    write_onnx(path, softmax=True)
    classifier = PretrainedClassifier.from_onnx(path, gradients=gradients)
    assert classifier.from_logits is False
    np.testing.assert_allclose(classifier.predict_proba(X), EXPECTED.predict_proba(X), atol=1e-5)


def test_what_the_converter_got_wrong_is_not_taken(path, monkeypatch):
    import types

    wrong = types.ModuleType("onnx2torch")
    wrong.convert = lambda model: make_network(seed=1)
    monkeypatch.setitem(sys.modules, "onnx2torch", wrong)
    write_onnx(path)
    with pytest.raises(ValueError, match="answers otherwise than onnxruntime"):
        load_onnx(path, gradients=True)
    with pytest.warns(UserWarning, match="answers otherwise"):
        assert not PretrainedClassifier.from_onnx(path).white_box_


def test_by_reference_a_pickle_holds_the_path(path):
    write_onnx(path)
    reference = ModelReference(load_onnx, {"path": str(path), "gradients": False})
    data = pickle.dumps(PretrainedClassifier(reference, size=8))
    assert len(data) < 1000
    np.testing.assert_allclose(
        pickle.loads(data).decision_function(X), EXPECTED.decision_function(X), atol=1e-4
    )
    write_onnx(path, make_network(seed=1))
    with pytest.raises(ModelChangedError):
        pickle.loads(data).predict(X)


def test_weights_in_a_file_of_their_own(path):
    write_onnx(path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (path.parent / "weights.bin").stat().st_size > 1000
    found = PretrainedClassifier.from_onnx(path, gradients=False).decision_function(X)
    np.testing.assert_allclose(found, EXPECTED.decision_function(X), atol=1e-4)


def test_other_files_are_refused(path):
    with pytest.raises(FileNotFoundError):
        load_onnx(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="cannot be read as an ONNX file"):
        load_onnx(path, gradients=False)


def write_graph(path, nodes, inputs, outputs):
    """Write a file of a few operators; inputs and outputs are (name, type, shape)."""
    make = onnx.helper.make_tensor_value_info
    infos = [[make(*one) for one in many] for many in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes, "network", *infos)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, path)


@pytest.mark.parametrize("shapes", [[["n", 12]], [["n", 3, 8, 8]] * 2, []])
def test_networks_that_do_not_read_images_are_refused(path, shapes):
    inputs = [(f"x{i}", onnx.TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    nodes = [
        onnx.helper.make_node("Constant", [], ["k"], value_floats=[0.0, 1.0]),
        onnx.helper.make_node("Sum", ["k"], ["y"]),
    ]
    write_graph(path, nodes, inputs, [("y", onnx.TensorProto.FLOAT, [2])])
    with pytest.raises(ValueError, match=r"the ONNX file reads .*; expected one input of images"):
        PretrainedClassifier.from_onnx(path, gradients=False)


def test_what_onnxruntime_refuses_is_refused(path):
    inputs = [("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])]
    nodes = [onnx.helper.make_node("NoSuchOperator", ["x"], ["y"])]
    write_graph(path, nodes, inputs, [("y", onnx.TensorProto.FLOAT, None)])
    with pytest.raises(ValueError, match=r"onnxruntime cannot run .*: .*NoSuchOperator"):
        PretrainedClassifier.from_onnx(path)


def test_images_of_another_size_are_refused_with_a_hint(path):
    classifier = PretrainedClassifier.from_onnx(write_onnx(path), gradients=False, size=16)
    with pytest.raises(ValueError, match="onnxruntime cannot run the ONNX file") as raised:
        classifier.predict(X)
    assert "say so by size=(height, width)" in raised.value.__notes__[0]


def add_labels(path):
    """Add an operator that returns texts; gives the file's model and what the output is."""
    model = onnx.load(write_onnx(path))
    labels = onnx.helper.make_tensor("labels", onnx.TensorProto.STRING, [2], [b"cat", b"dog"])
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["label"], value=labels))
    return model, onnx.helper.make_tensor_value_info("label", onnx.TensorProto.STRING, [2])


def test_names_of_classes_among_the_outputs_are_left_out(path):
    """Exporters of whole pipelines answer with labels first, which may be texts."""
    model, info = add_labels(path)
    model.graph.output.insert(0, info)
    onnx.save(model, path)
    found = PretrainedClassifier.from_onnx(path, gradients=False).decision_function(X)
    np.testing.assert_allclose(found, EXPECTED.decision_function(X), atol=1e-4)


def test_a_file_that_returns_names_alone_is_refused(path):
    model, info = add_labels(path)
    model.graph.output[0].CopyFrom(info)
    onnx.save(model, path)
    with pytest.raises(ValueError, match="returns no numbers"):
        PretrainedClassifier.from_onnx(path, gradients=False).predict(X)


def test_grey_images_are_given_to_a_file_for_colour(path):
    classifier = PretrainedClassifier.from_onnx(write_onnx(path), gradients=False)
    grey = X[..., :1]
    np.testing.assert_allclose(
        classifier.decision_function(grey),
        EXPECTED.decision_function(grey.repeat(3, axis=-1)),
        atol=1e-4,
    )


def run(model, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def make_modern():
    """What exporters of today write, in the operators of version 20, for one image."""
    helper = onnx.helper
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(size=(3, 3, 1, 1)).astype(np.float32),
        "axes": np.array([2, 3]),
        "shape": np.array([1, 3]),
    }
    nodes = [
        helper.make_node("Identity", ["w"], ["w_copy"]),
        helper.make_node("Conv", ["x", "w_copy"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("Gelu", ["c"], ["g"]),
        helper.make_node("ReduceMean", ["g", "axes"], ["m"], keepdims=1, noop_with_empty_axes=0),
        helper.make_node("Reshape", ["m", "shape"], ["r"], allowzero=1),
        helper.make_node("Identity", ["r"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_graphs_of_today_are_written_with_the_operators_of_yesterday():
    x = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    expected = [run(make_modern(), image[None])[0] for image in x]
    rewritten = rewrite(make_modern(), onnx)
    assert rewritten.opset_import[0].version == TARGET_OPSET
    kinds = [node.op_type for node in rewritten.graph.node]
    assert kinds == ["Conv", "Div", "Erf", "Add", "Mul", "Mul", "ReduceMean", "Reshape", "Identity"]
    reduce, reshape = rewritten.graph.node[6:8]
    assert [attribute.name for attribute in reduce.attribute] == ["keepdims", "axes"]
    assert not reshape.attribute
    found = run(rewritten, x)  # any number of images, where the shape was for one
    np.testing.assert_allclose(found, expected, atol=1e-5)
