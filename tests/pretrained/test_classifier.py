"""`PretrainedClassifier`: fitted, frozen, and taken by everything that takes a classifier."""

import copy
import pickle
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ricsk import (
    EtCEncryptor,
    PretrainedClassifier,
    PrivateClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    adapt_to_key,
    remove_key,
)
from ricsk.attacks import LabelOnlyBaseline
from ricsk.audit import audit
from ricsk.exceptions import NotAdaptableError
from ricsk.nae import view_classifier
from ricsk.nn import ViT
from tests.pretrained.networks import (
    ImageClassifierOutput,
    Wrapped,
    make_images,
    make_network,
)

KEY = SecretKey(bytes(range(32)))
X = make_images(8)
NAMES = ["ant", "bee", "cat", "dog"]
Pair = namedtuple("Pair", "main auxiliary")


def logits_of(network, images, mean=0.0, std=1.0):
    """What a network says of images of its own size."""
    values = torch.from_numpy(np.moveaxis(images, -1, 1) / np.float32(255)).float()
    with torch.inference_mode():
        return network((values - mean) / std).numpy()


def make_classifier(**params):
    return PretrainedClassifier(make_network(), **{"classes": NAMES, "size": 8} | params)


def test_it_answers_as_the_network():
    network = make_network()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    classifier = PretrainedClassifier(network, classes=NAMES, size=8, mean=mean, std=std)
    per_channel = [torch.tensor(values)[:, None, None] for values in (mean, std)]
    expected = logits_of(network, X, *per_channel)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)
    proba = classifier.predict_proba(X)
    np.testing.assert_allclose(proba, torch.tensor(expected).softmax(1), atol=1e-6)
    assert classifier.predict(X).tolist() == [NAMES[i] for i in expected.argmax(1)]
    assert len(set(classifier.predict(X))) > 1


def test_it_is_fitted_frozen_and_its_own_clone():
    classifier = make_classifier()
    check_is_fitted(classifier)
    assert is_classifier(classifier)
    assert clone(classifier) is classifier
    before = copy.deepcopy(classifier.model.state_dict())
    assert classifier.fit(X, ["ant", "bee"] * 4) is classifier
    assert classifier.fit(X) is classifier
    assert all(
        torch.equal(before[name], now) for name, now in classifier.model.state_dict().items()
    )
    assert classifier.classes_.tolist() == NAMES
    assert not get_tags(classifier).requires_fit
    assert not get_tags(classifier).target_tags.required
    assert cross_val_score(classifier, X, classifier.predict(X), cv=KFold(2)).tolist() == [1, 1]


def test_features_are_what_the_last_linear_layer_reads():
    classifier = make_classifier()
    last = classifier.model[-1]
    found = torch.from_numpy(classifier.features(X))
    with torch.inference_mode():
        expected = last(found).numpy()
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)
    convolutional = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten())
    with pytest.raises(TypeError, match="Sequential has no linear layer"):
        PretrainedClassifier(convolutional, size=8).features(X)


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda y: y, None),
        (lambda y: (y, -y), None),
        (lambda y: [y], None),
        (lambda y: (-y, y), 1),
        (lambda y: {"logits": y, "other": -y}, None),
        (lambda y: OrderedDict(scores=y), None),
        (lambda y: {"a": -y, "b": y}, "b"),
        (lambda y: ImageClassifierOutput(None, y), None),
        (lambda y: Pair(y, -y), None),
        (lambda y: Pair(-y, y), "auxiliary"),
        (lambda y: y[:, :, None, None], None),
    ],
)
def test_whatever_the_module_returns(wrap, output):
    classifier = PretrainedClassifier(Wrapped(wrap), size=8, output=output)
    expected = logits_of(make_network(), X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrap", "output", "message"),
    [
        (lambda y: {"a": y, "b": y}, None, "a dict of 'a', 'b', in which it is not known"),
        (lambda y: "cat", None, "a str, in which it is not known"),
        (lambda y: (None, y), None, r"a tuple of 2 \(NoneType, Tensor\), in which"),
        (lambda y: {"a": y}, "b", "output='b' is not in what the module returned, a dict of 'a'"),
        (lambda y: (y,), 3, r"output=3 is not in what the module returned, a tuple of 1"),
        (lambda y: y, "logits", "output='logits' is not in what"),
        (lambda y: y[:, :, None].expand(-1, -1, 5), None, r"shape \(8, 4, 5\) for 8 images"),
        (lambda y: y[:1], None, r"shape \(1, 4\) for 8 images"),
    ],
)
def test_what_is_not_scores_is_refused_with_what_was_returned(wrap, output, message):
    classifier = PretrainedClassifier(Wrapped(wrap), classes=NAMES, output=output)
    with pytest.raises(ValueError, match=message):
        classifier.predict(X)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_single_score_is_that_of_the_second_class(squeeze):
    network = Wrapped(lambda y: y[:, 0] if squeeze else y, make_network(1))
    classifier = PretrainedClassifier(network, classes=["no", "yes"], size=8)
    expected = logits_of(make_network(1), X)[:, 0]
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)
    assert classifier.predict(X).tolist() == np.where(expected > 0, "yes", "no").tolist()
    np.testing.assert_allclose(
        classifier.predict_proba(X)[:, 1], 1 / (1 + np.exp(-expected)), atol=1e-6
    )


def test_probabilities_are_taken_as_such_where_it_is_said_and_refused_where_not():
    network = Wrapped(lambda y: y.softmax(1))
    expected = make_classifier().predict_proba(X)
    said = PretrainedClassifier(network, classes=NAMES, size=8, from_logits=False)
    np.testing.assert_allclose(said.predict_proba(X), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"returns probabilities, .* Give from_logits=False"):
        PretrainedClassifier(network, classes=NAMES, size=8).predict(X)
    view = view_classifier(said)
    proba = view.log_proba(torch.tensor(X, dtype=torch.float64)).exp()
    np.testing.assert_allclose(proba, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision(dtype):
    network = make_network().to(dtype)
    classifier = PretrainedClassifier(network, classes=NAMES, size=8)
    if dtype == torch.float64:
        network = make_network()
    expected = logits_of(copy.deepcopy(network).float(), X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-4)
    assert next(classifier.model.parameters()).dtype == dtype  # what was given stays as it is
    scores = view_classifier(classifier).scores(torch.tensor(X, dtype=torch.float64))
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("form", ["uint8", "int64", "float32", "float16", "flat", "range", "list"])
def test_images_in_the_forms_of_the_package(form):
    params, images = {}, X
    if form in ("int64", "float32", "float16"):
        images = X.astype(form) if form == "int64" else (X / 255).astype(form)
    elif form == "flat":
        images, params = X.reshape(8, -1), {"image_shape": (8, 8, 3)}
    elif form == "range":
        images, params = X / 127.5 - 1, {"value_range": (-1, 1)}
    elif form == "list":
        images = list(X)
    expected = make_classifier().decision_function(X)
    found = make_classifier(**params).decision_function(images)
    np.testing.assert_allclose(found, expected, atol=0.05 if form == "float16" else 1e-4)


def test_floats_outside_of_the_range_are_refused():
    with pytest.raises(ValueError, match=r"values from .* value_range=\(low, high\)"):
        make_classifier().predict(X.astype(float))


def test_grey_images_go_to_a_module_of_three_channels_and_colour_not_to_one_of_one():
    grey = X[..., :1]
    expected = make_classifier().decision_function(np.repeat(grey, 3, axis=3))
    found = make_classifier().decision_function(grey[..., 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    one = PretrainedClassifier(make_network(channels=1), classes=NAMES, size=8)
    assert one.predict(grey).shape == (8,)
    with pytest.raises(ValueError, match="the images have 3 channels, but the module reads 1"):
        one.predict(X)


def test_batches_bound_what_is_computed_at_a_time_and_change_nothing():
    sizes = []

    def note(y):
        sizes.append(len(y))
        return y

    classifier = PretrainedClassifier(Wrapped(note), classes=NAMES, size=8, batch_size=3)
    found = classifier.decision_function(X)
    assert sizes == [3, 3, 2]
    np.testing.assert_allclose(found, make_classifier().decision_function(X), atol=1e-5)


def test_large_photographs_go_one_by_one(monkeypatch):
    sizes = []
    classifier = PretrainedClassifier(
        Wrapped(lambda y: sizes.append(len(y)) or y), classes=NAMES, size=8
    )
    monkeypatch.setattr("ricsk.pretrained._classifier._MAX_VALUES", 5 * 64 * 64)
    classifier.predict(make_images(3, (64, 64)))
    assert sizes == [1, 1, 1]


def test_no_graph_is_kept_and_no_thread_number_changed():
    before = torch.get_num_threads()
    made = []
    classifier = PretrainedClassifier(
        Wrapped(lambda y: made.append((y.requires_grad, torch.is_inference(y))) or y), size=8
    )
    classifier.predict(X)
    assert set(made) == {(False, True)}
    assert torch.get_num_threads() == before


def test_a_module_in_training_mode_is_put_into_evaluation_mode():
    network = nn.Sequential(make_network(), nn.Dropout(0.5)).train()
    classifier = PretrainedClassifier(network, classes=NAMES, size=8)
    expected = logits_of(make_network(), X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)
    network.train()  # as after somebody's further training
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-5)


def test_classes_are_counted_where_none_are_given():
    assert PretrainedClassifier(make_network(5), size=8).classes_.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"without size= .* or classes="):
        _ = PretrainedClassifier(make_network()).classes_


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "b", "c"], "gives 4 scores, but there are 3 classes"),
        (["a", "b", "c", "a"], "3 labels that differ"),
        ([["a", "b", "c", "d"]], r"classes has shape \(1, 4\)"),
        (["a"], "at least two"),
    ],
)
def test_classes_that_do_not_fit_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(classes=classes).predict(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": "resnet"}, "'model' parameter"),
        ({"crop": 1.5}, "'crop' parameter"),
        ({"interpolation": "lanczos"}, "'interpolation' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"size": (8, 0)}, r"size=\(8, 0\): expected \(height, width\)"),
        ({"size": (8, 8, 3)}, r"size=\(8, 8, 3\): expected \(height, width\)"),
        ({"std": 0}, "std=0 is not a normalization"),
        ({"mean": (0.5, 0.5)}, r"mean=\(0.5, 0.5\): expected one number"),
        ({"mean": "red"}, "'mean' parameter"),
        ({"value_range": (1, 0)}, "low < high"),
        ({"device": "abacus"}, "device='abacus' is not available"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        make_classifier().set_params(**params).predict(X)


def test_a_size_that_the_module_does_not_take_is_named():
    with pytest.raises(RuntimeError) as caught:
        make_classifier(size=10).predict(X)
    assert "given a tensor of shape (8, 3, 10, 10)" in caught.value.__notes__[0]
    assert "size=(height, width)" in caught.value.__notes__[0]


def test_parameters_act_at_once_as_there_is_no_fit():
    classifier = make_classifier()
    before = classifier.decision_function(X)
    classifier.set_params(mean=0.5)
    assert np.abs(classifier.decision_function(X) - before).max() > 0.1
    classifier.mean = None
    np.testing.assert_array_equal(classifier.decision_function(X), before)


def test_by_value_a_pickle_holds_the_network():
    classifier = make_classifier()
    expected = classifier.decision_function(X)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        np.testing.assert_array_equal(copied.decision_function(X), expected)
        assert copied.model is not classifier.model
        assert repr(copied) == repr(classifier)


def test_a_copy_computes_where_the_device_is_not_there():
    classifier = make_classifier(device="cuda:99")
    with pytest.raises(ValueError, match="not available here"):
        classifier.predict(X)
    again = pickle.loads(pickle.dumps(classifier))
    assert again.predict(X).shape == (8,)


def test_its_view_is_exact_with_resizing_and_normalization():
    classifier = PretrainedClassifier(
        make_network(), size=8, crop=0.8, interpolation="bicubic", mean=0.4, std=0.3
    )
    images = make_images(5, (14, 11))
    view = view_classifier(classifier)
    levels = torch.tensor(images, dtype=torch.float64, requires_grad=True)
    scores = view.scores(levels)
    np.testing.assert_allclose(scores.detach(), classifier.decision_function(images), atol=1e-4)
    np.testing.assert_allclose(
        view.features(levels).detach(), classifier.features(images), atol=1e-4
    )
    scores.sum().backward()
    assert (levels.grad != 0).float().mean() > 0.5
    assert classifier.white_box_


@pytest.mark.parametrize("own", [None, (0.0, 1.0), (-1.0, 1.0)])
def test_its_view_knows_the_range_of_floats(own):
    classifier = make_classifier(value_range=own)
    low, high = own or (0.0, 1.0)
    view = view_classifier(classifier, value_range=(low, high))
    scores = view.scores(torch.tensor(X, dtype=torch.float64))
    images = low + X / 255 * (high - low)
    np.testing.assert_allclose(scores, classifier.decision_function(images), atol=1e-4)
    # Or that of images which fill a part of it.
    view = view_classifier(classifier, value_range=(0.0, 0.5))
    scores = view.scores(torch.tensor(X, dtype=torch.float64))
    np.testing.assert_allclose(scores, classifier.decision_function(X / 510), atol=1e-4)


def test_a_module_that_casts_its_input_to_single_precision_has_a_view():
    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = make_network()

        def forward(self, x):
            return self.network(x.float())

    classifier = PretrainedClassifier(Casting(), size=8)
    scores = view_classifier(classifier).scores(torch.tensor(X, dtype=torch.float64))
    np.testing.assert_allclose(scores, classifier.decision_function(X), atol=1e-4)


def make_enlarged(**params):
    """A classifier of larger images than its network reads, in which there is room."""
    return make_classifier(mean=0.5, std=0.25, **params), make_images(6, (32, 32), seed=2)


@pytest.mark.parametrize("scheme", [SealedEncryptor, RICEncryptor])
@pytest.mark.parametrize("form", ["images", "flat", "floats"])
def test_guided_encryptors_take_it_as_it_is(scheme, form):
    classifier, images = make_enlarged()
    given = {"images": images, "flat": images.reshape(6, -1), "floats": images / 255}[form]
    shape = {"image_shape": (32, 32, 3)} if form == "flat" else {}
    encryptor = scheme(KEY, classifier, **shape).fit(given)
    assert encryptor.classifier_ is classifier
    assert classifier.image_shape is None  # it belongs to the user
    C = encryptor.transform(given)
    assert len(set(classifier.predict(given))) > 1
    assert classifier.predict(C).tolist() == classifier.predict(given).tolist()
    again = pickle.loads(pickle.dumps(encryptor))
    np.testing.assert_array_equal(again.transform(given), C)


def test_a_transformation_network_takes_it_as_it_is():
    classifier, images = make_enlarged()
    encryptor = TransformationNetworkEncryptor(classifier, width=1, epochs=1, batch_size=8)
    assert encryptor.fit(images).transform(images).shape == images.shape


@pytest.mark.parametrize("match", ["proba", "features"])
def test_what_else_the_classifier_says_is_matched(match):
    classifier, images = make_enlarged()
    tolerance = {"proba": 0.02, "features": 0.05}[match]
    encryptor = SealedEncryptor(KEY, classifier, match=match, tolerance=tolerance).fit(images)
    C = encryptor.transform(images)
    if match == "proba":
        difference = classifier.predict_proba(C) - classifier.predict_proba(images)
        assert np.abs(difference).sum(axis=1).max() / 2 <= tolerance
    else:
        found, expected = classifier.features(C), classifier.features(images)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        assert (1 - (found * expected).sum(axis=1) / lengths).max() <= tolerance + 1e-6


@pytest.mark.parametrize("wrap", [lambda network: network, FrozenEstimator], ids=["bare", "frozen"])
@pytest.mark.parametrize("scheme", [SealedEncryptor, RICEncryptor])
def test_a_bare_module_is_refused_with_the_line_to_write(scheme, wrap):
    """What it expects of images is not in it, and a wrong guess would not be noticed."""
    encryptor = scheme(KEY, wrap(make_network()))
    with pytest.raises(TypeError, match=r"classifier=PretrainedClassifier\(module, size="):
        encryptor.fit(X)


def test_an_audit_takes_it_as_it_is():
    classifier, _ = make_enlarged()
    images = make_images(60, (32, 32))
    result = audit(
        SealedEncryptor(KEY, classifier),
        images,
        classifier.predict(images),
        classifier=classifier,
        attacks=[LabelOnlyBaseline()],
        n_targets=20,
        random_state=0,
    )
    assert set(result.table.finding) == {"baseline"}


def make_vit():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ViT((16, 16, 3), 4, dim=16, depth=1, n_heads=2, patch_size=4)


def test_a_key_moves_into_it_and_out_again():
    images = make_images(6, (16, 16))
    encryptor = EtCEncryptor(KEY, block_size=4, per_block_keys=False).fit(images)
    plain = PretrainedClassifier(
        make_vit(), classes=NAMES, size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)
    )
    keyed = adapt_to_key(plain, encryptor)
    expected = plain.decision_function(images)
    found = keyed.decision_function(encryptor.transform(images))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(keyed.decision_function(images) - expected).max() > 0.01
    back = remove_key(keyed, encryptor)
    np.testing.assert_allclose(back.decision_function(images), expected, atol=1e-4)
    assert keyed.classes_.tolist() == NAMES


def test_a_private_classifier_moves_the_key_into_it():
    images = make_images(6, (16, 16))
    plain = PretrainedClassifier(make_vit(), classes=NAMES, size=16)
    encryptor = EtCEncryptor(KEY, block_size=4, per_block_keys=False)
    private = PrivateClassifier(encryptor, plain).fit(images, plain.predict(images))
    assert private.predict(images).tolist() == plain.predict(images).tolist()
    C = private.client_half().transform(images)
    found = private.cloud_half().decision_function(C)
    np.testing.assert_allclose(found, plain.decision_function(images), atol=1e-4)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"size": 24}, ValueError, "brings images to size=24"),
        ({"crop": 0.9}, ValueError, "with crop=0.9"),
        ({"value_range": (0, 1)}, None, None),
    ],
)
def test_a_key_does_not_move_where_ciphertexts_would_be_resized(params, error, message):
    images = make_images(6, (16, 16))
    encryptor = EtCEncryptor(KEY, block_size=4, per_block_keys=False).fit(images)
    classifier = PretrainedClassifier(make_vit(), **{"classes": NAMES, "size": 16} | params)
    if error is None:
        assert adapt_to_key(classifier, encryptor).value_range == (0, 1)
        return
    with pytest.raises(error, match=message):
        adapt_to_key(classifier, encryptor)


def test_a_key_does_not_move_into_what_has_another_range_or_no_patches():
    images = make_images(6, (16, 16))
    encryptor = EtCEncryptor(KEY, block_size=4, per_block_keys=False).fit(images / 255)
    other = PretrainedClassifier(make_vit(), size=16, value_range=(-1, 1))
    with pytest.raises(ValueError, match="floats run from -1 to 1, but the encryptor"):
        adapt_to_key(other, encryptor)
    with pytest.raises(NotAdaptableError, match="does not begin by embedding"):
        adapt_to_key(PretrainedClassifier(make_network(size=16), size=16), encryptor)
    with pytest.raises(ValueError, match="leave mean and std out"):
        adapt_to_key(other, encryptor, mean=0.5)


@pytest.mark.parametrize(
    "classes", [range(5), list(range(100)), np.arange(8631), list("abcdefghijklmn")]
)
def test_long_lists_of_labels_are_not_taken_for_keys(classes):
    assert make_classifier(classes=classes).classes_.tolist() == list(classes)


@pytest.mark.parametrize(
    "classes", [bytes(32), list(range(32)), [KEY.reveal(), "a"], np.arange(32, dtype=np.uint8)]
)
def test_what_may_be_a_key_is_no_list_of_labels(classes):
    with pytest.raises(TypeError, match=r"classes of PretrainedClassifier .* may be a key"):
        make_classifier(classes=classes)


def test_thousands_of_classes_at_the_size_of_faces():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(128, 8631),
        )
    names = [f"person {i:04}" for i in range(8631)]
    classifier = PretrainedClassifier(network, classes=names, size=112, mean=0.5, std=0.5)
    faces = make_images(3, (130, 96))
    proba = classifier.predict_proba(faces)
    assert proba.shape == (3, 8631)
    assert classifier.predict(faces).tolist() == [names[i] for i in proba.argmax(1)]
    view = view_classifier(classifier)
    scores = view.scores(torch.tensor(faces, dtype=torch.float64))
    np.testing.assert_allclose(scores, classifier.decision_function(faces), atol=1e-4)
