"""Opening sealed images, which takes the key alone: no classifier, and no PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from os import PathLike
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.encryptors.sealed._format import MIN_VALUES
from ricsk.encryptors.sealed._opener import Opener, RecipientOpener, make_opener
from ricsk.exceptions import NewerFormatError, NotSealedError
from ricsk.images import (
    ImageBatch,
    ImageShape,
    ValueRange,
    as_table,
    check_images,
    find_positions,
    group_by_size,
    numbered,
    restore_order,
)
from ricsk.keys import PrivateKey, SecretKey, VerifyingKey, coerce_opening_key

__all__ = [
    "check_ciphertexts",
    "find_signers",
    "name_images",
    "open_images",
    "to_levels",
    "unseal",
]

Opened = TypeVar("Opened")

_MAX_NAMED = 10
_UNIT_RANGE = ValueRange(0.0, 1.0)
_HINT = (
    "A ciphertext opens only as it was made: keep it in a file without loss, such as PNG, and do "
    "not resize, crop or turn it."
)


def unseal(
    C: ArrayLike,
    key: SecretKey | PrivateKey | bytes | str | PathLike[str],
    *,
    signers: Collection[VerifyingKey] | None = None,
) -> Any:
    """Open sealed images with nothing but the key: no fitted encryptor, no classifier.

    Parameters
    ----------
    C : array-like of shape (n, height, width) or (n, height, width, channels)
        Sealed images, or a list of some of different sizes: 8-bit values, or the floats on [0, 1]
        that `SealedEncryptor` makes of images on [0, 1]. Floats must be levels k / 255: rounding
        others would hide a change from you that the classifier has seen.
    key : SecretKey, PrivateKey, bytes or path
        The key that they were sealed with; or the private key of one of those for whom they were
        sealed.
    signers : collection of VerifyingKey, optional
        With a private key: who may have sealed them. Images that are not signed by one of these
        are refused. By default anybody may have sealed them, who had the public key.

    Returns
    -------
    ndarray, or list of ndarray for a list of different sizes
        The images, of the dtype of `C`. Where they were so small that their ciphertexts are larger,
        they have their own size again.

    Raises
    ------
    NotSealedError
        If an image was sealed with another key, has been changed, or is not a sealed image. The
        message names the images, and what else seems to be wrong with them.
    NewerFormatError
        If one was sealed by a newer version of this package, in a way that this one cannot read.
    ValueError, TypeError
        If `C` does not hold images, or none that could be sealed ones: flattened, or with an alpha
        channel.

    See Also
    --------
    SealedEncryptor.inverse_transform : Also opens flattened images, and those of other ranges.
    find_signers : Says who sealed images.

    Examples
    --------
    >>> from ricsk import SealedEncryptor, SecretKey, unseal
    >>> from ricsk.datasets import make_street_numbers
    >>> X, y = make_street_numbers(60, size=16, random_state=0)
    >>> key = SecretKey.generate()
    >>> C = SealedEncryptor(key, kappa=0).fit(X, y).transform(X[:3])
    >>> bool((unseal(C, key) == X[:3]).all())
    True
    """
    opener = make_opener(coerce_opening_key(key), signers)
    groups = group_by_size(C)
    if groups is None:
        return _unseal_batch(C, opener)
    found = []
    for group in groups:
        with numbered(group.positions):
            found.append(_unseal_batch(group.images, opener))
    return restore_order([group.positions for group in groups], found)


def find_signers(C: ArrayLike, key: PrivateKey | str | PathLike[str]) -> list[VerifyingKey | None]:
    """Find out who sealed images for a private key. No image is decoded.

    Parameters
    ----------
    C : array-like
        Sealed images, as for `unseal`.
    key : PrivateKey or path
        The private key of one of those for whom they were sealed.

    Returns
    -------
    list of VerifyingKey or None
        For each image, whose signature it has; None if it has none, and anybody may have sealed it.
        Compare with the keys that you got from the cameras themselves: everybody can make a key.

    Raises
    ------
    NotSealedError
        If an image was not sealed for this key, or has been changed; also its signature.
    ValueError, TypeError
        As `unseal`.

    Examples
    --------
    >>> from ricsk import PrivateKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.encryptors import find_signers
    >>> from ricsk.encryptors.sealed import seal_noise
    >>> from ricsk.keys import SigningKey
    >>> private, camera = PrivateKey.generate(), SigningKey.generate()
    >>> X, _ = load_digits(size=32)
    >>> noise = seal_noise(X[0], recipients=[private.public_key], signing_key=camera)
    >>> find_signers(noise[None], private) == [camera.verifying_key]
    True
    """
    opener = RecipientOpener(PrivateKey.coerce(key))
    groups = group_by_size(C)
    if groups is None:
        return _find_signers_of_batch(C, opener)
    found: list[VerifyingKey | None] = [None] * sum(len(group.positions) for group in groups)
    for group in groups:
        with numbered(group.positions):
            signers = _find_signers_of_batch(group.images, opener)
        for position, signer in zip(group.positions, signers, strict=True):
            found[position] = signer
    return found


def _find_signers_of_batch(C: ArrayLike, opener: RecipientOpener) -> list[VerifyingKey | None]:
    levels = to_levels(_read_batch(C).pixels, _UNIT_RANGE)
    return open_images(levels, lambda pixels: opener.read(pixels).signer, opener)


def _unseal_batch(C: ArrayLike, opener: Opener) -> NDArray[Any]:
    batch = _read_batch(C)
    levels = to_levels(batch.pixels, _UNIT_RANGE)
    images = open_images(levels, opener.open, opener)
    if len({image.shape for image in images}) > 1:
        raise ValueError(
            "C holds images of different sizes, enlarged to one. Open them one by one: "
            "unseal(C[i : i + 1], key)."
        )
    return batch.form.restore(_UNIT_RANGE.from_uint8(np.stack(images), batch.pixels.dtype))


def _read_batch(C: ArrayLike) -> ImageBatch:
    batch = check_images(check_ciphertexts(C), caller="unseal")
    if batch.ndim == 2 or int(np.prod(batch.shape)) < MIN_VALUES:
        raise ValueError(
            f"C has shape {np.shape(C)}, but sealed images have a height, a width, and "
            f"{MIN_VALUES} values at least. Pass what transform returned, unresized: flattened "
            "images with C.reshape(len(C), height, width, channels), a single grey one with "
            "C[numpy.newaxis]."
        )
    if batch.pixels.dtype != np.uint8 and not 0 <= batch.pixels.min() <= batch.pixels.max() <= 1:
        raise ValueError(
            f"C has floating-point values from {batch.pixels.min():g} to {batch.pixels.max():g}; "
            "expected 8-bit values, or floats on [0, 1]. Turn whole numbers up to 255 into 8-bit "
            "values with C.astype(numpy.uint8); floats of another range need the inverse_transform "
            "of the encryptor."
        )
    return batch


def check_ciphertexts(C: ArrayLike, shape: ImageShape | None = None) -> Any:
    """Read `C`, and say in words of their own what often happens to ciphertexts on their way.

    Parameters
    ----------
    C : array-like
        Ciphertexts, or what became of them.
    shape : (int, int, int), optional
        Height, width and channels that they should have, if that is known.

    Returns
    -------
    array, data frame or sparse matrix
        See `ricsk.images.as_table`.

    Raises
    ------
    ValueError
        With what is wrong, and what to do.
    """
    X = as_table(C)
    found = tuple(X.shape)
    if shape is not None:
        single = found in (shape, shape[:2]) and np.prod(found) == np.prod(shape)
        if single and found != (1, shape[1]):  # a row is also a batch of one, one pixel high
            raise ValueError(
                f"C has shape {found}: that is a single ciphertext; expected a batch. Use "
                "C[numpy.newaxis]."
            )
    fits = shape is not None and found[1:] in (shape, shape[:2])
    if len(found) in (3, 4) and found[-1] in (2, 4) and not fits:
        raise ValueError(
            f"C has shape {found}, so its images have {found[-1]} channels; expected 1 or 3. If "
            f"the last one is an alpha channel, leave it out: C[..., :{found[-1] - 1}]."
        )
    if shape is not None and found[1:] == (*shape[:2], 3) and shape[2] == 1:
        same = np.flatnonzero((X[..., :1] == X).all(axis=(1, 2, 3)))
        if len(same):
            raise ValueError(
                "C has three channels, but the ciphertexts of this encryptor are grey. In "
                f"{name_images(same)} all three are equal: grey ciphertexts that were read as "
                "colour? Pass C[..., :1] of such images."
            )
    return X


def to_levels(pixels: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Read the levels of ciphertexts; refuse floats that lie between levels.

    A classifier reads such floats as they are, and may say something else of them than of the
    rounded levels that the tag is of. So an image that was changed would be taken for authentic.

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width, channels)
        uint8, or floats.
    value_range : ValueRange
        Black and white of floats.

    Returns
    -------
    ndarray of shape (n, height, width, channels), uint8

    Raises
    ------
    NotSealedError
        With the images in question.
    ValueError
        If floats leave the range.
    """
    levels = value_range.to_uint8(pixels)
    off = np.flatnonzero(~value_range.are_levels(pixels))
    if len(off):
        unit = (value_range.low, value_range.high) == (0, 1)
        rounding = "numpy.rint(255 * C) / 255" if unit else "r.from_uint8(r.to_uint8(C), C.dtype)"
        raise NotSealedError(
            f"{len(off)} of {len(pixels)} images could not be opened, {name_images(off)}: values "
            f"lie between the 256 levels from {value_range.low:g} to {value_range.high:g}, so they "
            "were changed, or converted with loss. If you know that it was a conversion, round "
            f"them, C = {rounding}{'' if unit else ' with r = encryptor.value_range_'}, and do not "
            "rely on what a classifier said of them before."
        )
    return levels


def open_images(
    levels: NDArray[np.uint8],
    open_image: Callable[[NDArray[np.uint8]], Opened],
    opener: Opener,
) -> list[Opened]:
    """Open all images, or name those that do not open.

    Parameters
    ----------
    levels : ndarray of shape (n, height, width, channels), uint8
        Ciphertexts.
    open_image : callable
        Opens one, or raises `NotSealedError`.
    opener : Opener
        With which to find out what is wrong with those that do not open.

    Returns
    -------
    list
        What `open_image` returned.

    Raises
    ------
    NotSealedError, NewerFormatError
        With the images in question.
    """
    images: list[Opened] = []
    failed: dict[str, list[int]] = {}
    for i, image in enumerate(levels):
        try:
            images.append(open_image(image))
        except NotSealedError as error:
            reason = _find_misreading(image, opener) or str(error)
            failed.setdefault(reason, []).append(i)
        except NewerFormatError as error:
            raise NewerFormatError(f"{name_images([i])}: {error}") from None
    if failed:
        said = "; ".join(f"{name_images(which)}: {reason}" for reason, which in failed.items())
        n_failed = sum(map(len, failed.values()))
        raise NotSealedError(
            f"{n_failed} of {len(levels)} images could not be opened, {said}. " + _HINT
        )
    return images


def name_images(which: Any, name: str = "C") -> str:
    """Name the first images of those that something is wrong with.

    Parameters
    ----------
    which : sequence of int
        Their places in the batch.
    name : str
        What the batch is called.

    Returns
    -------
    str

    Examples
    --------
    >>> name_images([2, 5])
    'C[2], C[5]'
    """
    named = ", ".join(f"{name}[{i}]" for i in find_positions(which[:_MAX_NAMED]))
    return named + ", ..." * (len(which) > _MAX_NAMED)


def _find_misreading(image: NDArray[np.uint8], opener: Opener) -> str | None:
    """Say how an image was read from its file, if it opens once that is undone."""
    if image.shape[2] != 3:
        return None
    as_grey, reversed_ = image[..., :1], image[..., ::-1]
    if (image == as_grey).all() and _opens(as_grey, opener):
        return (
            "a grey ciphertext that was read as colour, in three equal channels; pass C[..., :1] "
            "of such images"
        )
    if _opens(reversed_, opener):
        return "its channels were read in reverse order, as OpenCV does; pass C[..., ::-1]"
    return None


def _opens(image: NDArray[np.uint8], opener: Opener) -> bool:
    try:
        opener.open(image)
    except (NotSealedError, NewerFormatError):
        return False
    return True
