"""Files sealed anew under another key or for other recipients: no classifier, no encryptor."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ricsk.codecs import read_image
from ricsk.encryptors.sealed import make_opener, make_sealing, reseal
from ricsk.exceptions import RicskError, TargetNotReachedError
from ricsk.files._containers import FORMATS, SUFFIXES, encode_png, encode_webp, find_header
from ricsk.files._envelope import SCHEME, open_destination
from ricsk.files._header import RECIPIENTS_VERSION, CiphertextHeader, show_key_id
from ricsk.files._open import PhotographReader
from ricsk.files._write import Signing, write_photograph, write_picture
from ricsk.keys import PrivateKey, PublicKey, SecretKey, SigningKey, coerce_opening_key

__all__ = ["rekey_file", "rekey_folder"]

_SEALED, _SEALED_VERSION = "sealed", 2
# Of ciphertexts with the same high planes, to be read as the first.
_MAX_ATTEMPTS = 8

PathLike = str | os.PathLike[str]


def rekey_file(
    source: PathLike,
    destination: PathLike,
    key: SecretKey | PrivateKey | bytes | PathLike,
    new_key: SecretKey | bytes | PathLike | None = None,
    *,
    recipients: Iterable[PublicKey] | None = None,
    signing_key: SigningKey | PathLike | None = None,
    classifier: Any | None = None,
    overwrite: bool = False,
) -> None:
    """Seal a file anew: the file of a sealed image, or a sealed photograph.

    The high bit planes of the picture stay as they are, and the low ones become others. A template
    is made so that a classifier reads it with any low planes, by a margin of ``kappa``; so it
    reads the new file as the old one, almost always. Give it, and it is asked.

    Memory is bounded, however large a photograph is.

    Read more in the :ref:`User Guide <guide-recipients>`.

    Parameters
    ----------
    source : path
        The file, PNG or lossless WebP.
    destination : path
        Where the new one goes. It is written whole or not at all.
    key : SecretKey, PrivateKey, bytes or path
        What opens the file.
    new_key : SecretKey, bytes or path, optional
        The new key.
    recipients : list of PublicKey, optional
        For whom to seal, in the place of a key.
    signing_key : SigningKey or path, optional
        Signs what is sealed for `recipients`. Whoever signed before is not known any more.
    classifier : classifier, optional
        Fitted, with a ``predict`` for batches of 8-bit images as the file holds them. It is asked
        about both ciphertexts, and must say the same. For other classifiers use
        `SealedEncryptor.rekey`.
    overwrite : bool, default=False
        Whether a file at `destination` is replaced.

    Raises
    ------
    NotSealedError, WrongKeyError, NewerFormatError
        As `open_photograph`. The file is as it was.
    TooLargeError
        If the image does not fit beside what more recipients take.
    TargetNotReachedError
        If the classifier read eight new ciphertexts otherwise.
    FileExistsError
        If something is at `destination`.
    ValueError, TypeError
        If the file is of another scheme, or there is not either a new key or recipients.

    See Also
    --------
    rekey_folder : All files of a folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ricsk import PrivateKey, SecretKey
    >>> from ricsk.files import open_photograph, rekey_file, seal_photograph
    >>> key, alice = SecretKey.generate(), PrivateKey.generate()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plain, old, new = (Path(folder, name) for name in ("plain", "old.png", "new.png"))
    ...     _ = plain.write_bytes(b"any file")
    ...     seal_photograph(plain, old, key=key)
    ...     rekey_file(old, new, key, recipients=[alice.public_key])
    ...     open_photograph(new, alice).data
    b'any file'
    """
    rekeyer = _Rekeyer(key, new_key, recipients, signing_key, classifier)
    rekeyer.rekey(Path(source), Path(destination), overwrite)


def rekey_folder(
    source: PathLike,
    destination: PathLike,
    key: SecretKey | PrivateKey | bytes | PathLike,
    new_key: SecretKey | bytes | PathLike | None = None,
    *,
    recipients: Iterable[PublicKey] | None = None,
    signing_key: SigningKey | PathLike | None = None,
    classifier: Any | None = None,
    verbose: int = 0,
) -> list[Path]:
    """Seal all files of a folder anew, and of those below it, one after the other.

    Files that are at the destination already are passed over. So a run that was interrupted, or
    ended with an error, goes on where it ended: each file is written whole or not at all.

    Parameters
    ----------
    source : path
        A folder; its PNG and WebP files are sealed anew.
    destination : path
        Another folder, which is made if it is not there.
    key, new_key, recipients, signing_key, classifier
        As for `rekey_file`.
    verbose : int, default=0
        Whether to show a progress bar, on the standard error stream.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    NotADirectoryError
        If `source` is not a folder.
    ValueError
        If one of the folders lies in the other.
    NotSealedError, WrongKeyError, NewerFormatError, TooLargeError, TargetNotReachedError
        As `rekey_file`; the message names the file.
    """
    source, destination = Path(source), Path(destination)
    if not source.is_dir():
        raise NotADirectoryError(f"{str(source)!r} is not a folder. Take rekey_file for a file.")
    inner, outer = source.resolve(), destination.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ValueError(
            f"{str(source)!r} and {str(destination)!r} lie in each other. Give another folder as "
            "destination, so that the old files are there until the new ones are checked."
        )
    rekeyer = _Rekeyer(key, new_key, recipients, signing_key, classifier)
    suffixes = {SUFFIXES["png"], SUFFIXES["webp"]}
    paths = sorted(path for path in source.rglob("*") if path.suffix in suffixes)
    written: list[Path] = []
    for path in tqdm(paths, desc="sealing anew", unit="file", disable=not verbose):
        target = destination / path.relative_to(source)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            rekeyer.rekey(path, target, overwrite=False)
        except RicskError as error:
            raise type(error)(
                f"{str(path)!r} was not sealed anew, after {len(written)} others: {error}"
            ) from None
        written.append(target)
    return written


class _Rekeyer:
    """Seals files anew."""

    def __init__(
        self,
        key: SecretKey | PrivateKey | bytes | PathLike,
        new_key: SecretKey | bytes | PathLike | None,
        recipients: Iterable[PublicKey] | None,
        signing_key: SigningKey | PathLike | None,
        classifier: Any | None,
    ) -> None:
        self._key = coerce_opening_key(key)
        self._signer = None if signing_key is None else SigningKey.coerce(signing_key)
        self._sealing = make_sealing(new_key, recipients, self._signer)
        self._for_recipients = recipients is not None
        self._classifier = classifier

    def rekey(self, source: Path, destination: Path, overwrite: bool) -> None:
        with source.open("rb") as file:
            found = find_header(file)
            file.seek(0)
            header = None if found is None else CiphertextHeader.from_bytes(found[1])
            with open_destination(destination, overwrite) as target:
                if found is None or header is None or header.scheme == SCHEME:
                    self._rekey_photograph(source, file, target)
                else:
                    target.write(self._rekey_image(source, found[0], header))

    def _rekey_photograph(self, source: Path, file: BinaryIO, target: BinaryIO) -> None:
        reader = PhotographReader(file, self._key)
        pixels, content_key = self._reseal(reader.pixels, may_shrink=True)
        if reader.read_original is None:  # the file was taken out on the way
            write_picture(target, pixels)
            return
        pieces = reader.decrypt()
        write_photograph(
            target,
            pixels,
            content_key,
            reader.name,
            _PiecesReader(pieces).read,
            for_recipients=self._for_recipients,
            signing=self._make_signing(source),
        )

    def _make_signing(self, source: Path) -> Signing | None:
        if self._signer is None:
            return None
        hashed = hashlib.sha256()
        with source.open("rb") as file:
            for piece in PhotographReader(file, self._key).decrypt():
                hashed.update(piece)
        return self._signer, hashed.digest()

    def _rekey_image(self, source: Path, format: str, header: CiphertextHeader) -> bytes:
        private = isinstance(self._key, PrivateKey)
        header.check(_SEALED, RECIPIENTS_VERSION if private else _SEALED_VERSION, self._key)
        pixels = read_image(source, formats=(FORMATS[format],))
        if format == "webp" and header.image_shape is not None:  # which has no grey
            pixels = pixels[..., : header.image_shape[2]]
        sealed, content_key = self._reseal(pixels)
        new = CiphertextHeader(
            _SEALED,
            RECIPIENTS_VERSION if self._for_recipients else _SEALED_VERSION,
            None if self._for_recipients else show_key_id(content_key),
            header.image_shape,
            {**header.parameters, "nonce": "random"},
        )
        return (encode_webp if format == "webp" else encode_png)(sealed, new.to_bytes())

    def _reseal(
        self, pixels: NDArray[np.uint8], *, may_shrink: bool = False
    ) -> tuple[NDArray[np.uint8], SecretKey]:
        reader = make_opener(self._key)
        for _ in range(_MAX_ATTEMPTS):
            sealed, key = reseal(pixels, reader, self._sealing, may_shrink=may_shrink)
            if self._classifier is None or self._reads_alike(pixels, sealed):
                return sealed, key
        raise TargetNotReachedError(
            f"the classifier reads {_MAX_ATTEMPTS} new ciphertexts otherwise than the old one. "
            "Search for one with SealedEncryptor.rekey."
        )

    def _reads_alike(self, old: NDArray[np.uint8], new: NDArray[np.uint8]) -> bool:
        assert self._classifier is not None
        first, second = self._classifier.predict(np.stack([old, new]))
        return bool(np.all(first == second))


class _PiecesReader:
    """Reads pieces of any lengths as if they were a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, n: int) -> bytes:
        parts, left = [], n
        while left:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = piece
            part, self._rest = self._rest[:left], self._rest[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
