import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import RICEncryptor, SecretKey
from ricsk.attacks import brute_force_bound
from ricsk.datasets import load_digits
from ricsk.encryptors import PublishedRICEncryptor
from tests.encryptors.ric.identity import fit_published

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
X_TRAIN, Y_TRAIN, X = X[:600] / 255, Y[:600], X[600:603] / 255
LINEAR = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.1).fit(X_TRAIN.reshape(600, -1), Y_TRAIN)
)


def fitted(**parameters):
    return fit_published(KEY, LINEAR, X_TRAIN, **parameters)


@pytest.fixture(scope="module")
def ric():
    return fitted()


def test_only_the_right_key_recovers(ric):
    result = brute_force_bound(ric, X, guesses=10, n_directions=10, random_state=0)
    assert result.wrong_min <= result.wrong_mean <= result.wrong_max < 10
    assert result.right_mean > 39.5
    assert result.n_guesses == 10


def test_the_right_key_among_the_guesses_is_found(ric):
    guesses = [SecretKey(bytes(32)), KEY]
    result = brute_force_bound(ric, X, guesses=guesses, n_directions=10, random_state=0)
    assert result.wrong_max > 39.5
    assert result.wrong_min < 10
    assert result.n_guesses == 2


def test_nearer_noise_recovers_more_and_is_less_likely(ric):
    result = brute_force_bound(ric, X, guesses=1, radii=(1, 2.5, 3, 127, 128), random_state=0)
    assert (np.diff(result.psnr_bounds) < 0).all()
    np.testing.assert_allclose(result.psnr_bounds[0] - result.psnr_bounds[2], 20 * np.log10(3))
    expected = 256 * np.log10(np.array([3, 5, 7, 255, 256]) / 256)
    np.testing.assert_allclose(result.log10_probabilities, expected)


def test_probability_shrinks_with_the_number_of_values_without_underflow():
    large = np.repeat(np.repeat(X_TRAIN, 2, 1), 2, 2)
    classifier = LogisticRegression(max_iter=2000, C=0.1).fit(large.reshape(600, -1), Y_TRAIN)
    ric = fit_published(KEY, FrozenEstimator(classifier), large)
    result = brute_force_bound(ric, large[:1], guesses=1, n_directions=2, radii=(1,))
    np.testing.assert_allclose(result.log10_probabilities, 1024 * np.log10(3 / 256))


@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_the_constant_is_the_gain_of_a_decoder_that_does_nothing(alpha):
    """By hand: α / (1 − α) where the mask is not clipped, and 0 where it is."""
    ric = fitted(alpha=alpha)
    grey = np.random.default_rng(0).uniform(0.3, 0.7, (2, 16, 16))
    C = ric.transform(grey)
    masks = ric.masks_[ric.read_labels(C)]
    result = brute_force_bound(ric, grey, guesses=1, n_directions=400, random_state=0)
    free = np.mean((masks > 0) & (masks < 255))
    recovered = ric.take_off(ric.value_range_.to_uint8(C)[..., np.newaxis], masks)
    assert 0 < recovered.min() < recovered.max() < 255
    np.testing.assert_allclose(result.constant, alpha / (1 - alpha) * np.sqrt(free), rtol=0.05)


def test_few_directions_are_not_biased(ric):
    """The norm of an average over 5 directions would be too large by a factor of 7."""
    few = [
        brute_force_bound(ric, X, guesses=1, n_directions=5, random_state=i).constant
        for i in range(5)
    ]
    many = brute_force_bound(ric, X, guesses=1, n_directions=150, random_state=0).constant
    np.testing.assert_allclose(np.mean(few), many, rtol=0.25)


def test_the_claim_of_the_paper_is_refuted_where_nothing_is_clipped():
    weak = fitted(alpha=0.05)
    weak._reader.predict = lambda levels, form=None: np.zeros(len(levels), int)
    grey = np.random.default_rng(0).uniform(0.3, 0.7, (2, 16, 16))
    result = brute_force_bound(weak, grey, guesses=20, radii=(64, 115), random_state=0)
    assert result.log10_probabilities[1] < -6
    assert result.reached[0] == 0
    assert result.reached[1] > 0.9


def test_a_seed_gives_the_same_result_and_another_one_does_not(ric):
    key, masks = ric.key_, ric.masks_.copy()
    first, again, other = (
        brute_force_bound(ric, X, guesses=3, n_directions=5, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.constant != other.constant
    assert first.wrong_mean != other.wrong_mean
    assert ric.key_ == key
    np.testing.assert_array_equal(ric.masks_, masks)


def test_the_result_prints_as_a_table_without_a_key(ric):
    text = repr(brute_force_bound(ric, X, guesses=3, radii=(1, 2, 3), random_state=0))
    assert "3 guessed keys" in text
    assert len(text.splitlines()) == 4 + 3
    assert ric.key_.key_id not in text


def test_refuses_what_is_not_a_fitted_encryptor_of_the_paper(ric):
    for other, name in ((make_pipeline(ric), "Pipeline"), (RICEncryptor(KEY), "RICEncryptor")):
        with pytest.raises(TypeError, match=f"takes a fitted PublishedRICEncryptor.*got {name}"):
            brute_force_bound(other, X)
    with pytest.raises(NotFittedError, match="PublishedRICEncryptor instance is not fitted"):
        brute_force_bound(PublishedRICEncryptor(KEY, LINEAR), X)


@pytest.mark.parametrize(
    "parameters",
    [
        {"guesses": 0},
        {"guesses": []},
        {"radii": ()},
        {"radii": (1, 0)},
        {"n_directions": 1},
        {"sigma": 0},
    ],
)
def test_refuses_numbers_out_of_range(ric, parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))}=.*expected"):
        brute_force_bound(ric, X, **parameters)
