"""What every encryptor keeps on 4-D images, which scikit-learn's own checks never feed."""

import pickle

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from ricsk import PrivateClassifier, SecretKey
from tests.instances import ENCRYPTORS, GUIDED_ENCRYPTORS, KEY
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)


def name(value):
    return str(value) if hasattr(value, "get_params") else None


def recoverable(encryptor):
    return hasattr(encryptor, "inverse_transform")


every_encryptor = pytest.mark.parametrize("encryptor", ENCRYPTORS, ids=name)
recoverable_encryptors = pytest.mark.parametrize(
    "encryptor", [e for e in ENCRYPTORS if recoverable(e)], ids=name
)


def encrypted(encryptor, X):
    fitted = clone(encryptor).fit(X)
    return fitted, fitted.transform(X)


@recoverable_encryptors
@pytest.mark.parametrize("channels", [1, 3])
def test_uint8_comes_back_bit_for_bit(encryptor, channels):
    X = PIXELS[..., :channels]
    fitted, C = encrypted(encryptor, X)
    assert C.dtype == np.uint8
    # One grey value to a block has so few keys that one of them may change nothing.
    keys = [KEY, *(SecretKey(bytes([i]) * 32) for i in range(8))]
    assert any(not np.array_equal(fitted.with_key(key).transform(X), X) for key in keys)
    np.testing.assert_array_equal(fitted.inverse_transform(C), X)


@recoverable_encryptors
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low_high", [(0, 1), (-3, 5)])
def test_floats_come_back_within_rounding(encryptor, dtype, low_high):
    low, high = low_high
    X = (low + (high - low) * (PIXELS / 255)).astype(dtype)
    fitted, C = encrypted(encryptor, X)
    assert C.dtype == dtype
    X_back = fitted.inverse_transform(C)
    assert X_back.dtype == dtype
    np.testing.assert_allclose(X_back, X, atol=(high - low) * 4 * np.finfo(dtype).eps)


@every_encryptor
def test_floats_and_uint8_have_the_same_ciphertext(encryptor):
    fitted, C = encrypted(encryptor, PIXELS)
    np.testing.assert_allclose(fitted.transform(PIXELS / 255), C / 255, atol=1e-12)


@every_encryptor
def test_forms_of_images_agree(encryptor):
    grey = PIXELS[..., :1]
    fitted, C = encrypted(encryptor, grey)
    np.testing.assert_array_equal(fitted.transform(grey[..., 0]), C[..., 0])
    flat = clone(encryptor).set_params(image_shape=(6, 4, 3))
    C_flat = flat.fit_transform(PIXELS.reshape(5, -1))
    np.testing.assert_array_equal(C_flat, encrypted(encryptor, PIXELS)[1].reshape(5, -1))


@every_encryptor
def test_other_images_of_the_batch_change_nothing(encryptor):
    fitted, C = encrypted(encryptor, PIXELS)
    for i in range(5):
        np.testing.assert_array_equal(fitted.transform(PIXELS[[i]]), C[[i]])
    np.testing.assert_array_equal(fitted.transform(PIXELS[::-1]), C[::-1])


@every_encryptor
def test_the_key_decides(encryptor):
    _, C = encrypted(encryptor, PIXELS)
    np.testing.assert_array_equal(encrypted(encryptor, PIXELS)[1], C)
    other = clone(encryptor).set_params(key=SecretKey(bytes(32)))
    assert not np.array_equal(encrypted(other, PIXELS)[1], C)


@recoverable_encryptors
def test_another_key_brings_nothing_back(encryptor):
    X = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    _, C = encrypted(encryptor, X)
    other, _ = encrypted(clone(encryptor).set_params(key=SecretKey(bytes(32))), X)
    assert np.mean(other.inverse_transform(C) == X) < 0.5


@every_encryptor
def test_refitting_forgets_the_former_images(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    again = fitted.fit(PIXELS[:, :4, :, :1])
    assert again is fitted
    assert fitted.image_shape_in_ == (4, 4, 1)
    assert fitted.n_features_in_ == 16
    fresh = clone(encryptor).fit(PIXELS[:, :4, :, :1])
    X = PIXELS[:, :4, :, :1]
    np.testing.assert_array_equal(fitted.transform(X), fresh.transform(X))


@every_encryptor
def test_key_parameter_may_be_bytes_or_path_and_never_prints(encryptor, tmp_path):
    KEY.save(tmp_path / "images.key")
    _, C = encrypted(encryptor, PIXELS)
    for key in (bytes(range(32)), tmp_path / "images.key", str(tmp_path / "images.key")):
        other = clone(encryptor)
        other.key = key
        np.testing.assert_array_equal(encrypted(other, PIXELS)[1], C)
        shown = repr(other) + str(other.get_params()) + other._repr_html_()
        assert bytes(range(32)).hex() not in shown
        assert repr(bytes(range(32)))[2:20] not in shown


@every_encryptor
@pytest.mark.parametrize("copy", ["pickle", "joblib", "skops", "clone"])
def test_copies_encrypt_alike(encryptor, copy, tmp_path):
    fitted, C = encrypted(encryptor, PIXELS)
    if copy == "pickle":
        other = pickle.loads(pickle.dumps(fitted))
    elif copy == "joblib":
        joblib.dump(fitted, tmp_path / "encryptor.joblib")
        other = joblib.load(tmp_path / "encryptor.joblib")
    elif copy == "skops":
        dumped = skops.io.dumps(fitted)
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert all(name.startswith("ricsk.") for name in untrusted)
        other = skops.io.loads(dumped, trusted=untrusted)
    else:
        other = clone(fitted).fit(PIXELS)
    np.testing.assert_array_equal(other.transform(PIXELS), C)
    if recoverable(fitted):
        np.testing.assert_array_equal(other.inverse_transform(C), PIXELS)


@every_encryptor
@pytest.mark.parametrize("dumps", [pickle.dumps, skops.io.dumps])
def test_a_key_from_a_file_is_saved_by_reference(encryptor, dumps, tmp_path):
    key = KEY.save(tmp_path / "images.key")
    fitted = clone(encryptor).set_params(key=key).fit(PIXELS)
    dumped = dumps(fitted)
    secrets = [bytes(range(32))]
    if hasattr(fitted, "pixel_map_"):
        secrets += [fitted.pixel_map_.index.tobytes(), fitted.pixel_map_.mask.tobytes()]
    for secret in secrets:
        assert secret[:16] not in dumped
        assert secret[:16].hex().encode() not in dumped


@every_encryptor
def test_without_a_key_fit_says_how_to_make_one(encryptor):
    with pytest.raises(ValueError, match=r"SecretKey.generate\(\)"):
        clone(encryptor).set_params(key=None).fit(PIXELS)


def test_a_key_of_wrong_length_is_refused_without_printing_it():
    with pytest.raises(ValueError, match="32 bytes") as caught:
        clone(ENCRYPTORS[0]).set_params(key=b"hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("encryptor", [*ENCRYPTORS, *GUIDED_ENCRYPTORS], ids=name)
@pytest.mark.parametrize("value", [SECRET, SECRET_TEXT, SECRET.hex(), list(SECRET)], ids=type)
def test_parameters_are_no_place_for_a_key_that_shows(encryptor, value):
    """Searches set parameters, and show what they set."""
    pipeline = make_pipeline(clone(encryptor))
    step = pipeline.steps[0][0]
    for estimator, parameter in [
        (clone(encryptor), "key"),
        (PrivateClassifier(clone(encryptor)), "encryptor__key"),
        (pipeline, f"{step}__key"),
    ]:
        with pytest.raises((TypeError, ValueError)) as caught:
            estimator.set_params(**{parameter: value})
        assert_no_secret(caught.value)
        assert estimator.get_params()[parameter] is KEY


@every_encryptor
def test_before_fit_nothing_is_encrypted(encryptor):
    with pytest.raises(NotFittedError):
        clone(encryptor).transform(PIXELS)
    if recoverable(encryptor):
        with pytest.raises(NotFittedError):
            clone(encryptor).inverse_transform(PIXELS)


@every_encryptor
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (PIXELS[:, :4], "4×4 pixels with 3 channels.*fitted on images of 6×4 pixels with 3"),
        (PIXELS[..., :1], "6×4 pixels with 1 channel, .*fitted on"),
        (np.moveaxis(PIXELS, -1, 1), "channel-first"),
        (np.where(PIXELS > 200, np.nan, 0.5), "contains NaN"),
        (PIXELS[:0], "0 sample"),
        (PIXELS[0], "single image; expected a batch"),
        (PIXELS.astype(np.int64) - 1, "expected 8-bit values"),
        (np.zeros((2, 71)), "71 features"),
        ([[["a"]]], "arrays of bytes/strings"),
    ],
)
def test_bad_images_are_refused_in_clear_words(encryptor, X, message):
    fitted = clone(encryptor).fit(PIXELS)
    with pytest.raises(ValueError, match=message):
        fitted.transform(X)


@recoverable_encryptors
def test_bad_ciphertexts_are_refused_in_clear_words(encryptor):
    fitted, C = encrypted(encryptor, PIXELS)
    with pytest.raises(ValueError, match=r"but ciphertexts of this .* have"):
        fitted.inverse_transform(C[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.inverse_transform(np.where(C > 0, np.nan, C))


@every_encryptor
def test_floats_on_the_wrong_scale_are_refused(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    with pytest.raises(ValueError, match=r"outside of the range 0 to 1"):
        fitted.transform(PIXELS.astype(float))
    agreed = clone(encryptor).set_params(value_range=(0, 255)).fit(PIXELS.astype(float))
    np.testing.assert_array_equal(agreed.transform(PIXELS.astype(float)), fitted.transform(PIXELS))


@every_encryptor
def test_stands_in_pipelines_and_searches(encryptor):
    X = rng.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    y = np.repeat(["dark", "light"], 20)
    X[y == "dark"] //= 4
    flat = clone(encryptor).set_params(image_shape=(4, 4))
    pipeline = make_pipeline(flat, LogisticRegression(max_iter=1000))
    X = X.reshape(40, -1) / 255
    assert cross_val_score(pipeline, X, y, cv=3).shape == (3,)
    step = pipeline.steps[0][0]
    grid = {f"{step}__key": [KEY, SecretKey(bytes(32))]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.predict(X).shape == (40,)
    assert bytes(range(32)).hex() not in str(search.cv_results_)
    shown = GridSearchCV(pipeline, {f"{step}__key": [bytes(range(32))]}, cv=2)
    with pytest.raises(TypeError, match="as bytes"):
        shown.fit(X, y)
    assert not hasattr(shown, "cv_results_")
