"""`compare`: what encryptors cost, and whether they hide content, side by side."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from ricsk.audit._names import encryptors_by_name
from ricsk.audit._trials import Labelled, default_trials, find_disclosed, run_trials
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.classifiers import ConvMixerClassifier
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import NoPrivateKeyError
from ricsk.images import check_images, flattened_for, with_image_shape
from ricsk.metrics import accuracy_drop, psnr
from ricsk.private import PrivateClassifier

__all__ = ["compare"]

_JPEG_QUALITY = 85
_KEY_BITS = 256.0
# Sizes of files vary little.
_MAX_FILES = 100


def compare(
    encryptors: BaseImageEncryptor
    | Sequence[BaseImageEncryptor]
    | Mapping[str, BaseImageEncryptor],
    X: ArrayLike,
    y: ArrayLike,
    *,
    classifier: Any | None = None,
    test_size: float = 0.25,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Compare encryptors: accuracy, time, size, keys, what comes back, and what shows.

    `audit` measures in full what they hide.

    Parameters
    ----------
    encryptors : encryptor, or sequence or dict of encryptors
        A dict gives names to them.
    X : array-like
        Images, in any form that the encryptors take.
    y : array-like of shape (n_samples,)
        Their classes.
    classifier : classifier, optional
        Trained on ciphertexts or, for an encryptor with ``learns_on="plain"``, on plain images. An
        encryptor that has a classifier of its own keeps it. By default a `ConvMixerClassifier`.
    test_size : float, default=0.25
        The part of `X` that accuracy, times and sizes are measured on.
    random_state : int, RandomState or None
        Of the split, and of the default classifier.

    Returns
    -------
    DataFrame
        A row for each encryptor. `learns_on`; `accuracy`, and `accuracy_drop`, the share of the
        accuracy of the same classifier on plain images that is lost (see
        `ricsk.metrics.accuracy_drop`); `encrypt_ms` and `decrypt_ms`, milliseconds for an image, in
        one batch on this machine, the latter NaN where images cannot be recovered; `png_bytes` and
        `jpeg_bytes`, of the ciphertext of an image as PNG and as JPEG of quality 85, and
        `plain_png_bytes` and `plain_jpeg_bytes`; `key_bits`, the binary logarithm of the number of
        different encryptions, which the 256 bits of a `SecretKey` limit, NaN where the encryptor
        cannot say; `recoverable`: "exactly", a mean PSNR, "by recipients", where only others
        have the private keys, or "no"; and `told_apart`: "yes" where a `DistinguishingGame` or an
        `IdentificationAttack` with a quick budget does better than guessing, "not found" where
        neither does, and "not tried" where neither can be run.

    Raises
    ------
    TypeError
        If something is not an encryptor.
    ValueError
        If the images do not fit `y` or an encryptor.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import EtCEncryptor, PixelEncryptor, SecretKey
    >>> from ricsk.audit import compare
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> key = SecretKey.generate()
    >>> table = compare(
    ...     {"EtC": EtCEncryptor(key, block_size=2), "PE": PixelEncryptor(key)},
    ...     X / 255.0,
    ...     y,
    ...     classifier=LogisticRegression(max_iter=1000),
    ...     random_state=0,
    ... )
    >>> table[["scheme", "learns_on", "key_bits", "recoverable", "told_apart"]]
      scheme    learns_on  key_bits recoverable told_apart
    0    EtC  ciphertexts     256.0     exactly        yes
    1     PE  ciphertexts     256.0     exactly        yes
    """
    schemes = encryptors_by_name(encryptors)
    rng = check_random_state(random_state)
    given = np.asarray(X)
    X_train, X_test, y_train, y_test = train_test_split(
        given, np.asarray(y), test_size=test_size, random_state=rng
    )
    default = ConvMixerClassifier(random_state=rng.randint(2**31 - 1))
    seed = rng.randint(2**31 - 1)
    shared = default if classifier is None else classifier
    rows = []
    plain_predictions: dict[int, NDArray[Any]] = {}
    for name, scheme in schemes.items():
        own = scheme.get_params(deep=False).get("classifier")
        reader = shared if own is None else own
        private = PrivateClassifier(scheme, reader).fit(X_train, y_train)
        encryptor: Any = private.encryptor_
        tags = get_encryptor_tags(encryptor)
        if id(reader) not in plain_predictions:
            plain = private.classifier_
            if tags.learns_on == "ciphertexts":
                plain = _fit_on_plain(reader, X_train, y_train, encryptor)
            plain_predictions[id(reader)] = plain.predict(flattened_for(plain, X_test))
        start = time.perf_counter()
        C = encryptor.transform(X_test)
        encrypt_ms = 1000 * (time.perf_counter() - start) / len(C)
        predicted = private.predict_encrypted(C)
        decrypt_ms, recoverable = _measure_recovery(encryptor, X_test, C)
        images = _read_levels(encryptor, X_test, encryptor.image_shape_in_)
        ciphertexts = _read_levels(encryptor, C, encryptor.ciphertext_shape_)
        rows.append(
            {
                "scheme": name,
                "learns_on": tags.learns_on,
                "accuracy": accuracy_score(y_test, predicted),
                "accuracy_drop": accuracy_drop(y_test, plain_predictions[id(reader)], predicted),
                "encrypt_ms": encrypt_ms,
                "decrypt_ms": decrypt_ms,
                "png_bytes": _mean_bytes(ciphertexts, "PNG"),
                "jpeg_bytes": _mean_bytes(ciphertexts, "JPEG", quality=_JPEG_QUALITY),
                "plain_png_bytes": _mean_bytes(images, "PNG"),
                "plain_jpeg_bytes": _mean_bytes(images, "JPEG", quality=_JPEG_QUALITY),
                "key_bits": _key_bits(encryptor),
                "recoverable": recoverable,
                "told_apart": _tell_apart(encryptor, X_test, y_test, seed),
            }
        )
    return pd.DataFrame(rows)


def _fit_on_plain(classifier: Any, X: NDArray[Any], y: NDArray[Any], encryptor: Any) -> Any:
    """Train a classifier on plain images."""
    plain = clone(classifier)
    if X.ndim == 2:
        with_image_shape(plain, encryptor.image_shape_in_)
    return plain.fit(flattened_for(plain, X), y)


def _measure_recovery(encryptor: Any, X: NDArray[Any], C: NDArray[Any]) -> tuple[float, str]:
    """Decrypt: milliseconds for an image, and how well images come back."""
    if not get_encryptor_tags(encryptor).recoverable:
        return np.nan, "no"
    start = time.perf_counter()
    try:
        back = encryptor.inverse_transform(C)
    except NoPrivateKeyError:
        return np.nan, "by recipients"
    milliseconds = 1000 * (time.perf_counter() - start) / len(C)
    # At 8 bits: floating-point images are equal up to one rounding at best.
    pair = (_read_levels(encryptor, images, encryptor.image_shape_in_) for images in (X, back))
    decibels = psnr(*pair)
    if np.isinf(decibels).all():
        return milliseconds, "exactly"
    return milliseconds, f"{np.minimum(decibels, 100).mean():.1f} dB"


def _tell_apart(encryptor: Any, X: NDArray[Any], y: NDArray[Any], seed: int) -> str:
    """Run the attacks that draw no picture."""
    trials = {type(trial).__name__: trial for trial in default_trials("quick")}
    images = Labelled(X, find_disclosed(encryptor, X, y))
    runs, _ = run_trials(encryptor, trials, images, images, seed)
    if not runs:
        return "not tried"
    return "yes" if any(run.result.wins for run in runs) else "not found"


def _read_levels(encryptor: Any, images: NDArray[Any], shape: Any) -> NDArray[np.uint8]:
    pixels = check_images(images, image_shape=shape, caller="compare").pixels
    return encryptor.value_range_.to_uint8(pixels)


def _mean_bytes(images: NDArray[np.uint8], kind: str, **options: int) -> float:
    sizes = []
    for image in images[:_MAX_FILES]:
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
            buffer, kind, **options
        )
        sizes.append(buffer.tell())
    return float(np.mean(sizes))


def _key_bits(encryptor: Any) -> float:
    if not isinstance(encryptor, PixelMapEncryptor):
        return np.nan
    return min(encryptor.key_space_bits(), _KEY_BITS)
