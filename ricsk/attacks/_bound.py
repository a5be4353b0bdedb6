"""Guessing keys of RIC: the published bound next to a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ricsk.encryptors import PublishedRICEncryptor
from ricsk.images import ImageShape, check_images
from ricsk.keys import SecretKey
from ricsk.metrics import psnr

__all__ = ["BruteForceBound", "brute_force_bound"]

# How many values of masks are tried at a time.
_CHUNK_VALUES = 1 << 18


@dataclass(frozen=True, repr=False)
class BruteForceBound:
    r"""The theorem's bound on guessing keys, beside the measured success of guessed keys.

    Parameters
    ----------
    constant : float
        The constant C of the theorem: how many levels a value of the recovered image changes, at
        most, when the noise moves by a Euclidean distance of one level; root mean square over
        values and images.
    radii : tuple of float
        Distances ε of the guessed noise from the true noise, in levels.
    psnr_bounds : tuple of float
        Decibels at each radius, :math:`20 \log_{10}(255 / (C ε))`.
    log10_probabilities : tuple of float
        What the theorem claims of the probability that a guess reaches them: the decimal logarithm
        of its upper bound.
    reached : tuple of float
        The share of guesses that were measured to reach them. A share far above the probability
        refutes the claim at this radius.
    n_guesses : int
        How many keys were tried on every image.
    wrong_mean, wrong_min, wrong_max : float
        PSNR of the images that they recover, in decibels, over all keys and images.
    right_mean : float
        Mean PSNR of the images that the right key recovers.
    """

    constant: float
    radii: tuple[float, ...]
    psnr_bounds: tuple[float, ...]
    log10_probabilities: tuple[float, ...]
    reached: tuple[float, ...]
    n_guesses: int
    wrong_mean: float
    wrong_min: float
    wrong_max: float
    right_mean: float

    def __repr__(self) -> str:
        lines = [
            f"BruteForceBound: PSNR {self.right_mean:.2f} dB with the right key",
            f"{self.n_guesses} guessed keys: mean {self.wrong_mean:.2f}, min {self.wrong_min:.2f}, "
            f"max {self.wrong_max:.2f} dB",
            f"theorem, C = {self.constant:.3f}:",
            "  radius  PSNR dB  log10 of claimed probability  measured share",
        ]
        columns = (self.radii, self.psnr_bounds, self.log10_probabilities, self.reached)
        lines += [
            f"  {radius:6g}  {decibels:7.2f}  {claimed:28.1f}  {share:14.3f}"
            for radius, decibels, claimed, share in zip(*columns, strict=True)
        ]
        return "\n".join(lines)


def brute_force_bound(
    encryptor: PublishedRICEncryptor,
    X: ArrayLike,
    *,
    guesses: int | Sequence[SecretKey] = 100,
    radii: Sequence[float] = (1, 16, 64, 110),
    n_directions: int = 50,
    sigma: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> BruteForceBound:
    r"""Decrypt with guessed keys, and compare with what theorem 6.1 of the RIC paper claims.

    The theorem [1]_ is about an adversary who guesses keys at random and decrypts with them, and so
    is the measurement. Neither says anything of one who does better: who learns from pairs,
    averages ciphertexts, or denoises without any key. And the theorem is not proved (see Notes), so
    rely on what is measured: after n random guesses, one more exceeds `wrong_max` with a
    probability of at most 1 / (n + 1). That guessing a key of 256 bits is hopeless follows from the
    number of keys, and needs no theorem.

    Parameters
    ----------
    encryptor : PublishedRICEncryptor
        Fitted, with the right key. It is not changed.
    X : array-like
        Plain images of the fitted shape. They are encrypted first.
    guesses : int or sequence of SecretKey, default=100
        How many random keys to try on every image, or the keys, for instance from a list of likely
        passphrases.
    radii : sequence of float, default=(1, 16, 64, 110)
        Distances ε of noises at which to evaluate the bound, in levels: above 0.
    n_directions : int, default=50
        Gaussian directions of the gradient's estimate, for each image; at least 2.
    sigma : float, default=1.0
        Length σ of their steps, in levels.
    random_state : int, RandomState or None
        Of directions and guessed keys. Nothing secret is drawn from it.

    Returns
    -------
    BruteForceBound

    Raises
    ------
    TypeError
        If `encryptor` is not a `PublishedRICEncryptor`.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If a number is out of range, or `X` does not hold images of the fitted shape and range.

    Notes
    -----
    The formulas of our copy of the paper are lost; this is how its text reads. Noises r and r′ are
    d values on {0, …, 255}, and :math:`g_i(r)` is the value i of the image that is recovered with
    noise r. Eqs. (20) and (21), by the gradient theorem along a segment and Cauchy–Schwarz:

    .. math:: |g_i(r') - g_i(r)| = \left| \int_0^1 \nabla g_i(r + t (r' - r)) \cdot (r' - r)\, dt
              \right| \le \max \|\nabla g_i\|_2\, ε, \qquad \|r' - r\|_2 \le ε.

    Averaged over i, with eqs. (18) and (19), the MSE is at most :math:`C^2 ε^2` with :math:`C^2 =
    \frac 1 d \sum_i \|\nabla g_i\|^2`, so that the PSNR is at least :math:`20 \log_{10} (255 / (C
    ε))`. Eq. (23): in the ball, all :math:`|r_i - r'_i| \le ε`, which leaves each value at most
    :math:`2 \lfloor ε \rfloor + 1` of 256 levels. Together, eqs. (15) and (24):

    .. math:: P\left(\mathrm{PSNR} \ge 20 \log_{10} \frac{255}{C ε}\right) \le
              \left( \frac{2 \lfloor ε \rfloor + 1}{256} \right)^d.

    Which ε gave the paper's 5.64 dB is lost.

    Eq. (22) estimates :math:`\nabla g_i` by natural evolution strategies [2]_, the average of
    :math:`g_i(r + σu)\, u / σ` over Gaussian u; here with pairs ±u. The squared norm of such an
    average over n directions is too large by a factor of about 1 + d/n, so products of two
    different directions are averaged instead, which has no such bias. What the search added to the
    noise is kept as it is under the right key, and the result is not rounded.

    What is not sound in the proof:

    - It shows that near noise gives high PSNR. The claim needs the converse, that high PSNR needs
      near noise: the probability of the ball bounds that of the PSNR from below, not from above.
    - Indeed the claim is false. If g is linear with one gain C, independent noises, which differ
      by :math:`255 / \sqrt 6 = 104` levels in the root mean square, reach the bound of every ε
      above that almost always, while it claims a probability that vanishes with d. `reached` shows
      it, from still smaller ε on where the recovered values are clipped.
    - With 2^256 keys, no probability is below 10^-77: a guess may be the right key.
    - The gradient is estimated at r alone, where the proof needs its largest norm in the ball.
      Clipping and a search for masks are not differentiable.

    PSNR is measured to the plain images, as in the paper's figure 8.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023, section 6.1, appendix A.
    .. [2] A. Ilyas, L. Engstrom, A. Athalye and J. Lin, "Black-box adversarial attacks with limited
       queries and information", ICML 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import SecretKey
    >>> from ricsk.attacks import brute_force_bound
    >>> from ricsk.encryptors import PublishedRICEncryptor
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> X = X / 16
    >>> classifier = LogisticRegression(max_iter=1000).fit(X, y)
    >>> encryptor = PublishedRICEncryptor(
    ...     SecretKey(bytes(range(32))), FrozenEstimator(classifier),
    ...     epochs=1, batch_size=16, learning_rate=1e-3, random_state=0,
    ... ).fit(X[:50])
    >>> result = brute_force_bound(encryptor, X[:2], guesses=5, random_state=0)
    >>> result
    BruteForceBound: PSNR ... dB with the right key
    5 guessed keys: mean ..., min ..., max ... dB
    theorem, C = ...:
      radius  PSNR dB  log10 of claimed probability  measured share
           1  ...                        -123.6           0.000
    ...
    >>> result.wrong_mean < result.right_mean
    True
    """
    if not isinstance(encryptor, PublishedRICEncryptor):
        raise TypeError(
            "brute_force_bound takes a fitted PublishedRICEncryptor, which hides images by secret "
            f"masks, got {type(encryptor).__name__}. If one is inside a pipeline, pass that step."
        )
    check_is_fitted(encryptor)
    rng = check_random_state(random_state)
    if isinstance(guesses, Sequence):
        keys = list(guesses)
    else:
        keys = [SecretKey(rng.bytes(32)) for _ in range(guesses)]
    if not keys:
        raise ValueError(f"guesses={guesses!r}: expected at least 1, or at least one key.")
    if not len(radii) or min(radii) <= 0:
        raise ValueError(f"radii={radii!r}: expected levels above 0.")
    if n_directions < 2:
        raise ValueError(f"n_directions={n_directions!r}: expected at least 2.")
    if sigma <= 0:
        raise ValueError(f"sigma={sigma!r}: expected levels above 0.")
    C = encryptor.transform(X)
    plain = _to_levels(encryptor, X, encryptor.image_shape_in_)
    constant = _estimate_constant(encryptor, C, n_directions, sigma, rng)
    wrong = np.stack([_measure_psnr(encryptor.with_key(key), C, plain) for key in keys])

    distances = np.array(radii, np.float64)
    with np.errstate(divide="ignore"):
        bounds = 20 * np.log10(255 / (constant * distances))
    levels = np.minimum(2 * np.floor(distances) + 1, 256)
    return BruteForceBound(
        constant=constant,
        radii=tuple(distances.tolist()),
        psnr_bounds=tuple(bounds.tolist()),
        log10_probabilities=tuple((plain[0].size * np.log10(levels / 256)).tolist()),
        reached=tuple(float(np.mean(wrong >= bound)) for bound in bounds),
        n_guesses=len(keys),
        wrong_mean=float(wrong.mean()),
        wrong_min=float(wrong.min()),
        wrong_max=float(wrong.max()),
        right_mean=float(_measure_psnr(encryptor, C, plain).mean()),
    )


def _measure_psnr(
    encryptor: PublishedRICEncryptor, C: NDArray[Any], plain: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Measure how close the images are that an encryptor's key recovers."""
    recovered = encryptor.inverse_transform(C)
    return psnr(plain, _to_levels(encryptor, recovered, encryptor.image_shape_in_))


def _to_levels(
    encryptor: PublishedRICEncryptor, X: ArrayLike, shape: ImageShape
) -> NDArray[np.uint8]:
    return encryptor.value_range_.to_uint8(check_images(X, image_shape=shape).pixels)


def _estimate_constant(
    encryptor: PublishedRICEncryptor,
    C: NDArray[Any],
    n_directions: int,
    sigma: float,
    rng: np.random.RandomState,
) -> float:
    """Estimate the root mean square, over values and images, of the norms of gradients."""
    levels = _to_levels(encryptor, C, encryptor.ciphertext_shape_)
    powers = []
    for image, label in zip(levels, encryptor.read_labels(C), strict=True):
        mask = encryptor.masks_[label].astype(np.float64)
        u = rng.standard_normal((n_directions, *mask.shape))
        change = _recover(encryptor, image, mask + sigma * u)
        change -= _recover(encryptor, image, mask - sigma * u)
        change /= 2 * sigma
        u = u.reshape(n_directions, -1)
        # Σᵢ (change_ki u_k) · (change_li u_l), for all pairs of directions
        products = (change @ change.T) * (u @ u.T)
        pairs = n_directions * (n_directions - 1)
        powers.append((products.sum() - products.trace()) / pairs / u.shape[1])
    return float(np.sqrt(max(np.mean(powers), 0)))


def _recover(
    encryptor: PublishedRICEncryptor, image: NDArray[np.uint8], masks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Recover one image with many masks, (n, height, width, channels), as unrounded levels."""
    size = max(1, _CHUNK_VALUES // image.size)
    parts = [
        encryptor.take_off(image, masks[start : start + size].clip(0, 255))
        for start in range(0, len(masks), size)
    ]
    return np.concatenate(parts).reshape(len(masks), -1)
