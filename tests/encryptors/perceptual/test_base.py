"""What all perceptual encryptors have in common."""

import copy
import pickle
import re
import warnings
from dataclasses import MISSING, fields
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from ricsk import (
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    SecretKey,
)
from ricsk.base import get_encryptor_tags
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import SmallKeySpaceWarning

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
SMALL = PIXELS[:, :4, :4]
SHARED = {"block_size": 4, "per_block_keys": False}
ENCRYPTORS = [
    EtCEncryptor(KEY, block_size=4),
    EtCEncryptor(KEY, block_size=5, pad=True, flatten=True),
    EtCEncryptor(KEY, **SHARED),
    EtCEncryptor(KEY, **SHARED, sub_block_size=2),
    EtCEncryptor(KEY, **SHARED, sub_block_size=1, rotate=False),
    EtCEncryptor(KEY, block_size=4, grayscale=True),
    EtCEncryptor(KEY, block_size=4, grayscale="ycbcr", shuffle_channels=False),
    EtCEncryptor(KEY, variant="madono2020"),
    EtCEncryptor(KEY, variant="madono2020", shuffle_channels=False),
    EtCEncryptor(KEY, block_size=4, variant="fugokidi2023"),
    PixelEncryptor(KEY),
    PixelEncryptor(KEY, shuffle_channels=False, flatten=True),
    LearnableEncryptor(KEY),
    LearnableEncryptor(KEY, reversal="independent"),
    LearnableEncryptor(KEY, block_size=5, pad=True, per_block_keys=True, scramble_blocks=True),
    EtCEncryptor(KEY, block_size=5, pad=True, per_image_keys=True),
    PixelEncryptor(KEY, per_image_keys=True, flatten=True),
    LearnableEncryptor(KEY, per_image_keys=True),
]
OTHER_VALUES = {
    "key": [OTHER, None],
    "block_size": [3, 7],
    "sub_block_size": [1, 3],
    "grayscale": [True, False, "ycbcr"],
    "variant": ["madono2020", "fugokidi2023", None],
    "reversal": ["from_key", "independent"],
    "image_shape": [(2, 3, 1)],
    "value_range": [(0.25, 0.5)],
}


def name(encryptor):
    """Say how an encryptor is made, but for its key."""
    return re.sub(r"\s+|key=[^)]+\),?", "", str(encryptor)).replace(",)", ")")


every_encryptor = pytest.mark.parametrize("encryptor", ENCRYPTORS, ids=name)
with_one_map = pytest.mark.parametrize(
    "encryptor", [one for one in ENCRYPTORS if not one.per_image_keys], ids=name
)


def recoverable(encryptor):
    return hasattr(encryptor, "inverse_transform")


def other_values(encryptor):
    """Give for each parameter the values that it does not have."""
    for name, value in encryptor.get_params().items():
        for other in OTHER_VALUES.get(name, [True, False]):
            if other != value:
                yield {name: other}


def everything_about(encryptor):
    """Do all that a fitted encryptor can do."""
    results = [encryptor.transform(X) for X in (PIXELS, PIXELS / 255)]
    if recoverable(encryptor):
        results += [encryptor.inverse_transform(C) for C in results]
    results += [encryptor.with_key(OTHER).transform(PIXELS)]
    return {
        "bytes": [(x.shape, x.dtype, x.tobytes()) for x in results],
        "bits": [encryptor.key_space_bits(), encryptor.key_space_bits((20, 60, 3))],
        "names": list(encryptor.get_feature_names_out()),
        "tags": get_encryptor_tags(encryptor),
    }


def load_with_skops(encryptor):
    dumped = skops.io.dumps(encryptor)
    return skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))


@every_encryptor
def test_a_parameter_that_is_changed_after_fit_changes_nothing(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    expected = everything_about(fitted)
    all_changes = {}
    for change in other_values(encryptor):
        changed = copy.copy(fitted).set_params(**change)
        assert everything_about(changed) == expected, change
        all_changes.update(change)
    assert set(all_changes) == set(encryptor.get_params())
    assert everything_about(fitted.set_params(**all_changes)) == expected


@every_encryptor
@pytest.mark.parametrize(
    "make_copy",
    [
        copy.copy,
        copy.deepcopy,
        lambda encryptor: pickle.loads(pickle.dumps(encryptor)),
        load_with_skops,
    ],
    ids=["copy", "deepcopy", "pickle", "skops"],
)
def test_copies_do_what_was_fitted_whatever_the_parameters_are_now(encryptor, make_copy):
    fitted = clone(encryptor).fit(PIXELS)
    expected = everything_about(fitted)
    for change in other_values(encryptor):
        changed = copy.copy(fitted).set_params(**change)
        assert everything_about(make_copy(changed)) == expected, change


@every_encryptor
def test_joblib_files_do_what_was_fitted(encryptor, tmp_path):
    fitted = clone(encryptor).fit(PIXELS)
    expected = everything_about(fitted)
    for change in other_values(encryptor):
        fitted.set_params(**change)
    joblib.dump(fitted, tmp_path / "encryptor.joblib")
    assert everything_about(joblib.load(tmp_path / "encryptor.joblib")) == expected


@every_encryptor
def test_the_next_fit_reads_the_parameters_again(encryptor):
    for change in ({"key": OTHER}, {"flatten": not encryptor.flatten}, {"block_size": 2}):
        if set(change) <= set(encryptor.get_params()):
            refitted = clone(encryptor).fit(PIXELS).set_params(**change).fit(PIXELS)
            expected = clone(encryptor).set_params(**change).fit(PIXELS)
            assert everything_about(refitted) == everything_about(expected)
            assert everything_about(refitted) != everything_about(clone(encryptor).fit(PIXELS))


def test_tables_come_out_as_fitted():
    """`set_output` makes tables of flattened ciphertexts alone."""
    flat = PixelEncryptor(KEY, flatten=True).set_output(transform="pandas").fit(PIXELS)
    images = PixelEncryptor(KEY).set_output(transform="pandas").fit(PIXELS)
    for encryptor in (flat, images):
        encryptor.set_params(flatten=not encryptor.flatten)
    assert isinstance(flat.transform(PIXELS), pd.DataFrame)
    assert isinstance(images.transform(PIXELS), np.ndarray)
    assert isinstance(flat.fit_transform(PIXELS), np.ndarray)
    assert isinstance(images.fit_transform(PIXELS), pd.DataFrame)


@with_one_map
def test_the_map_is_neither_stored_nor_shown(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    assert "pixel_map_" not in fitted.__getstate__()
    index, mask = fitted.pixel_map_.index, fitted.pixel_map_.mask
    shown = repr(fitted) + str(fitted.pixel_map_) + repr(fitted.scheme_) + fitted._repr_html_()
    shown = re.sub(r"\s+", "", shown)
    for secret in (index, mask):
        assert re.sub(r"\s+", "", ",".join(map(str, secret[:8].tolist()))) not in shown
        assert re.sub(r"\s+", "", str(secret)).strip("[]")[:20] not in shown
    stored = pickle.dumps(fitted)
    for array in (index, mask, index.astype("i4"), index.astype("u1")):
        assert array.tobytes()[:64] not in stored


@with_one_map
def test_the_scheme_holds_nothing_of_the_key(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    other = clone(encryptor).set_params(key=OTHER).fit(PIXELS)
    assert fitted.scheme_ == other.scheme_
    assert (fitted.pixel_map_.mask != other.pixel_map_.mask).any()


@every_encryptor
def test_a_scheme_from_before_an_option_existed_has_its_default(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    expected = fitted.transform(PIXELS)
    shape, *options = fields(fitted.scheme_)
    assert shape.name == "image_shape"
    for option in options:
        assert option.default is not MISSING
        if getattr(fitted.scheme_, option.name) == option.default:
            state = fitted.__getstate__()
            del state["scheme_"][option.name]
            older = clone(encryptor)
            older.__setstate__(state)
            np.testing.assert_array_equal(older.transform(PIXELS), expected)
            assert older.scheme_ == fitted.scheme_


@every_encryptor
def test_a_state_holds_plain_values_key_and_range_alone(encryptor):
    fitted = clone(encryptor).fit(PIXELS)
    dumped = skops.io.dumps(fitted)
    assert skops.io.get_untrusted_types(data=dumped) == [
        f"ricsk.encryptors.{type(encryptor).__name__}",
        "ricsk.images.ValueRange",
        "ricsk.keys.SecretKey",
    ]


@pytest.mark.parametrize("whole", [int, np.int8, np.int64, np.uint16])
@pytest.mark.parametrize("yes", [True, np.True_])
def test_numbers_may_be_those_of_numpy(whole, yes):
    """A search over ``numpy.arange(2, 8)`` sets such ones."""
    for encryptor in (
        EtCEncryptor(KEY, block_size=whole(5), pad=yes, grayscale=yes),
        EtCEncryptor(KEY, block_size=whole(6), sub_block_size=whole(3), pad=yes, per_block_keys=0),
        LearnableEncryptor(KEY, block_size=whole(5), pad=yes, per_block_keys=yes),
    ):
        if encryptor.per_block_keys == 0:
            encryptor.set_params(per_block_keys=np.False_)
        plain = clone(encryptor).set_params(block_size=int(encryptor.block_size), pad=True)
        expected = plain.fit_transform(PIXELS)
        np.testing.assert_array_equal(encryptor.fit_transform(PIXELS), expected)
        np.testing.assert_array_equal(load_with_skops(encryptor).transform(PIXELS), expected)


@every_encryptor
def test_key_space_of_an_unfitted_encryptor_is_that_of_its_parameters(encryptor):
    bits = clone(encryptor).key_space_bits((20, 60, 3))
    assert bits == clone(encryptor).fit(PIXELS).key_space_bits((20, 60, 3))
    assert bits == clone(encryptor).fit(np.zeros((1, 20, 60, 3), np.uint8)).key_space_bits()
    grey = clone(encryptor).key_space_bits((20, 60))
    assert grey == clone(encryptor).fit(np.zeros((1, 20, 60), np.uint8)).key_space_bits()


@pytest.mark.parametrize("fitted", [False, True])
def test_key_space_of_what_cannot_be_encrypted_is_refused(fitted):
    encryptor = EtCEncryptor(KEY, block_size=4)
    if fitted:
        encryptor.fit(PIXELS)
    with pytest.raises(ValueError, match="do not fill images of 10×12"):
        encryptor.key_space_bits((10, 12))
    for shape in [(12,), (12, 12, 2), (12, 12, 3, 1), (-4, -4)]:
        with pytest.raises(ValueError, match=r"expected \(height, width\)"):
            encryptor.key_space_bits(shape)


def test_key_space_before_fit_needs_a_shape_and_possible_parameters():
    with pytest.raises(NotFittedError):
        EtCEncryptor(KEY).key_space_bits()
    with pytest.raises(ValueError, match="'block_size' parameter"):
        EtCEncryptor(block_size=0).key_space_bits((8, 8))
    with pytest.raises(ValueError, match="Leave those out, or the variant"):
        EtCEncryptor(variant="fugokidi2023", grayscale=True).key_space_bits((32, 32))


def test_a_scheme_must_say_what_its_parameters_mean():
    class Incomplete(PixelMapEncryptor):
        pass

    with pytest.raises(TypeError, match="_make_scheme"):
        Incomplete()


def fit(encryptor):
    return encryptor.fit(SMALL)


def fit_transform(encryptor):
    return encryptor.fit_transform(SMALL)


def fit_in_pipeline(encryptor):
    encryptor.set_params(flatten=True)
    return make_pipeline(encryptor, LogisticRegression()).fit(SMALL, [0, 1, 0])


def fit_private(encryptor):
    return PrivateClassifier(encryptor, LogisticRegression()).fit(SMALL, [0, 1, 0])


def fit_search(encryptor):
    encryptor.set_params(flatten=True)
    pipeline = make_pipeline(encryptor, LogisticRegression())
    step = pipeline.steps[0][0]
    search = GridSearchCV(pipeline, {f"{step}__key": [KEY]}, cv=2)
    return search.fit(np.repeat(SMALL, 4, axis=0), [0, 1] * 6)


@pytest.mark.parametrize(
    "call", [fit, fit_transform, fit_in_pipeline, fit_private, fit_search], ids=lambda f: f.__name__
)
@pytest.mark.parametrize(
    "encryptor",
    [
        EtCEncryptor(KEY, block_size=2),
        PixelEncryptor(KEY),
        LearnableEncryptor(KEY, block_size=1),
    ],
    ids=lambda e: type(e).__name__,
)
def test_the_warning_of_a_small_key_space_names_the_line_that_called(encryptor, call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SmallKeySpaceWarning)
        call(clone(encryptor))
    assert caught
    lines = Path(__file__).read_text().splitlines()
    for warning in caught:
        assert warning.category is SmallKeySpaceWarning
        assert Path(warning.filename) == Path(__file__)
        assert lines[warning.lineno - 1].startswith("    return ")
        assert call.__code__.co_firstlineno < warning.lineno < call.__code__.co_firstlineno + 7


@every_encryptor
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 255], ids=["k/255", "whole numbers"])
def test_levels_of_floats_become_levels_and_come_back_exactly(encryptor, dtype, scale):
    X = (PIXELS / 255).astype(dtype) if scale == 1 else PIXELS.astype(dtype)
    levels = clone(encryptor).fit(PIXELS)
    fitted = clone(encryptor).fit(X)
    C = levels.transform(PIXELS)
    np.testing.assert_array_equal(
        fitted.transform(X), (C / 255).astype(dtype) if scale == 1 else C.astype(dtype)
    )
    assert fitted.transform(X).dtype == dtype
    if scale == 1:
        as_files_have_it = (fitted.transform(X).astype(float) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(as_files_have_it, C)
    if recoverable(fitted) and encryptor.get_params().get("grayscale") != "ycbcr":
        back = fitted.inverse_transform(fitted.transform(X))
        np.testing.assert_array_equal(back, X)
        assert back.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("low_high", [(0, 1), (-3.5, 5), (200, 60000)])
@pytest.mark.parametrize(
    "encryptor", [EtCEncryptor(KEY, block_size=4), PixelEncryptor(KEY)], ids=["EtC", "PE"]
)
def test_other_floats_come_back_up_to_one_rounding(encryptor, dtype, low_high):
    low, high = low_high
    X = (low + (high - low) * rng.random(PIXELS.shape)).astype(dtype)
    fitted = clone(encryptor).fit(X)
    C = fitted.transform(X)
    one_rounding = np.spacing(np.asarray(max(abs(low), abs(high)), dtype))
    np.testing.assert_allclose(fitted.inverse_transform(C), X, rtol=0, atol=one_rounding)
    values = fitted.value_range_
    exact = fitted.pixel_map_.on_floats(X.astype(float), values.low, values.high)
    np.testing.assert_allclose(C.astype(float), exact, rtol=0, atol=one_rounding)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: X[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "a part of wider images": lambda X: np.pad(X, ((1, 1), (1, 1), (1, 1), (1, 1)))[
        1:-1, 1:-1, 1:-1, 1:-1
    ],
    "channel-first in memory": lambda X: np.ascontiguousarray(np.moveaxis(X, -1, 1)).transpose(
        0, 2, 3, 1
    ),
}


@every_encryptor
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i2", "<f4", ">f4", ">f8", ">f2"])
def test_layout_in_memory_makes_no_difference(encryptor, layout, dtype):
    X = (PIXELS if np.dtype(dtype).kind in "iu" else PIXELS / 255).astype(dtype)
    given = layout(X)
    fitted = clone(encryptor).fit(given)
    C = fitted.transform(given)
    expected = clone(encryptor).fit(X).transform(X)
    assert C.dtype == X.dtype
    np.testing.assert_array_equal(C, expected)
    np.testing.assert_array_equal(given, X)
    if not recoverable(fitted):
        return
    if C.ndim == 4:
        C = layout(C)
    back = fitted.inverse_transform(C)
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, fitted.inverse_transform(expected))
