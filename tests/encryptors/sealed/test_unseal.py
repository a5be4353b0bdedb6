"""The key alone opens; what does not open is named, with what seems to be wrong with it."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import SealedEncryptor, SecretKey, unseal
from ricsk.codecs import compress
from ricsk.datasets import make_street_numbers
from ricsk.encryptors.sealed._opener import SecretOpener
from ricsk.encryptors.sealed._unseal import name_images
from ricsk.exceptions import NewerFormatError, NotSealedError
from tests.encryptors.sealed.reference import KEY, RAW, carrier_of, header, ramp, seal

OTHER = SecretKey(bytes(32))
PLAIN = make_street_numbers(1, size=24, random_state=0)[0][0] & 0xF0
GREY = PLAIN[..., :1]
NOISE = np.random.default_rng(0).integers(0, 256, PLAIN.shape, np.uint8)


def sealed_by_hand(image, bit_planes=5, key=KEY, carrier=NOISE):
    message = header(codec=1) + compress(image, "webp")[1]
    return seal(key, carrier[..., : image.shape[2]], bit_planes, message)


SEALED = sealed_by_hand(PLAIN)
SEALED_GREY = sealed_by_hand(GREY)


# Without what only classifiers need.


@pytest.mark.parametrize(
    "line",
    [
        "from ricsk import unseal",
        "from ricsk.encryptors import EtCEncryptor; from ricsk.encryptors.sealed import unseal",
    ],
)
def test_it_opens_without_pytorch(line, tmp_path):
    np.save(tmp_path / "C.npy", SEALED[np.newaxis])
    KEY.save(tmp_path / "key")
    script = f"""
import sys
import numpy as np
{line}
np.save(r"{tmp_path}/X.npy", unseal(np.load(r"{tmp_path}/C.npy"), r"{tmp_path}/key"))
assert not {{"torch", "skorch"}} & set(sys.modules), "PyTorch was imported"
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy")[0], PLAIN)


# What opens.


def test_any_number_of_bit_planes_in_any_order():
    planes = [5, 7, 4, 5, 6, 6, 7]
    C = np.stack([sealed_by_hand(PLAIN, k) for k in planes])
    np.testing.assert_array_equal(unseal(C, KEY), np.stack([PLAIN] * len(planes)))


def test_an_opener_reads_images_of_several_sizes():
    opener = SecretOpener(KEY)
    for image, pixels in ((PLAIN, SEALED), (GREY, SEALED_GREY), (PLAIN, SEALED)):
        np.testing.assert_array_equal(opener.open(pixels), image)


def test_keys_are_derived_once_for_all_images(monkeypatch):
    derived = []
    derive = SecretKey.derive

    def record(self, purpose, *args, **settings):
        derived.append(purpose)
        return derive(self, purpose, *args, **settings)

    monkeypatch.setattr(SecretKey, "derive", record)
    unseal(np.stack([SEALED] * 5), KEY)
    assert sorted(derived) == ["sealed/siv", "sealed/tag"]


def test_it_reads_a_key_file_and_grey_images(tmp_path):
    image = ramp((9, 11, 1))
    C = seal(KEY, carrier_of((18, 22, 1)), 4, header(scale=2) + image.tobytes())[np.newaxis]
    KEY.save(tmp_path / "key")
    for key in (KEY, RAW, tmp_path / "key", str(tmp_path / "key")):
        np.testing.assert_array_equal(unseal(C[..., 0], key), image[np.newaxis, ..., 0])
        np.testing.assert_array_equal(unseal(C, key), image[np.newaxis])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4", np.uint16, np.int16])
def test_integers_of_any_width(dtype):
    C = SEALED[np.newaxis].astype(dtype)
    X = unseal(C, KEY)
    assert X.dtype == C.dtype
    np.testing.assert_array_equal(X[0], PLAIN)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f4", ">f8"])
def test_floats_that_are_levels_open_to_floats(dtype):
    C = (SEALED[np.newaxis] / 255).astype(dtype)
    X = unseal(C, KEY)
    assert X.dtype == C.dtype
    np.testing.assert_array_equal(X[0], (PLAIN / 255).astype(dtype))
    np.testing.assert_array_equal(unseal((C * 255 + 0.5).astype(np.uint8), KEY)[0], PLAIN)


def test_lists_of_images():
    np.testing.assert_array_equal(unseal([SEALED, SEALED], KEY), np.stack([PLAIN, PLAIN]))
    np.testing.assert_array_equal(unseal([SEALED.tolist()], KEY)[0], PLAIN)
    colour, grey = unseal([SEALED, SEALED_GREY], KEY)
    np.testing.assert_array_equal(colour, PLAIN)
    np.testing.assert_array_equal(grey, GREY)
    with pytest.raises(NotSealedError, match=r"C\[1\]: .* do not resize, crop or turn it"):
        unseal([SEALED, SEALED[1:]], KEY)


# What does not, and what is said of it.


@pytest.mark.parametrize("level", [0.499, 0.01, -0.2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats_between_levels_are_refused_though_they_round_to_a_ciphertext(level, dtype):
    C = np.stack([SEALED, SEALED, SEALED]) / 255
    C[1, 3, 4, 1] += level / 255
    with pytest.raises(NotSealedError, match=r"1 of 3 .*, C\[1\]: .*between the 256 levels"):
        unseal(C.astype(dtype).clip(0, 1), KEY)


def test_the_advice_for_floats_of_less_precision_helps():
    C = (SEALED[np.newaxis] / 255).astype(np.float16).astype(np.float64)
    with pytest.raises(NotSealedError, match=r"C = numpy\.rint\(255 \* C\) / 255, and do not rely"):
        unseal(C, KEY)
    np.testing.assert_array_equal(unseal(np.rint(255 * C) / 255, KEY)[0], PLAIN / 255)


def test_floats_on_another_scale_are_refused_with_what_to_do():
    C = SEALED[np.newaxis].astype(float)
    with pytest.raises(ValueError, match=r"from 0 to 255; .*C\.astype\(numpy\.uint8\)") as caught:
        unseal(C, KEY)
    assert not isinstance(caught.value, NotSealedError)
    np.testing.assert_array_equal(unseal(C.astype(np.uint8), KEY)[0], PLAIN)
    with pytest.raises(ValueError, match="inverse_transform"):
        unseal(2 * C / 255 - 1, KEY)


def test_what_does_not_open_is_named():
    C = np.stack([SEALED, 255 - SEALED, SEALED, PLAIN])
    with pytest.raises(NotSealedError, match=r"2 of 4 images could not be opened, C\[1\], C\[3\]"):
        unseal(C, KEY)
    np.testing.assert_array_equal(unseal(C[[0, 2]], RAW), np.stack([PLAIN, PLAIN]))
    with pytest.raises(NotSealedError, match=r"4 of 4 .*: wrong key, damaged, or not sealed"):
        unseal(np.stack([SEALED] * 4), OTHER)


def test_images_are_named_up_to_ten():
    assert name_images([2, 5], "X") == "X[2], X[5]"
    assert name_images(range(10)).endswith("C[9]")
    assert name_images(range(11)).endswith("C[9], ...")


def test_a_newer_format_is_named_among_others():
    newer = seal(KEY, SEALED, 5, header(version=3) + b"what is to come")
    with pytest.raises(NewerFormatError, match=r"C\[1\]: this ciphertext is authentic, but"):
        unseal(np.stack([SEALED, newer]), KEY)


def test_sizes_that_differ_after_opening_are_said():
    small = seal(KEY, SEALED, 5, header(scale=4) + bytes(6 * 6 * 3))
    with pytest.raises(ValueError, match="different sizes, enlarged to one"):
        unseal(np.stack([SEALED, small]), KEY)


def test_a_grey_ciphertext_that_was_read_as_colour_is_recognised():
    as_colour = SEALED_GREY.repeat(3, axis=2)
    C = np.stack([SEALED, as_colour, PLAIN])
    with pytest.raises(
        NotSealedError,
        match=r"2 of 3 .*, C\[1\]: a grey ciphertext .* three equal .*; C\[2\]: wrong key",
    ):
        unseal(C, KEY)
    np.testing.assert_array_equal(unseal(C[[1]][..., :1], KEY)[0], GREY)


def test_equal_channels_alone_are_not_taken_for_a_grey_ciphertext():
    for image, key in ((SEALED_GREY, OTHER), (NOISE[..., :1], KEY)):
        with pytest.raises(NotSealedError, match=r"C\[0\]: wrong key"):
            unseal(image.repeat(3, axis=2)[np.newaxis], key)


def test_reversed_channels_are_recognised():
    C = SEALED[np.newaxis, ..., ::-1]
    with pytest.raises(NotSealedError, match=r"reverse order, as OpenCV.*C\[\.\.\., ::-1\]"):
        unseal(C, KEY)
    np.testing.assert_array_equal(unseal(C[..., ::-1], KEY)[0], PLAIN)


def written(image, kind, **settings):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **settings)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(image):
    return np.asarray(Image.fromarray(image).resize((30, 30)))


@pytest.mark.parametrize(
    "image",
    [written(SEALED, "JPEG", quality=100), resized(SEALED), SEALED[1:], np.rot90(SEALED)],
    ids=["JPEG", "resized", "cropped", "turned"],
)
def test_what_files_and_programs_do_to_images_is_told(image):
    with pytest.raises(NotSealedError, match=r"PNG, and do not resize, crop or turn it"):
        unseal(image[np.newaxis], KEY)
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(unseal(written(SEALED, kind)[np.newaxis], KEY)[0], PLAIN)


ALPHA = np.concatenate([SEALED, np.full_like(SEALED[..., :1], 255)], axis=2)


@pytest.mark.parametrize(
    ("C", "message"),
    [
        (np.zeros((1, 24, 24, 2), np.uint8), r"2 channels; expected 1 or 3.*C\[\.\.\., :1\]"),
        (ALPHA[np.newaxis], r"4 channels; .*alpha channel, leave it out: C\[\.\.\., :3\]"),
        (ALPHA, r"4 channels; .*alpha channel, leave it out: C\[\.\.\., :3\]"),
        (np.zeros((1, 3, 24, 24), np.uint8), "channel-first"),
        (SEALED, r"single image; expected a batch.*\[numpy.newaxis\]"),
        (SEALED_GREY[..., 0], r"have a height, .* a single grey one with C\[numpy.newaxis\]"),
        (SEALED.reshape(1, -1), r"have a height, .*C\.reshape\(len\(C\), height, width, channels"),
        (np.zeros((2, 2, 29), np.uint8), "59 values at least"),
        (np.zeros((1, 1, 19, 3), np.uint8), "59 values at least"),
        (np.zeros((0, 24, 24), np.uint8), "0 sample"),
        (SEALED.astype(int)[np.newaxis] + 300, "expected 8-bit values"),
        (np.zeros(24, np.uint8), "dimension|1D array"),
        (np.zeros((1, 1, 24, 24, 3), np.uint8), "5 dimensions"),
        (np.full((1, 24, 24, 3), np.nan), "NaN"),
    ],
)
def test_what_no_sealed_image_can_be_is_refused_in_other_words(C, message):
    with pytest.raises(ValueError, match=message) as caught:
        unseal(C, KEY)
    assert not isinstance(caught.value, NotSealedError)


def test_file_names_are_not_images():
    with pytest.raises(TypeError, match="file names"):
        unseal(["a.png", "b.png"], KEY)


# The same words for the encryptor's own way back.

X, Y = make_street_numbers(60, size=24, random_state=0)
X &= 0xE0


def fitted_on(images):
    classifier = LogisticRegression(C=1e-8, max_iter=50)
    classifier.fit(images.reshape(len(images), -1), Y)
    return SealedEncryptor(KEY, FrozenEstimator(classifier), kappa=0).fit(images)


@pytest.fixture(scope="module")
def on_colour():
    return fitted_on(X)


@pytest.fixture(scope="module")
def on_grey():
    return fitted_on(X[..., 0])


def test_a_grey_encryptor_recognises_grey_ciphertexts_that_were_read_as_colour(on_grey):
    C = on_grey.transform(X[:3, ..., 0])
    as_colour = C[..., np.newaxis].repeat(3, axis=3)
    for method in (on_grey.inverse_transform, lambda C: on_grey.rekey(C, OTHER)):
        with pytest.raises(ValueError, match=r"In C\[0\], C\[1\], C\[2\] all three are equal"):
            method(as_colour)
    np.testing.assert_array_equal(
        on_grey.inverse_transform(as_colour[..., :1])[..., 0], X[:3, ..., 0]
    )
    as_colour[1, 0, 0, 0] ^= 1
    with pytest.raises(ValueError, match=r"In C\[0\], C\[2\] all three are equal"):
        on_grey.inverse_transform(as_colour)


def test_a_colour_encryptor_recognises_them_too(on_colour, on_grey):
    C = on_colour.transform(X[:3])
    C[1] = on_grey.transform(X[1:2, ..., 0])[0, ..., np.newaxis]
    with pytest.raises(NotSealedError, match=r"1 of 3 .*, C\[1\]: a grey ciphertext"):
        on_colour.inverse_transform(C)
    C[1] = on_colour.transform(X[1:2])[0, ..., ::-1]
    with pytest.raises(NotSealedError, match=r"1 of 3 .*, C\[1\]: its channels were read in rev"):
        on_colour.inverse_transform(C)


def test_shapes_that_are_not_the_ciphertexts_are_told(on_colour, on_grey):
    C = on_colour.transform(X[:2])
    alpha = np.concatenate([C, C[..., :1]], axis=3)
    grey = on_grey.transform(X[:2, ..., 0])
    for encryptor, given, message in (
        (on_colour, C[0], r"a single (ciphertext|image); expected a batch"),
        (on_grey, grey[0], r"a single ciphertext; expected a batch. Use C\[numpy.newaxis\]"),
        (on_colour, alpha, r"alpha channel, leave it out: C\[\.\.\., :3\]"),
        (on_colour, C[:, 1:], "unresized"),
        (on_colour, grey, "1 channel, but ciphertexts"),
        (on_colour, [C[0], C[1, 1:]], r"X\[1\]: .* cannot classify images of 23×24 pixels"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            encryptor.inverse_transform(given)
        assert not isinstance(caught.value, NotSealedError)
    flat = on_colour.inverse_transform(C.reshape(2, -1))
    np.testing.assert_array_equal(flat, X[:2].reshape(2, -1))
    np.testing.assert_array_equal(on_grey.inverse_transform(list(grey)), X[:2, ..., 0])
