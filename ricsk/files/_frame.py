"""Tables of images: a column of pictures becomes one of ciphertexts, and back."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.utils.validation import check_is_fitted

from ricsk._callers import find_caller
from ricsk._secrets import show_object
from ricsk.exceptions import RicskError
from ricsk.files._ciphertexts import read_ciphertexts
from ricsk.files._envelope import Place
from ricsk.files._header import find_scheme
from ricsk.files._open import open_photograph
from ricsk.files._picture import (
    check_ready,
    decrypt_picture,
    encrypt_picture,
    is_encrypted_picture,
)
from ricsk.files._seal import read_for_image, seal_photograph
from ricsk.files._write import encode_picture
from ricsk.images import check_images
from ricsk.keys import PrivateKey, PublicKey, SecretKey, coerce_opening_key
from ricsk.parallel import deal

if TYPE_CHECKING:
    from ricsk.encryptors import SealedEncryptor

__all__ = ["decrypt_frame", "encrypt_frame"]

# A process is sent so many images at a time: with them goes the encryptor, which may be large.
_LOT = 16
_IN_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"}


class _Failure(NamedTuple):
    error: type[Exception]
    message: str


class _Found(NamedTuple):
    content: bytes
    is_thumbnail: bool = False


def encrypt_frame(
    df: pd.DataFrame,
    column: Any,
    encryptor: Any | None = None,
    *,
    key: SecretKey | bytes | str | os.PathLike[str] | None = None,
    recipients: Sequence[PublicKey] | None = None,
    errors: Literal["raise", "coerce"] = "raise",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Encrypt a column of images: each becomes the content of an image file that shows noise.

    With a `SealedEncryptor`, a key or recipients these are sealed photographs, which bring every
    file back byte for byte. With an encryptor of another scheme pixels alone are encrypted, as by
    `encrypt_picture`.

    The function takes a part of a table as it takes the whole: give it to ``map_partitions`` of
    Dask, or to ``map`` of Hugging Face's datasets ``with_format("pandas")``.

    Read more in the :ref:`User Guide <guide-frames>`.

    Parameters
    ----------
    df : DataFrame
        It is not changed.
    column : label
        Of the column. Its cells are paths, contents of files as bytes, Pillow images, or dicts with
        "bytes" and "path", as datasets keeps images. Missing ones stay missing.
    encryptor : encryptor, optional
        Fitted, of any scheme; or unfitted, as `encrypt_picture` says.
    key : SecretKey, bytes or path, optional
        The key, where there is no encryptor: pixels are then plain noise that no classifier was
        asked about.
    recipients : list of PublicKey, optional
        For whom to seal, in the place of a key.
    errors : {"raise", "coerce"}, default="raise"
        What becomes of an image that cannot be encrypted: an error, or a missing value and one
        warning that names the rows.
    n_jobs : int, optional
        How many processes; of joblib, so that -1 means all cores.

    Returns
    -------
    DataFrame
        With bytes in the column, and the rows, index and other columns as they were.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError, TypeError
        If there is not one of encryptor, key and recipients.
    sklearn.exceptions.NotFittedError
        If the encryptor is not fitted.
    RicskError, ValueError
        Of an image that cannot be encrypted; the message begins with its row.

    See Also
    --------
    decrypt_frame : The way back.
    encrypt_folder : For files.

    Examples
    --------
    >>> import pandas as pd
    >>> from PIL import Image
    >>> from ricsk import SecretKey
    >>> from ricsk.files import decrypt_frame, encrypt_frame
    >>> key = SecretKey.generate()
    >>> df = pd.DataFrame({"image": [Image.new("L", (20, 10)), None], "label": ["black", "none"]})
    >>> encrypted = encrypt_frame(df, "image", key=key)
    >>> encrypted["image"].map(type).tolist()
    [<class 'bytes'>, <class 'NoneType'>]
    >>> decrypt_frame(encrypted, "image", key=key)["image"][0][1:4]
    b'PNG'
    """
    if sum(given is not None for given in (encryptor, key, recipients)) != 1:
        raise ValueError("give an encryptor, key=... or recipients=..., one of them.")
    check_ready(encryptor)
    if encryptor is not None and find_scheme(encryptor)[0] != "sealed":
        work: Work = partial(_encrypt_pixels, encryptor=encryptor)
    else:
        secret = None if key is None else SecretKey.coerce(key)
        work = partial(_seal, encryptor=encryptor, key=secret, recipients=recipients)
    return _replace(df, column, work, "encrypted", errors, n_jobs)


def decrypt_frame(
    df: pd.DataFrame,
    column: Any,
    encryptor: Any | None = None,
    *,
    key: SecretKey | PrivateKey | bytes | str | os.PathLike[str] | None = None,
    errors: Literal["raise", "coerce"] = "raise",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Decrypt a column that `encrypt_frame` has encrypted.

    Parameters
    ----------
    df : DataFrame
        It is not changed.
    column : label
        Of the column. Its cells are contents of files as bytes, or paths, whatever wrote them.
    encryptor : encryptor, optional
        Fitted as the one that encrypted, where that was not a `SealedEncryptor`. What comes back
        are PNG files of its images.
    key : SecretKey, PrivateKey, bytes or path, optional
        The key. Of sealed photographs the files come back; where a service has taken one out, a PNG
        file of its thumbnail, and a warning names the rows. Of what `decrypt_picture` opens, PNG
        files of the pictures.
    errors : {"raise", "coerce"}, default="raise"
        What becomes of one that cannot be decrypted: an error, or a missing value and one warning
        that names the rows.
    n_jobs : int, optional
        How many processes; of joblib, so that -1 means all cores.

    Returns
    -------
    DataFrame
        With bytes in the column, and the rows, index and other columns as they were.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError, TypeError
        If there is not either an encryptor or a key; or the encryptor seals for recipients, whose
        private keys alone open.
    sklearn.exceptions.NotFittedError
        If the encryptor is not fitted.
    RicskError, ValueError
        Of an image that cannot be decrypted; the message begins with its row.

    See Also
    --------
    encrypt_frame : Makes them, and has an example.
    """
    if (encryptor is None) == (key is None):
        raise ValueError("give a fitted encryptor or key=..., one of them.")
    if encryptor is not None:
        check_is_fitted(encryptor)
    if encryptor is not None and find_scheme(encryptor)[0] != "sealed":
        work: Work = partial(_decrypt_pixels, encryptor=encryptor)
    elif encryptor is not None and encryptor.recipients_:
        raise ValueError(
            "the encryptor seals for recipients, and opens nothing. Give key=..., a private key of "
            "one of them."
        )
    else:
        opening = coerce_opening_key(key if encryptor is None else encryptor.key_)
        work = partial(_open, key=opening)
    return _replace(df, column, work, "decrypted", errors, n_jobs)


Work = Callable[[Place], _Found]


def _replace(
    df: pd.DataFrame, column: Any, work: Work, done: str, errors: str, n_jobs: int | None
) -> pd.DataFrame:
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"df={show_object(df)} is not a pandas DataFrame. Convert it first.")
    if errors not in ("raise", "coerce"):
        raise ValueError(f"errors={errors!r}; expected 'raise' or 'coerce'.")
    if list(df.columns).count(column) != 1:
        known = ", ".join(map(repr, df.columns))
        raise KeyError(f"df has not one column {column!r}; it has {known}.")
    cells = np.empty(len(df), object)
    failed, thumbnails = [], []
    for i, result in enumerate(_compute(df[column].tolist(), work, n_jobs)):
        if isinstance(result, _Failure):
            failed.append(i)
            if errors == "raise":
                row = df.index[i]
                raise result.error(f"row {row!r} of {column!r} was not {done}: {result.message}")
        elif result is not None:
            cells[i] = result.content
            if result.is_thumbnail:
                thumbnails.append(i)
    if failed:
        _warn(f"were not {done} and are missing now", df.index[failed])
    if thumbnails:
        _warn("hold no original any more: what comes back is a thumbnail", df.index[thumbnails])
    replaced = df.copy(deep=False)
    place = list(df.columns).index(column)
    replaced.isetitem(place, cells)
    return replaced


def _warn(said: str, rows: pd.Index[Any]) -> None:
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    named = ", ".join(map(repr, rows[:10].tolist()))
    warnings.warn(f"{len(rows)} rows {said}: {named}{more}.", stacklevel=find_caller())


def _compute(
    cells: list[Any], work: Work, n_jobs: int | None
) -> Iterator[_Found | _Failure | None]:
    lots = ((cells[start : start + _LOT],) for start in range(0, len(cells), _LOT))
    for results in deal(_compute_lot, work, lots, n_jobs):
        yield from results


def _compute_lot(work: Work, cells: list[Any]) -> list[_Found | _Failure | None]:
    return [_compute_cell(work, cell) for cell in cells]


def _compute_cell(work: Work, cell: Any) -> _Found | _Failure | None:
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return None
    try:
        return work(_as_source(cell))
    except RicskError as error:
        return _Failure(type(error), str(error))
    except (OSError, ValueError, TypeError) as error:
        return _Failure(ValueError, str(error) or type(error).__name__)


def _as_source(cell: Any) -> Place:
    if isinstance(cell, Mapping) and {"bytes", "path"} <= {*cell}:
        return _as_named_source(cell["bytes"], cell["path"])
    if isinstance(cell, str | os.PathLike):
        return cell
    if isinstance(cell, bytes | bytearray | memoryview):
        return io.BytesIO(cell)
    if isinstance(cell, Image.Image):
        content = io.BytesIO()
        # With how it is to be turned; neither format stores that unless it is told.
        cell.save(content, "PNG" if cell.mode in _IN_PNG else "TIFF", exif=cell.getexif())
        content.seek(0)
        return content
    raise TypeError(
        f"got {show_object(cell)}; expected the path of an image, the content of its file as "
        "bytes, or a Pillow image"
    )


def _as_named_source(content: bytes | None, path: str | None) -> Place:
    if content is None:
        return _as_source(path)
    source = io.BytesIO(content)
    if path is not None:
        source.name = Path(path).name
    return source


def _seal(
    source: Place,
    *,
    encryptor: SealedEncryptor | None,
    key: SecretKey | None,
    recipients: Sequence[PublicKey] | None,
) -> _Found:
    sealed = io.BytesIO()
    seal_photograph(source, sealed, encryptor, key=key, recipients=recipients)
    return _Found(sealed.getvalue())


def _open(source: Place, *, key: SecretKey | PrivateKey) -> _Found:
    if is_encrypted_picture(source):
        return _Found(encode_picture(decrypt_picture(source, key)))
    opened = open_photograph(source, key)
    if opened.data is None:
        return _Found(encode_picture(opened.thumbnail), is_thumbnail=True)
    return _Found(opened.data)


def _encrypt_pixels(source: Place, *, encryptor: Any) -> _Found:
    encrypted = io.BytesIO()
    encrypt_picture(source, encrypted, encryptor)
    return _Found(encrypted.getvalue())


def _decrypt_pixels(source: Place, *, encryptor: Any) -> _Found:
    C = read_ciphertexts(read_for_image(source), encryptor)
    X = check_images(encryptor.inverse_transform(C), image_shape=encryptor.image_shape_in_)
    return _Found(encode_picture(encryptor.value_range_.to_uint8(X.pixels)[0]))
