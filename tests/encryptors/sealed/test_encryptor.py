import copy
import pickle
import subprocess
import sys
import textwrap
import zlib
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import skops.io
from scipy import stats
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics.pairwise import cosine_distances, paired_cosine_distances
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from torch.nn.modules.module import register_module_forward_pre_hook

from ricsk import CNNClassifier, PrivateClassifier, PrivateKey, SealedEncryptor, SecretKey, unseal
from ricsk.base import get_encryptor_tags
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.exceptions import NotSealedError, TargetNotReachedError, TooLargeError
from ricsk.keys import SigningKey
from ricsk.nn.cnn import CNN

KEY = SecretKey(bytes(range(32)))
OTHER = SecretKey(bytes(32))

DIGITS, DIGIT_LABELS = load_digits(size=32)
D_TRAIN, D = DIGITS[:600], DIGITS[600:630]
LINEAR = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.01).fit(
        D_TRAIN.reshape(600, -1) / 255, DIGIT_LABELS[:600]
    )
)

# With 8 levels, so that 16×16 pixels compress well.
X, Y = make_street_numbers(500, size=16, random_state=0)
X &= 0xE0
X_TEST = X[:16]


def flat(images):
    return images.reshape(len(images), -1) / 255


def linear(**parameters):
    return SealedEncryptor(
        parameters.pop("key", KEY),
        parameters.pop("classifier", LINEAR),
        **{"image_shape": (32, 32), **parameters},
    )


@pytest.fixture(scope="module")
def fitted():
    return linear().fit(flat(D_TRAIN))


@pytest.fixture(scope="module")
def ciphertexts(fitted):
    return fitted.transform(flat(D))


@pytest.fixture(scope="module")
def cnn():
    network = CNNClassifier(width=8, depth=2, epochs=12, batch_size=32, random_state=0)
    return FrozenEstimator(network.fit(X, Y))


@pytest.fixture(scope="module")
def on_colour(cnn):
    return SealedEncryptor(KEY, cnn).fit(X)


# What the classifier reads.


def levels_of(C):
    return np.rint(C * 255).astype(np.uint8)


def least_margins(classifier, C, labels):
    scores = classifier.decision_function(C)
    own = scores[np.arange(len(scores)), labels]
    scores[np.arange(len(scores)), labels] = -np.inf
    return own - scores.max(axis=1)


@pytest.mark.parametrize("appearance", ["noise", "compact"])
@pytest.mark.parametrize("kappa", ["auto", 3.0])
def test_labels_are_kept_with_the_margin(appearance, kappa):
    sealed = linear(appearance=appearance, kappa=kappa).fit(flat(D_TRAIN))
    C = sealed.transform(flat(D))
    labels = LINEAR.predict(flat(D))
    np.testing.assert_array_equal(LINEAR.predict(C), labels)
    assert least_margins(LINEAR, C, labels).min() >= sealed.kappa_ - 1e-9
    np.testing.assert_array_equal(sealed.inverse_transform(C), flat(D))


def test_compact_ciphertexts_are_mostly_grey_above_the_payload():
    high = {}
    for appearance in ("noise", "compact"):
        sealed = linear(appearance=appearance, bit_planes=5).fit(flat(D_TRAIN))
        high[appearance] = levels_of(sealed.transform(flat(D[:8]))) >> 5
    assert set(np.unique(high["noise"])) == set(range(8))
    assert np.bincount(high["noise"].ravel()).max() < high["noise"].size / 2
    assert np.bincount(high["compact"].ravel()).max() > high["compact"].size / 2


def test_kappa_is_half_of_the_median_margin():
    plain = flat(D_TRAIN[:400])
    margins = least_margins(LINEAR, plain, LINEAR.predict(plain))
    assert linear().fit(plain).kappa_ == pytest.approx(np.median(margins) / 2, rel=5e-3)


def test_automatic_choices_look_at_all_classes_of_sorted_images():
    images = np.zeros((1200, 16, 16), np.uint8)
    images[700:, :, :8] = np.random.default_rng(0).integers(0, 256, (500, 16, 8))
    sealed = SealedEncryptor(KEY, RidgeClassifier(), kappa=0.0).fit(images, np.arange(1200) >= 700)
    np.testing.assert_array_equal(
        sealed.inverse_transform(sealed.transform(images[-2:])), images[-2:]
    )


def test_a_network_reads_colour_images_as_it_did(on_colour, cnn):
    C = on_colour.transform(X_TEST)
    assert C.dtype == np.uint8
    assert C.shape == X_TEST.shape
    np.testing.assert_array_equal(cnn.predict(C), cnn.predict(X_TEST))
    proba = cnn.predict_proba(C)
    top = np.sort(np.log(proba), axis=1)
    assert (top[:, -1] - top[:, -2]).min() >= on_colour.kappa_ - 1e-3
    np.testing.assert_array_equal(on_colour.inverse_transform(C), X_TEST)


@pytest.mark.parametrize("tolerance", [None, 0.1])
def test_probabilities_are_kept_within_the_tolerance(cnn, tolerance):
    sealed = SealedEncryptor(KEY, cnn, match="proba", tolerance=tolerance).fit(X)
    C = sealed.transform(X_TEST)
    plain = cnn.predict_proba(X_TEST)
    variation = np.abs(cnn.predict_proba(C) - plain).sum(axis=1) / 2
    assert variation.max() <= (tolerance or 0.02) + 1e-5
    assert variation.max() > (tolerance or 0.02) / 4  # no more is done than asked for
    np.testing.assert_array_equal(cnn.predict(C), cnn.predict(X_TEST))
    np.testing.assert_array_equal(sealed.inverse_transform(C), X_TEST)


@pytest.mark.parametrize("appearance", ["noise", "compact"])
def test_features_are_kept_within_the_tolerance(cnn, appearance):
    sealed = SealedEncryptor(KEY, cnn, match="features", appearance=appearance).fit(X)
    C = sealed.transform(X_TEST)
    plain, read = cnn.features(X_TEST), cnn.features(C)
    distances = paired_cosine_distances(read, plain)
    assert distances.max() <= 0.01 + 1e-5
    assert distances.max() > 0.01 / 4  # no more is done than asked for
    np.testing.assert_array_equal(cnn.predict(C), cnn.predict(X_TEST))
    np.testing.assert_array_equal(sealed.inverse_transform(C), X_TEST)


def test_the_feature_layer_is_named_as_torch_names_it(cnn):
    names = [name for name, _ in cnn.module_.named_modules() if name.endswith("head")]
    by_name = SealedEncryptor(KEY, cnn, match="features", feature_layer=names[0]).fit(X)
    plain, sealed = cnn.features(X[:2]), cnn.features(by_name.transform(X[:2]))
    assert paired_cosine_distances(sealed, plain).max() <= 0.01 + 1e-5
    with pytest.raises(ValueError, match="feature_layer='tail': there is no such layer"):
        by_name.set_params(feature_layer="tail").fit(X)


def test_what_a_classifier_does_not_have_is_refused_in_fit():
    machine = FrozenEstimator(LinearSVC(C=0.01).fit(flat(D_TRAIN), DIGIT_LABELS[:600]))
    with pytest.raises(TypeError, match="has no probabilities"):
        linear(classifier=machine, match="proba").fit(flat(D_TRAIN))
    forest = FrozenEstimator(RandomForestClassifier(2).fit(flat(D_TRAIN), DIGIT_LABELS[:600]))
    with pytest.raises(ValueError, match="match='proba' needs a classifier that gradients"):
        linear(classifier=forest, match="proba").fit(flat(D_TRAIN))


@pytest.mark.parametrize("kappa", [0.0, "auto"])
def test_black_boxes_read_what_they_read(kappa):
    forest = RandomForestClassifier(10, random_state=0).fit(flat(D_TRAIN), DIGIT_LABELS[:600])
    sealed = linear(classifier=FrozenEstimator(forest), kappa=kappa).fit(flat(D_TRAIN))
    C = sealed.transform(flat(D[:4]))
    np.testing.assert_array_equal(forest.predict(C), forest.predict(flat(D[:4])))
    np.testing.assert_array_equal(sealed.inverse_transform(C), flat(D[:4]))


@pytest.mark.parametrize("match", ["label", "proba"])
def test_integers_are_read_as_8_bit_values(match):
    images = D_TRAIN.reshape(600, -1).astype(np.int64)
    classifier = copy.deepcopy(LINEAR.estimator)
    classifier.coef_ /= 255
    sealed = linear(classifier=FrozenEstimator(classifier), match=match, tolerance=0.1)
    C = sealed.set_params(bit_planes=6).fit(images).transform(images[:5])
    assert C.dtype == np.int64
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(images[:5]))
    np.testing.assert_array_equal(sealed.inverse_transform(C), images[:5])


def test_an_unreachable_margin_is_refused_with_the_images_named():
    sealed = linear(kappa=1000.0).fit(flat(D_TRAIN))
    with pytest.raises(TargetNotReachedError, match=r"X\[0\], X\[1\], with a margin of 1e\+03"):
        sealed.transform(flat(D[:2]))


# What comes back.


def with_linear(images, **parameters):
    y = np.arange(len(images)) % 2
    return SealedEncryptor(KEY, LogisticRegression(), kappa=0.0, **parameters).fit(images, y)


def assert_sealed(sealed, images):
    C = sealed.transform(images)
    n, scale = len(images), sealed.scale_
    np.testing.assert_array_equal(sealed.inverse_transform(C), images)
    np.testing.assert_array_equal(unseal(C, KEY), images)
    enlarged = images.repeat(scale, axis=1).repeat(scale, axis=2)
    assert C.shape == enlarged.shape
    classifier = sealed.classifier_
    np.testing.assert_array_equal(
        classifier.predict(C.reshape(n, -1)), classifier.predict(enlarged.reshape(n, -1))
    )


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3), (9, 13, 1), (11, 8, 3)])
@pytest.mark.parametrize("codec", ["webp", "raw"])
@pytest.mark.parametrize("nonce", ["content", "random"])
def test_tiny_images_come_back_bit_for_bit_from_larger_ones(shape, codec, nonce):
    images = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    sealed = with_linear(images, codec=codec, nonce=nonce)
    assert sealed.scale_ == 2
    assert_sealed(sealed, images)


@pytest.mark.parametrize("shape", [(16, 16, 1), (24, 25, 1), (31, 17, 3), (16, 16, 3)])
@pytest.mark.parametrize("codec", ["webp", "jpegxl"])
@pytest.mark.parametrize("nonce", ["content", "random"])
def test_images_come_back_bit_for_bit(shape, codec, nonce):
    images = np.random.default_rng(0).integers(0, 2, (8, *shape), np.uint8) * 255
    sealed = with_linear(images, codec=codec, nonce=nonce)
    assert sealed.scale_ == 1
    assert_sealed(sealed, images)


def test_raw_pixels_fit_where_ciphertexts_are_enlarged_alone():
    images = np.random.default_rng(0).integers(0, 2, (8, 31, 17, 3), np.uint8)
    with pytest.raises(TooLargeError, match=r"none of 8 images fits .* as raw"):
        with_linear(images, codec="raw")


def test_floats_come_back_rounded_to_256_levels(fitted):
    floats = np.random.default_rng(0).uniform(0.3, 0.31, (4, 1024))
    sealed = linear(value_range=(0.25, 1.25)).fit(np.concatenate([floats, flat(D_TRAIN) + 0.25]))
    X_back = sealed.inverse_transform(sealed.transform(floats))
    assert np.abs(X_back - floats).max() <= 0.5 / 255 + 1e-12
    np.testing.assert_allclose((X_back - 0.25) * 255, np.rint((X_back - 0.25) * 255), atol=1e-9)
    single = sealed.transform(floats.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(sealed.inverse_transform(single), X_back, atol=1e-6)


@pytest.mark.parametrize("bit_planes", [5, 6, 7])
def test_given_bit_planes_are_used(bit_planes):
    sealed = linear(bit_planes=bit_planes, kappa=0.0).fit(flat(D_TRAIN))
    assert sealed.bit_planes_ == bit_planes
    C = sealed.transform(flat(D[:5]))
    np.testing.assert_array_equal(sealed.inverse_transform(C), flat(D[:5]))
    other = linear(bit_planes=bit_planes - 1, kappa=0.0).fit(flat(D_TRAIN))
    with pytest.raises(NotSealedError):
        other.inverse_transform(C)


def test_automatic_bit_planes_leave_two_and_are_no_more_than_needed():
    blank = np.full((20, 32, 32), 7, np.uint8)
    sealed = SealedEncryptor(KEY, LogisticRegression(), kappa=0.0).fit(blank, np.arange(20) % 2)
    assert sealed.bit_planes_ == 1
    noise = np.random.default_rng(0).integers(0, 256, (20, 32, 32), np.uint8)
    noise[0] = 0
    assert sealed.fit(noise, np.arange(20) % 2).bit_planes_ == 6


def test_fit_refuses_images_of_which_none_fits():
    digits = load_digits(size=8)[0][:20]
    frozen = FrozenEstimator(LogisticRegression(max_iter=1000).fit(flat(digits), np.arange(20) % 2))
    sealed = SealedEncryptor(KEY, frozen, image_shape=(8, 8))
    expected = r"none of 20 images .* 8×8 pixels .* hold 0 bytes, .* without FrozenEstimator"
    with pytest.raises(TooLargeError, match=expected):
        sealed.fit(flat(digits))
    assert not hasattr(sealed, "scale_")
    noise = np.random.default_rng(0).integers(0, 256, (3, 1024), np.uint8) / 255
    with pytest.raises(TooLargeError, match=r"6 bit planes; .* give images that are larger"):
        linear().fit(noise)
    few = np.repeat([1, 0], [740, 284]) * noise
    with pytest.raises(TooLargeError, match="To seal such images, set bit_planes=7, or"):
        linear().fit(few)
    assert linear(bit_planes=7).fit(few).bit_planes_ == 7
    with pytest.raises(TooLargeError, match='set codec="webp", or set codec="jpegxl", or give'):
        linear(bit_planes=5, codec="raw").fit(0.0 * noise)
    with pytest.raises(TooLargeError, match="none of 3 images fits into 7 bit planes"):
        linear(bit_planes=5).fit(noise)
    some = np.concatenate([noise, 0 * noise])
    assert linear().fit(some).bit_planes_ == 6


def test_an_image_that_does_not_fit_is_named_with_what_would_carry_it():
    sealed = linear(bit_planes=2, kappa=0.0).fit(flat(D_TRAIN))
    noise = flat(np.random.default_rng(0).integers(0, 256, (1, 1024), np.uint8))
    with pytest.raises(TooLargeError, match=r"1 of 3 .* 2 bit planes, .*: X\[2\], .* no number of"):
        sealed.transform(np.concatenate([np.zeros((2, 1024)), noise]))
    half = noise * np.repeat([1, 0], 512)
    both = np.concatenate([np.zeros((1, 1024)), half])
    with pytest.raises(TooLargeError, match=r"bit_planes=5 would carry them all.*Nothing was enc"):
        sealed.transform(both)
    remedied = linear(bit_planes=5, kappa=0.0).fit(flat(D_TRAIN))
    np.testing.assert_array_equal(remedied.inverse_transform(remedied.transform(half)), half)
    by_fit = linear(kappa=0.0).fit(np.concatenate([half, flat(D_TRAIN)]))
    np.testing.assert_array_equal(by_fit.inverse_transform(by_fit.transform(half)), half)


def test_another_codec_is_recommended_only_where_it_helps():
    noise = np.random.default_rng(0).integers(0, 256, (1, 1024), np.uint8)
    half = noise * (np.arange(1024) < 520).astype(np.uint8)
    settings = {"bit_planes": 5, "kappa": 0.0}
    large = linear(codec="jpegxl", **settings).fit(flat(D_TRAIN))
    with pytest.raises(TooLargeError, match='codec="webp" would make them small enough'):
        large.transform(flat(half))
    webp = linear(codec="webp", **settings).fit(flat(D_TRAIN))
    np.testing.assert_array_equal(webp.inverse_transform(webp.transform(flat(half))), flat(half))
    with pytest.raises(TooLargeError) as caught:
        webp.transform(flat(noise))
    assert "codec=" not in str(caught.value)


def test_one_changed_bit_or_another_key_is_refused(fitted, ciphertexts):
    changed = np.rint(ciphertexts * 255).astype(np.uint8)
    changed[7, 500] ^= 128
    with pytest.raises(NotSealedError, match=r"1 of 30 images could not be opened, C\[7\]: wrong"):
        fitted.inverse_transform(changed / 255)
    with pytest.raises(NotSealedError, match=r"30 of 30 .*, C\[9\], \.\.\.: wrong key"):
        linear(key=OTHER).fit(flat(D_TRAIN)).inverse_transform(ciphertexts)


def test_an_image_of_another_size_is_refused():
    """A ciphertext with the right key, whose image was smaller and enlarged."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (6, 8, 8), np.uint8)
    y = np.arange(6) % 2
    enlarged = SealedEncryptor(KEY, LogisticRegression(), bit_planes=5, kappa=0.0).fit(small, y)
    C = enlarged.transform(small)
    assert C.shape == (6, 16, 16)
    large = generator.integers(0, 2, (6, 16, 16), np.uint8)
    other = SealedEncryptor(KEY, LogisticRegression(), bit_planes=5, kappa=0.0).fit(large, y)
    with pytest.raises(NotSealedError, match="image of another size"):
        other.inverse_transform(C)


def test_the_key_alone_opens(ciphertexts):
    C = np.rint(ciphertexts * 255).astype(np.uint8).reshape(-1, 32, 32)
    np.testing.assert_array_equal(unseal(C, KEY), D.reshape(-1, 32, 32))
    with pytest.raises(NotSealedError):
        unseal(C, OTHER)


class Recorder(LogisticRegression):
    """Records what it is asked about, or refuses to be asked."""

    def __init__(self, C=0.01, max_iter=2000):
        super().__init__(C=C, max_iter=max_iter)

    def _asked(self, X):
        if self.asked_ is None:
            raise AssertionError("the classifier was asked")
        self.asked_.append(np.asarray(X))
        return X

    def predict(self, X):
        return super().predict(self._asked(X))

    def predict_proba(self, X):
        return super().predict_proba(self._asked(X))


@pytest.fixture
def recorder():
    recorder = Recorder()
    recorder.__dict__.update(LINEAR.estimator.__dict__, asked_=[])
    return recorder


def test_decryption_asks_no_classifier(recorder):
    sealed = linear(classifier=FrozenEstimator(recorder)).fit(flat(D_TRAIN))
    C = sealed.transform(flat(D))
    recorder.asked_ = None
    np.testing.assert_array_equal(sealed.inverse_transform(C), flat(D))
    with pytest.raises(AssertionError, match="was asked"):
        sealed.transform(flat(D))


# What ciphertexts depend on.


@pytest.mark.parametrize("match", ["label", "proba", "features"])
def test_other_images_of_the_batch_change_nothing(cnn, match):
    sealed = SealedEncryptor(KEY, cnn, match=match).fit(X)
    C = sealed.transform(X[:6])
    for i in (0, 5):
        np.testing.assert_array_equal(sealed.transform(X[[i]]), C[[i]])
    np.testing.assert_array_equal(sealed.transform(X[5::-1]), C[::-1])


def test_many_images_are_sealed_in_chunks_which_changes_nothing(recorder, fitted, ciphertexts):
    many = np.concatenate([flat(D_TRAIN[:520]), flat(D)])
    sealed = linear(classifier=FrozenEstimator(recorder)).fit(flat(D_TRAIN))
    recorder.asked_.clear()
    C = sealed.transform(many)
    assert max(map(len, recorder.asked_)) == 512  # of 1,024 values: what is asked at a time
    np.testing.assert_array_equal(C[520:], ciphertexts)
    np.testing.assert_array_equal(C[500:520], fitted.transform(many[500:520]))
    recorder.asked_.clear()
    C_new = sealed.rekey(C, OTHER)
    assert max(map(len, recorder.asked_)) == 512
    np.testing.assert_array_equal(C_new, sealed.with_key(OTHER).transform(many))


def test_failures_in_a_later_chunk_are_named_by_their_place():
    images = np.full((532, 32, 32), 200, np.uint8)
    images[530:] = 0
    labels = images[:, 0, 0] == 0
    classifier = RidgeClassifier().fit(images.reshape(532, -1), labels)
    # Only an image that is almost black is black, and with 7 random planes none is.
    classifier.coef_, classifier.intercept_ = np.full((1, 1024), -1.0), np.array([1000.0])
    sealed = SealedEncryptor(KEY, FrozenEstimator(classifier), kappa=0.0, bit_planes=7).fit(images)
    assert (classifier.predict(images.reshape(532, -1)) == labels).all()
    with pytest.raises(
        TargetNotReachedError,
        match=r"as it reads X\[530\], X\[531\], .* helps?: .*bit_planes=1.* Nothing was returned",
    ):
        sealed.transform(images)


def test_the_same_in_another_process_and_other_threads(fitted, ciphertexts, tmp_path):
    joblib.dump((fitted, flat(D)), tmp_path / "sent")
    script = f"""
        import joblib, numpy as np, torch
        torch.set_num_threads(3)
        sealed, X = joblib.load({str(tmp_path / "sent")!r})
        np.save({str(tmp_path / "C.npy")!r}, sealed.transform(X))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "C.npy"), ciphertexts)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(fitted.transform, np.split(flat(D), 6)))
    np.testing.assert_array_equal(np.concatenate(parts), ciphertexts)


def test_equal_images_have_equal_ciphertexts_or_never(fitted):
    images = flat(np.repeat(D[:1], 3, axis=0))
    C = fitted.transform(images)
    np.testing.assert_array_equal(C[0], C[1])
    fresh = linear(nonce="random").fit(flat(D_TRAIN))
    C = fresh.transform(images)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(C[first] == C[second]) < 0.05
    np.testing.assert_array_equal(fresh.inverse_transform(C), images)
    np.testing.assert_array_equal(LINEAR.predict(C), LINEAR.predict(images))


def test_almost_equal_images_share_nothing(fitted):
    images = np.repeat(D[:1], 2, axis=0)
    images[1, 0, 0] ^= 1
    low = np.rint(fitted.transform(flat(images)) * 255).astype(int) % 2**fitted.bit_planes_
    assert np.mean(low[0] == low[1]) < 3 / 2**fitted.bit_planes_


def test_refitting_forgets_the_former_images():
    sealed = linear().fit(flat(255 - D_TRAIN))
    again = sealed.fit(flat(D_TRAIN))
    assert again.kappa_ == linear().fit(flat(D_TRAIN)).kappa_


# Nothing but the prediction is told: tests that try to refute it.


def low_bits(C, bit_planes):
    """The low planes of levels, one after the other."""
    return np.stack([C >> plane & 1 for plane in range(bit_planes)]).reshape(-1)


def refutations(bits):
    """P-values of uniform bytes and of uncorrelated bits, and the compressed part of the bytes."""
    packed = np.packbits(bits)
    uniform = stats.chisquare(np.bincount(packed, minlength=256)).pvalue
    signs = 2.0 * bits - 1
    worst = 1.0
    for lag in (1, 2, 3, 8, 16, 32, 33, 1024):
        r = np.mean(signs[lag:] * signs[:-lag]) * np.sqrt(len(signs) - lag)
        worst = min(worst, 2 * stats.norm.sf(abs(r)))
    return uniform, worst, len(zlib.compress(packed.tobytes(), 9)) / len(packed)


def look_random(bits):
    uniform, uncorrelated, size = refutations(bits)
    return uniform > 1e-6 and uncorrelated > 1e-6 and size > 1


@pytest.mark.parametrize("appearance", ["noise", "compact"])
def test_low_planes_look_random(appearance):
    sealed = linear(appearance=appearance).fit(flat(D_TRAIN))
    C = np.rint(sealed.transform(flat(D)) * 255).astype(np.uint8)
    assert look_random(low_bits(C, sealed.bit_planes_))


@pytest.mark.parametrize("broken", ["plain", "padded with zeros", "one keystream"])
def test_what_is_not_encrypted_does_not_look_random(broken, ciphertexts, fitted):
    C = np.rint(ciphertexts * 255).astype(np.uint8)
    if broken == "plain":
        C = C & 0xC0 | D.reshape(len(D), -1) & 0x3F
    elif broken == "padded with zeros":
        C[:, 700:] &= 0xC0
    else:
        C = C & 0xC0 | C[:1] & 0x3F
    assert not look_random(low_bits(C, fitted.bit_planes_))


def tell_apart(first, second):
    """Accuracy, on a half, of a classifier that learned on the other to tell two sets."""
    both = np.concatenate([first[::2], second[::2], first[1::2], second[1::2]])
    n = len(first) // 2
    labels = np.repeat([0, 1, 0, 1], n)
    bits = np.unpackbits(both, axis=1) - 0.5
    learned = LogisticRegression(C=1e-3, max_iter=200).fit(bits[: 2 * n], labels[: 2 * n])
    return learned.score(bits[2 * n :], labels[2 * n :])


def two_images_of_a_label():
    labels = LINEAR.predict(flat(D_TRAIN))
    return [D_TRAIN[labels == 3][i] for i in (0, 1)]


def ciphertexts_of_two_images(sealed, n):
    return [
        np.rint(sealed.transform(flat(np.repeat(image[np.newaxis], n, axis=0))) * 255).astype(
            np.uint8
        )
        for image in two_images_of_a_label()
    ]


@pytest.mark.parametrize("appearance", ["noise", "compact"])
def test_two_images_of_a_label_cannot_be_told_apart(appearance):
    sealed = linear(nonce="random", appearance=appearance).fit(flat(D_TRAIN))
    first, second = ciphertexts_of_two_images(sealed, 200)
    low, high = stats.binom.ppf([1e-8, 1 - 1e-8], 200, 0.5) / 200
    assert low <= tell_apart(first, second) <= high


@pytest.mark.parametrize("broken", ["plain lowest bits", "deterministic"])
def test_a_broken_scheme_is_told_apart(broken):
    nonce = "random" if broken == "plain lowest bits" else "content"
    sealed = linear(nonce=nonce).fit(flat(D_TRAIN))
    parts = ciphertexts_of_two_images(sealed, 200)
    if nonce == "random":
        plain = two_images_of_a_label()
        parts = [C & 0xFE | (x.reshape(1, -1) > 60) for C, x in zip(parts, plain, strict=True)]
    assert tell_apart(*parts) > 0.95


# Keys.


@pytest.mark.parametrize("match", ["label", "features"])
def test_rekeyed_ciphertexts_open_with_the_new_key_alone(cnn, match, monkeypatch):
    sealed = SealedEncryptor(KEY, cnn, match=match).fit(X)
    C = sealed.transform(X_TEST)
    asked = []
    for name in ("predict", "decision_function", "features"):
        method = getattr(CNNClassifier, name)

        def record(self, images, method=method):
            asked.append(images)
            return method(self, images)

        monkeypatch.setattr(CNNClassifier, name, record)
    C_new = sealed.rekey(C, OTHER)
    assert asked
    assert not any(np.array_equal(images, X_TEST) for images in asked)
    np.testing.assert_array_equal(unseal(C_new, OTHER), X_TEST)
    for images, key in ((C, OTHER), (C_new, KEY)):
        with pytest.raises(NotSealedError):
            unseal(images, key)
    np.testing.assert_array_equal(cnn.predict(C_new), cnn.predict(X_TEST))
    if match == "features":
        distances = paired_cosine_distances(cnn.features(C_new), cnn.features(C))
        assert distances.max() <= 0.01 + 1e-5
    assert sealed.key_ == KEY
    with pytest.raises(NotSealedError):
        sealed.rekey(C_new, OTHER)


def test_rekeying_gives_what_the_new_key_would_have_given(fitted, ciphertexts):
    C = linear(key=OTHER).fit(flat(D_TRAIN)).transform(flat(D))
    np.testing.assert_array_equal(fitted.rekey(ciphertexts, OTHER), C)
    np.testing.assert_array_equal(fitted.rekey(ciphertexts, bytes(32)), C)


def test_rekeying_refuses_what_does_not_fit_any_more():
    """The other encryptor compressed better."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 1024), np.uint8)
    half = flat(noise * (np.arange(1024) < 520).astype(np.uint8))
    small = linear(bit_planes=5, kappa=0.0).fit(flat(D_TRAIN))
    large = linear(bit_planes=5, kappa=0.0, codec="jpegxl").fit(flat(D_TRAIN))
    C = small.transform(half)
    with pytest.raises(TooLargeError, match=r'1 of 1 .* as jpegxl; .*codec="webp" would'):
        large.rekey(C, OTHER)
    np.testing.assert_array_equal(large.inverse_transform(C), half)


def test_rekeying_uses_the_files_key(fitted, ciphertexts, tmp_path):
    OTHER.save(tmp_path / "key")
    C = fitted.rekey(ciphertexts[:2], tmp_path / "key")
    levels = np.rint(C * 255).astype(np.uint8).reshape(-1, 32, 32)
    np.testing.assert_array_equal(unseal(levels, OTHER), D[:2].reshape(-1, 32, 32))


@pytest.mark.parametrize("how", ["pickle", "joblib", "skops"])
@pytest.mark.parametrize("network", [False, True])
def test_copies_encrypt_and_decrypt_alike(how, network, cnn, tmp_path):
    sealed = SealedEncryptor(KEY, cnn).fit(X) if network else linear().fit(flat(D_TRAIN))
    images = X[:3] if network else flat(D[:3])
    C = sealed.transform(images)
    if how == "pickle":
        other = pickle.loads(pickle.dumps(sealed))
    elif how == "joblib":
        joblib.dump(sealed, tmp_path / "sealed")
        other = joblib.load(tmp_path / "sealed")
    else:
        dumped = skops.io.dumps(sealed)
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert all(name.startswith("ricsk.") for name in untrusted)
        other = skops.io.loads(dumped, trusted=untrusted)
    np.testing.assert_array_equal(other.transform(images), C)
    np.testing.assert_array_equal(other.inverse_transform(C), images)


@pytest.mark.parametrize("dumps", [pickle.dumps, skops.io.dumps])
def test_a_key_by_reference_leaves_no_secret_in_what_is_saved(dumps, tmp_path):
    sealed = linear(key=KEY.save(tmp_path / "key")).fit(flat(D_TRAIN))
    sealed.transform(flat(D[:2]))
    dumped = dumps(sealed)
    for secret in (
        bytes(range(32)),
        KEY.derive("sealed/siv", length=64),
        KEY.derive("sealed/tag"),
    ):
        assert secret[:16] not in dumped
        assert secret[:16].hex().encode() not in dumped


# What was fitted decides, and nothing that is set later.

CHANGED = {
    "classifier": RidgeClassifier(),
    "match": "features",
    "tolerance": 0.9,
    "appearance": "compact",
    "bit_planes": 2,
    "kappa": 1e6,
    "templates": "eager",
    "device": "cuda",
    "codec": "raw",
    "nonce": "random",
    "recipients": [PrivateKey.generate().public_key],
    "signing_key": SigningKey.generate(),
    "feature_layer": "nowhere",
    "image_shape": (16, 64),
    "value_range": (-7.0, 9.0),
    "flatten": True,
    "n_jobs": 2,
    "verbose": 1,
}


def test_parameters_that_are_set_after_fit_change_nothing(tmp_path):
    sealed = linear().fit(flat(D_TRAIN))
    images = flat(D[:3])
    C, C_new = sealed.transform(images), linear(key=OTHER).fit(flat(D_TRAIN)).transform(images)
    assert set(CHANGED) | {"key"} == set(sealed.get_params(deep=False))
    sealed.set_params(**CHANGED, key=SecretKey(bytes(31 * [7]) + b"x"))
    joblib.dump(sealed, tmp_path / "sealed")
    dumped = skops.io.dumps(sealed)
    copies = [
        sealed,
        pickle.loads(pickle.dumps(sealed)),
        copy.deepcopy(sealed),
        joblib.load(tmp_path / "sealed"),
        skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped)),
    ]
    for other in copies:
        np.testing.assert_array_equal(other.transform(images), C)
        np.testing.assert_array_equal(other.inverse_transform(C), images)
        np.testing.assert_array_equal(other.rekey(C, OTHER), C_new)
        np.testing.assert_array_equal(other.with_key(OTHER).transform(images), C_new)
        tags = get_encryptor_tags(other)
        assert (tags.discloses, tags.deterministic) == ("label", True)


@pytest.mark.parametrize("match", ["proba", "features"])
def test_so_do_those_of_what_is_matched(cnn, match):
    sealed = SealedEncryptor(KEY, cnn, match=match, tolerance=0.2).fit(X)
    C = sealed.transform(X[:2])
    sealed.set_params(match="label", tolerance=1e-9, nonce="random", kappa=1e6)
    np.testing.assert_array_equal(sealed.transform(X[:2]), C)
    tags = get_encryptor_tags(sealed)
    assert (tags.discloses, tags.deterministic) == (match, True)


def test_tags_of_what_is_not_fitted_are_what_it_is_to_do():
    tags = get_encryptor_tags(SealedEncryptor(match="proba", nonce="random"))
    assert (tags.discloses, tags.deterministic) == ("proba", False)


# How much it asks for.


@pytest.fixture
def forward_passes():
    """Images that go through networks, those of views included."""
    network, counts = CNN, []

    def count(module, inputs):
        if isinstance(module, network):
            counts.append(len(inputs[0]))

    handle = register_module_forward_pre_hook(count)
    yield counts
    handle.remove()


def test_once_its_template_is_made_an_image_takes_two_passes(cnn, forward_passes):
    sealed = SealedEncryptor(KEY, cnn, kappa=0.1, templates="eager").fit(X)
    forward_passes.clear()
    C = sealed.transform(X)
    # A network that was trained on another machine may want a second nonce for some image.
    assert 2 * len(X) <= sum(forward_passes) <= 2.02 * len(X)
    forward_passes.clear()
    sealed.rekey(C, OTHER)
    assert 2 * len(X) <= sum(forward_passes) <= 2.02 * len(X)
    forward_passes.clear()
    sealed.inverse_transform(C)
    assert not forward_passes


def test_progress_is_shown_on_the_standard_error_stream_if_asked_for(capsys):
    sealed = linear(verbose=1).fit(flat(D_TRAIN))
    assert "template" not in capsys.readouterr().err
    C = sealed.transform(flat(D[:5]))
    shown = capsys.readouterr()
    assert f"template {LINEAR.predict(flat(D[:1]))[0]}" in shown.err
    assert "sealing: 100%" in shown.err
    assert "5/5" in shown.err
    assert shown.out == ""
    sealed.rekey(C, OTHER)
    assert "5/5" in capsys.readouterr().err
    quiet = linear().fit(flat(D_TRAIN))
    quiet.transform(flat(D[:5]))
    assert capsys.readouterr() == ("", "")
    searching = linear(match="proba", tolerance=0.3, verbose=1).fit(flat(D_TRAIN))
    searching.transform(flat(D[:5]))
    assert "searching for 5" in capsys.readouterr().err


# With scikit-learn's tools.


def test_the_users_own_line(cnn):
    pipeline = Pipeline([("enc", SealedEncryptor(KEY, cnn)), ("clf", cnn)]).fit(X, Y)
    np.testing.assert_array_equal(pipeline.predict(X_TEST), cnn.predict(X_TEST))


def test_search_over_appearance_and_kappa():
    pipeline = Pipeline([("enc", linear()), ("clf", LINEAR)])
    grid = {"enc__appearance": ["noise", "compact"], "enc__kappa": [0.0, 1.0]}
    plain = flat(D_TRAIN[:60])
    search = GridSearchCV(pipeline, grid, cv=2).fit(plain, LINEAR.predict(plain))
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], 1.0)


def test_the_classifier_is_fitted_if_it_is_not_frozen():
    classifier = LogisticRegression(max_iter=2000, C=0.01)
    sealed = linear(classifier=classifier).fit(flat(D_TRAIN), DIGIT_LABELS[:600])
    np.testing.assert_array_equal(
        sealed.classifier_.predict(sealed.transform(flat(D))), LINEAR.predict(flat(D))
    )
    assert not hasattr(classifier, "coef_")
    with pytest.raises(ValueError, match=r"requires y to be passed.*FrozenEstimator"):
        sealed.fit(flat(D_TRAIN))


def test_the_cloud_half_computes_the_features_and_has_no_key(cnn):
    private = PrivateClassifier(SealedEncryptor(KEY, match="features"), cnn).fit(X, Y)
    cloud, C = private.cloud_half(), private.encrypt(X_TEST)
    np.testing.assert_array_equal(cloud.predict(C), cnn.predict(X_TEST))
    plain, read = cnn.features(X_TEST), cloud.transform(C)
    nearest = cosine_distances(read, plain).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.arange(len(X_TEST)))
    assert bytes(range(32)) not in pickle.dumps(cloud)
    np.testing.assert_array_equal(private.decrypt(C), X_TEST)
    without = PrivateClassifier(linear(), LINEAR).fit(flat(D), DIGIT_LABELS[600:630])
    assert not hasattr(without.cloud_half(), "transform")


def test_batches_are_those_of_the_whole(fitted, ciphertexts, tmp_path, capsys):
    np.save(tmp_path / "X.npy", flat(D))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    parts = list(fitted.transform_batches(mapped, batch_size=8))
    assert [len(part) for part in parts] == [8, 8, 8, 6]
    np.testing.assert_array_equal(np.concatenate(parts), ciphertexts)
    made = fitted.transform_batches(part for part in np.split(flat(D), 5))
    np.testing.assert_array_equal(next(made), ciphertexts[:6])
    np.testing.assert_array_equal(np.concatenate(list(made)), ciphertexts[6:])
    assert capsys.readouterr().err == ""
    list(fitted.transform_batches(mapped, verbose=1))
    assert "30/30" in capsys.readouterr().err


def test_batches_are_made_one_by_one(fitted):
    def images():
        yield flat(D[:2])
        raise AssertionError("the second batch was asked for")

    assert len(next(fitted.transform_batches(images()))) == 2


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("match", "all"),
        ("tolerance", 0.0),
        ("appearance", "plain"),
        ("bit_planes", 8),
        ("bit_planes", 0),
        ("kappa", -1.0),
        ("templates", "all"),
        ("codec", "jpeg"),
        ("nonce", "none"),
    ],
)
def test_parameters_are_checked(parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter"):
        linear(**{parameter: value}).fit(flat(D_TRAIN))


def test_a_classifier_that_says_labels_alone_is_refused():
    X = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    y = np.arange(20) % 2
    silent = VotingClassifier([("a", GaussianNB()), ("b", GaussianNB())], voting="hard")
    with pytest.raises(ValueError, match="labels alone"):
        SealedEncryptor(SecretKey(bytes(32)), silent).fit(X, y)
