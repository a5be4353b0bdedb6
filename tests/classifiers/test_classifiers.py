import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split

from ricsk.classifiers import CNNClassifier, ConvMixerClassifier, ViTClassifier
from ricsk.nn import CNN

TINY = {
    "cnn": CNNClassifier(width=8, depth=2, epochs=6, batch_size=16, random_state=0),
    "convmixer": ConvMixerClassifier(
        dim=12, depth=1, kernel_size=3, patch_size=2, epochs=6, batch_size=16, random_state=0
    ),
    "vit": ViTClassifier(
        dim=16,
        depth=1,
        n_heads=2,
        patch_size=2,
        epochs=10,
        batch_size=16,
        learning_rate=0.01,
        random_state=0,
    ),
}


def bright_quadrants(n, seed):
    """Noise, one quadrant of which is brighter: the label."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    X = rng.integers(0, 128, (n, 8, 8, 3), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        row, column = divmod(label, 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 90
    return X, y


X, y = bright_quadrants(160, seed=0)
X_TEST, Y_TEST = bright_quadrants(40, seed=1)


@pytest.fixture(params=TINY)
def classifier(request):
    return clone(TINY[request.param])


@pytest.fixture(scope="module", params=TINY)
def fitted(request):
    return clone(TINY[request.param]).fit(X, y)


@pytest.fixture(scope="module")
def cnn():
    return clone(TINY["cnn"]).fit(X, y)


# What it learns


def test_it_learns(fitted):
    assert fitted.score(X_TEST, Y_TEST) > 0.9
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"] / 2
    assert fitted.n_iter_ == fitted.epochs
    assert fitted.image_shape_in_ == (8, 8, 3)


def test_predictions_agree(fitted):
    proba = fitted.predict_proba(X_TEST)
    logits = fitted.decision_function(X_TEST)
    features = fitted.features(X_TEST)
    head = fitted.module_.network.head
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert_array_equal(fitted.predict(X_TEST), fitted.classes_[proba.argmax(axis=1)])
    assert features.dtype == np.float32
    assert features.shape == (40, head.in_features)
    weight, bias = (tensor.detach().numpy() for tensor in (head.weight, head.bias))
    assert_allclose(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)


def test_predictions_do_not_depend_on_the_batch(fitted):
    expected = fitted.predict_proba(X_TEST)
    other = copy.deepcopy(fitted).set_params(batch_size=3)
    assert_allclose(other.predict_proba(X_TEST), expected, rtol=1e-4, atol=1e-6)
    assert_allclose(fitted.predict_proba(X_TEST[:1]), expected[:1], rtol=1e-4, atol=1e-6)


def test_labels_may_be_strings(classifier):
    names = np.array(["oak", "ash", "elm", "fir"])
    classifier.set_params(epochs=1)
    by_name = clone(classifier).fit(X, names[y])
    assert by_name.classes_.tolist() == ["ash", "elm", "fir", "oak"]
    assert set(by_name.predict(X_TEST)) <= set(names)


# Images


def test_uint8_and_floats_are_the_same_images(classifier):
    classifier.set_params(epochs=1)
    for first, second in [(X, X / 255), (X / 255, X), (X / np.float32(255), X / 255)]:
        classifier.fit(first, y)
        assert_allclose(
            classifier.predict_proba(second[:40]),
            classifier.predict_proba(first[:40]),
            rtol=1e-4,
            atol=1e-6,
        )


def test_flat_images_are_the_same_images(classifier):
    classifier.set_params(epochs=1)
    expected = clone(classifier).fit(X, y).predict_proba(X_TEST)
    flat = classifier.set_params(image_shape=(8, 8, 3)).fit(X.reshape(len(X), -1), y)
    assert_array_equal(flat.predict_proba(X_TEST.reshape(40, -1)), expected)
    assert_array_equal(flat.predict_proba(X_TEST), expected)


def test_grey_images(classifier):
    classifier.set_params(epochs=1).fit(X[..., 0], y)
    assert classifier.image_shape_in_ == (8, 8, 1)
    assert_array_equal(classifier.predict(X[..., 0]), classifier.predict(X[..., :1]))


def test_the_network_sees_the_negative_of_an_image_as_minus_the_image(cnn):
    seen = []
    hook = cnn.module_.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    cnn.predict(X[:2])
    cnn.predict(255 - X[:2])
    cnn.predict(1 - X[:2] / 255)
    hook.remove()
    assert seen[0].shape == (2, 3, 8, 8)
    torch.testing.assert_close(seen[1], -seen[0])
    torch.testing.assert_close(seen[2], -seen[0])


def test_learned_ranges_may_be_left_and_agreed_ones_not(classifier):
    classifier.set_params(epochs=1).fit(X / 255, y)
    with pytest.raises(ValueError, match=r"outside of the range 0 to 1"):
        classifier.predict(X.astype(float))
    classifier.fit(X / 255 - 3, y)
    assert classifier.value_range_.learned
    assert len(classifier.predict(X / 255 - 2.5)) == len(X)


def test_read_only_images_are_taken(cnn):
    frozen = X_TEST.copy()
    frozen.flags.writeable = False
    assert_array_equal(cnn.predict(frozen), cnn.predict(X_TEST))


# What it refuses


def test_other_sizes_are_refused(cnn):
    with pytest.raises(ValueError, match="8×4 pixels with 3 channels, but this CNNClassifier"):
        cnn.predict(X[:, :, :4])


def test_nan_is_refused(cnn):
    broken = X / 255
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        cnn.predict(broken)
    with pytest.raises(ValueError, match="NaN"):
        clone(cnn).fit(broken, y)


@pytest.mark.parametrize("n", [1, 20])
def test_one_class_is_refused(classifier, n):
    with pytest.raises(ValueError, match=rf"one class only, .*7.*, in n_samples={n}"):
        classifier.fit(X[:n], np.full(n, 7))


@pytest.mark.parametrize("name", ["convmixer", "vit"])
def test_patches_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match="patches of 3×3; the nearest sizes that do are 6×6 and 9"):
        clone(TINY[name]).set_params(patch_size=3).fit(X, y)
    with pytest.raises(ValueError, match="8×8 pixels") as error:
        clone(TINY[name]).set_params(patch_size=3).fit(X.reshape(len(X), -1), y)
    assert "image_shape" in error.value.__notes__[0]


def test_a_training_that_diverges_is_refused():
    with pytest.raises(ValueError, match=r"diverged.*learning_rate=1e\+30"):
        clone(TINY["cnn"]).set_params(learning_rate=1e30).fit(X, y)


@pytest.mark.parametrize("n", [2, 16, 17, 33])
def test_no_number_of_images_breaks_batch_normalization(n):
    assert clone(TINY["cnn"]).set_params(depth=4, epochs=1).fit(X[:n], y[:n]).n_iter_ == 1


def test_an_interrupt_is_not_taken_for_the_end_of_training(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CNN, "forward_features", interrupt)
    for early_stopping in (False, True):
        with pytest.raises(KeyboardInterrupt):
            clone(TINY["cnn"]).set_params(early_stopping=early_stopping).fit(X, y)


# Randomness


def numpy_global_state():
    return str(np.random.get_state(legacy=False))  # noqa: NPY002 (it is the global one we mean)


def test_a_seed_decides_on_everything_and_global_generators_are_left_alone(classifier):
    classifier.set_params(epochs=2, early_stopping=True, validation_fraction=0.25)
    torch_state, numpy_state = torch.get_rng_state(), numpy_global_state()
    first = clone(classifier).fit(X, y)
    pickle.loads(pickle.dumps(first))
    torch.testing.assert_close(torch.get_rng_state(), torch_state)
    assert numpy_global_state() == numpy_state
    torch.rand(1)
    second = clone(classifier).fit(X, y)
    assert_array_equal(second.predict_proba(X_TEST), first.predict_proba(X_TEST))
    assert second.history_ == first.history_
    other = clone(classifier).set_params(random_state=1).fit(X, y)
    assert other.history_ != first.history_


def test_without_a_seed_no_two_fits_are_alike():
    free = clone(TINY["cnn"]).set_params(random_state=None, epochs=1)
    assert clone(free).fit(X, y).history_ != clone(free).fit(X, y).history_


# Training


def test_early_stopping_stops_and_keeps_the_best_epoch(cnn, monkeypatch):
    splits = []

    def split(*args, **kwargs):
        splits.append(train_test_split(*args, **kwargs))
        return splits[-1]

    monkeypatch.setattr("ricsk.classifiers._training.train_test_split", split)
    noise = np.random.default_rng(0).permutation(y)
    stopped = clone(cnn).set_params(
        epochs=60, early_stopping=True, validation_fraction=0.25, n_iter_no_change=2
    )
    stopped.fit(X, noise)
    assert stopped.n_iter_ < 60
    losses = [epoch["valid_loss"] for epoch in stopped.history_]
    assert int(np.argmin(losses)) == stopped.n_iter_ - 3
    held = splits[0][1]
    assert_allclose(log_loss(noise[held], stopped.predict_proba(X[held])), min(losses), rtol=1e-4)


def test_early_stopping_holds_images_out(cnn, monkeypatch):
    seen = []
    forward = CNN.forward_features

    def count(network, x):
        seen.append((network.training, len(x)))
        return forward(network, x)

    monkeypatch.setattr(CNN, "forward_features", count)
    clone(cnn).set_params(epochs=1, early_stopping=True, validation_fraction=0.25).fit(X, y)
    assert sum(n for training, n in seen if training) == 120
    assert sum(n for training, n in seen if not training) == 40
    seen.clear()
    plain = clone(cnn).set_params(epochs=1).fit(X, y)
    assert seen == [(True, 16)] * 10
    assert set(plain.history_[0]) == {"epoch", "train_loss"}


def test_verbose_shows_a_bar_and_silence_is_silent(cnn, capsys):
    clone(cnn).set_params(epochs=1, verbose=1, early_stopping=True).fit(X, y)
    shown = capsys.readouterr()
    assert "/10 [" in shown.err  # 9 batches of 144 images, 1 of the 16 held out
    assert not shown.out
    clone(cnn).set_params(epochs=1, early_stopping=True).fit(X, y)
    assert capsys.readouterr() == ("", "")


def test_model_selection(classifier):
    rate = classifier.learning_rate
    assert cross_val_score(classifier, X, y, cv=2).min() > 0.3
    search = GridSearchCV(classifier, {"learning_rate": [1e-7, rate]}, cv=2).fit(X, y)
    assert search.best_params_ == {"learning_rate": rate}


def test_other_devices_are_refused():
    for name in ("gpu", "", "meta"):
        with pytest.raises(ValueError, match=f"device='{name}' is not available here.*'cpu'"):
            clone(TINY["cnn"]).set_params(device=name).fit(X, y)


# Storage


def through_skops(estimator):
    data = skops.io.dumps(estimator)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def through_joblib(estimator, path):
    joblib.dump(estimator, path)
    return joblib.load(path)


def test_stored_and_read_back_it_predicts_the_same(fitted, tmp_path):
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        through_joblib(fitted, tmp_path / "classifier.joblib"),
        through_skops(fitted),
        copy.deepcopy(fitted),
    ):
        assert_array_equal(other.predict_proba(X_TEST), fitted.predict_proba(X_TEST))
        assert_array_equal(other.features(X_TEST), fitted.features(X_TEST))
        assert other.history_ == fitted.history_
        assert all(parameter.requires_grad for parameter in other.module_.parameters())


def test_unfitted_it_can_be_stored(classifier):
    assert through_skops(classifier).get_params() == classifier.get_params()


def test_skops_has_to_trust_this_package_alone(fitted):
    untrusted = skops.io.get_untrusted_types(data=skops.io.dumps(fitted))
    assert untrusted
    assert all(name.startswith("ricsk.") for name in untrusted)


def test_the_state_holds_no_code_and_reading_unpickles_nothing(fitted, monkeypatch):
    state = fitted.__getstate__()
    assert isinstance(state["weights_"], bytes)
    assert not any(
        type(value).__module__.startswith(("torch", "skorch")) for value in state.values()
    )
    data = skops.io.dumps(fitted)

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    for module, name in [
        (pickle, "loads"),
        (pickle, "load"),
        (pickle, "Unpickler"),
        (torch, "load"),
    ]:
        monkeypatch.setattr(module, name, refuse)
    other = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert_array_equal(other.predict(X_TEST), fitted.predict(X_TEST))


def test_what_is_stored_is_the_network_as_it_is_now(cnn):
    changed = copy.deepcopy(cnn).set_params(width=99)
    with torch.no_grad():
        changed.module_.network.head.bias += torch.arange(4.0)
    expected = changed.predict_proba(X_TEST)
    assert not np.allclose(expected, cnn.predict_proba(X_TEST))
    assert_array_equal(through_skops(changed).predict_proba(X_TEST), expected)


def test_a_device_that_the_reading_machine_lacks_is_replaced(cnn, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    elsewhere = copy.deepcopy(cnn)
    elsewhere.set_params(device="cuda:1").device_ = "cuda:1"
    assert_array_equal(copy.deepcopy(elsewhere).predict(X_TEST), cnn.predict(X_TEST))
    with pytest.raises(ValueError, match="device='cuda:1' is not available"):
        elsewhere.fit(X, y)


def test_a_fitted_classifier_can_be_shown(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "Classifier" in fitted._repr_html_()
