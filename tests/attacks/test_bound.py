import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import RICEncryptor, SecretKey
from ricsk.attacks import brute_force_bound
from ricsk.datasets import load_digits

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
X_TRAIN, Y_TRAIN, X = X[:600] / 255, Y[:600], X[600:603] / 255
LINEAR = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.1).fit(X_TRAIN.reshape(600, -1), Y_TRAIN)
)


def fitted(**parameters):
    return RICEncryptor(KEY, LINEAR, **parameters).fit(X_TRAIN)


@pytest.fixture(scope="module")
def ric():
    return fitted()


@pytest.mark.parametrize(
    ("solver", "scramble", "nonce"),
    [
        ("pattern", True, "content"),
        ("pattern", True, "fixed"),
        ("pattern", False, "content"),
        ("pattern", False, "fixed"),
        ("search", True, "content"),
        ("search", True, "fixed"),
        ("cw", False, "fixed"),
    ],
)
def test_only_the_right_key_recovers(solver, scramble, nonce):
    ric = fitted(solver=solver, scramble=scramble, nonce=nonce)
    result = brute_force_bound(ric, X, guesses=10, n_directions=10, random_state=0)
    assert result.wrong_min <= result.wrong_mean <= result.wrong_max < 10
    assert result.right_mean > 39.5
    assert result.n_guesses == 10


def test_a_weak_mask_is_broken_by_any_key():
    weak = fitted(alpha=0.05, scramble=False)
    result = brute_force_bound(weak, X, guesses=10, n_directions=10, random_state=0)
    assert result.wrong_min > 25


def test_masks_that_a_search_saturates_are_much_the_same_under_any_key():
    ric = fitted(solver="search", scramble=False, nonce="fixed", kappa=10)
    result = brute_force_bound(ric, X, guesses=10, n_directions=10, random_state=0)
    assert result.wrong_mean > 14


@pytest.mark.parametrize("nonce", ["content", "fixed"])
def test_the_right_key_among_the_guesses_is_found(nonce):
    ric = fitted(nonce=nonce)
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
    ric = RICEncryptor(KEY, FrozenEstimator(classifier)).fit(large)
    result = brute_force_bound(ric, large[:1], guesses=1, n_directions=2, radii=(1,))
    np.testing.assert_allclose(result.log10_probabilities, 1024 * np.log10(3 / 256))


@pytest.mark.parametrize("scramble", [True, False])
@pytest.mark.parametrize("nonce", ["content", "fixed"])
@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_the_constant_is_the_gain_of_a_decoder_that_does_nothing(alpha, scramble, nonce):
    """By hand: α / (1 − α) where the mask is not clipped, and 0 where it is."""
    ric = fitted(alpha=alpha, scramble=scramble, nonce=nonce)
    ric.mixing_.network.decode = lambda u, alpha: u
    ric.mixing_.network.encode = lambda x, z: x
    grey = np.random.default_rng(0).uniform(0.3, 0.7, (2, 16, 16))
    recipe = ric.read_recipe(ric.transform(grey))
    assert not recipe.passes.any()
    masks = ric.masks_.make(recipe)
    free = np.mean((masks > 0) & (masks < 255))
    assert free < 0.99
    result = brute_force_bound(ric, grey, guesses=1, n_directions=400, random_state=0)
    np.testing.assert_allclose(result.constant, alpha / (1 - alpha) * np.sqrt(free), rtol=0.02)


def test_few_directions_are_not_biased(ric):
    """The norm of an average over 5 directions would be too large by a factor of 7."""
    few = [
        brute_force_bound(ric, X, guesses=1, n_directions=5, random_state=i).constant
        for i in range(5)
    ]
    many = brute_force_bound(ric, X, guesses=1, n_directions=150, random_state=0).constant
    np.testing.assert_allclose(np.mean(few), many, rtol=0.25)


def test_the_claim_of_the_paper_is_refuted_where_nothing_is_clipped():
    weak = fitted(alpha=0.05, scramble=False, nonce="fixed")
    grey = np.random.default_rng(0).uniform(0.3, 0.7, (2, 16, 16))
    result = brute_force_bound(weak, grey, guesses=20, radii=(64, 115), random_state=0)
    assert result.log10_probabilities[1] < -6
    assert result.reached[0] == 0
    assert result.reached[1] > 0.9


def test_a_seed_gives_the_same_result_and_another_one_does_not(ric):
    key, masks, mixing = ric.key_, ric.masks_, ric.mixing_
    first, again, other = (
        brute_force_bound(ric, X, guesses=3, n_directions=5, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.constant != other.constant
    assert first.wrong_mean != other.wrong_mean
    assert (ric.key_, ric.masks_, ric.mixing_) == (key, masks, mixing)


def test_the_result_prints_as_a_table_without_a_key(ric):
    text = repr(brute_force_bound(ric, X, guesses=3, radii=(1, 2, 3), random_state=0))
    assert "3 guessed keys" in text
    assert len(text.splitlines()) == 4 + 3
    assert ric.key_.key_id not in text


def test_refuses_what_is_not_a_fitted_ric_encryptor(ric):
    with pytest.raises(TypeError, match="takes a fitted RICEncryptor, got Pipeline"):
        brute_force_bound(make_pipeline(ric), X)
    with pytest.raises(NotFittedError, match="RICEncryptor instance is not fitted"):
        brute_force_bound(RICEncryptor(KEY, LINEAR), X)


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
