"""What services do to image files on the way: store them anew, strip them, refuse them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from ricsk.codecs import read_image, read_size

__all__ = ["ByteLimit", "FileTransport", "LeastSide", "StripChunks", "StripMetadata", "Transcode"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Those that say something of the picture and are not needed to show it: PNG 3rd edition, 11.3.
_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"tIME", b"zTXt")


class FileTransport(ABC):
    """Base of what a service does to an image file, for `AgreementAfter` and `survives`."""

    @abstractmethod
    def carry(self, file: bytes) -> bytes | None:
        """Do to a file what the service does.

        Parameters
        ----------
        file : bytes
            An image file. `AgreementAfter` and `survives` give PNG files.

        Returns
        -------
        bytes or None
            The file that arrives; None where the service refuses it.
        """


@dataclass(frozen=True)
class Transcode(FileTransport):
    """Decodes files and stores their pixels in a lossless format; all else in them is gone.

    Parameters
    ----------
    format : {"png", "webp", "jpeg2000", "htj2k"}, default="png"
        The format: PNG, lossless WebP, JPEG 2000 with its reversible transforms [1]_, or the same
        with the fast block coder of HTJ2K [2]_, which needs `imagecodecs`.

    References
    ----------
    .. [1] ITU-T Rec. T.800 | ISO/IEC 15444-1, "JPEG 2000 image coding system: core coding system".
    .. [2] ITU-T Rec. T.814 | ISO/IEC 15444-15, "JPEG 2000 image coding system: high-throughput
       JPEG 2000".

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from ricsk.codecs import read_image
    >>> from ricsk.metrics import Transcode
    >>> file = io.BytesIO()
    >>> Image.linear_gradient("L").save(file, "PNG")
    >>> arrived = Transcode("jpeg2000").carry(file.getvalue())
    >>> bool((read_image(arrived) == read_image(file.getvalue())).all())
    True
    """

    format: Literal["png", "webp", "jpeg2000", "htj2k"] = "png"

    def __post_init__(self) -> None:
        if self.format not in ("png", "webp", "jpeg2000", "htj2k"):
            raise ValueError(
                f"format={self.format!r}; expected 'png', 'webp', 'jpeg2000' or 'htj2k'."
            )

    def carry(self, file: bytes) -> bytes:
        """Store a file anew.

        Parameters
        ----------
        file : bytes
            An image file.

        Returns
        -------
        bytes
            A file of the same pixels.

        Raises
        ------
        ImportError
            For HTJ2K, if `imagecodecs` is not installed.
        """
        pixels = read_image(file)
        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        if self.format == "htj2k":
            try:
                from imagecodecs import htj2k_encode
            except ImportError as error:
                raise ImportError(
                    'HTJ2K needs imagecodecs: pip install "ricsk[codecs]".'
                ) from error
            return bytes(htj2k_encode(squeezed, reversible=True))
        stored = io.BytesIO()
        options = {"lossless": True} if self.format == "webp" else {}
        Image.fromarray(squeezed).save(stored, self.format.upper(), **options)
        return stored.getvalue()


@dataclass(frozen=True)
class StripChunks(FileTransport):
    """Takes out of PNG files all chunks that are not needed to show them.

    Examples
    --------
    >>> import io
    >>> from ricsk import SecretKey
    >>> from ricsk.files import open_photograph, seal_photograph
    >>> from ricsk.metrics import StripChunks
    >>> key, sealed = SecretKey.generate(), io.BytesIO()
    >>> seal_photograph(io.BytesIO(b"any file"), sealed, key=key)
    >>> open_photograph(io.BytesIO(StripChunks().carry(sealed.getvalue())), key).found
    'thumbnail'
    """

    def carry(self, file: bytes) -> bytes:
        """Strip a file.

        Parameters
        ----------
        file : bytes
            A PNG file.

        Returns
        -------
        bytes

        Raises
        ------
        ValueError
            If it is no PNG file, or ends too early.
        """
        return _strip(file, lambda name: name[:1].islower() and name != b"tRNS")


@dataclass(frozen=True)
class StripMetadata(FileTransport):
    """Takes out of PNG files their EXIF data, texts and times, and leaves chunks it does not know.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from PIL.PngImagePlugin import PngInfo
    >>> from ricsk.metrics import StripMetadata
    >>> file, said = io.BytesIO(), PngInfo()
    >>> said.add_text("Author", "somebody")
    >>> Image.new("L", (2, 2)).save(file, "PNG", pnginfo=said)
    >>> b"somebody" in file.getvalue(), b"somebody" in StripMetadata().carry(file.getvalue())
    (True, False)
    """

    def carry(self, file: bytes) -> bytes:
        """Strip a file.

        Parameters
        ----------
        file : bytes
            A PNG file.

        Returns
        -------
        bytes

        Raises
        ------
        ValueError
            If it is no PNG file, or ends too early.
        """
        return _strip(file, _METADATA.__contains__)


@dataclass(frozen=True)
class ByteLimit(FileTransport):
    """Refuses files that are too large.

    Parameters
    ----------
    n_bytes : int
        The most bytes of a file.

    Examples
    --------
    >>> from ricsk.metrics import ByteLimit
    >>> ByteLimit(4).carry(b"1234"), ByteLimit(3).carry(b"1234")
    (b'1234', None)
    """

    n_bytes: int

    def carry(self, file: bytes) -> bytes | None:
        """Look at the size of a file.

        Parameters
        ----------
        file : bytes
            Any file.

        Returns
        -------
        bytes or None
        """
        return file if len(file) <= self.n_bytes else None


@dataclass(frozen=True)
class LeastSide(FileTransport):
    """Refuses images that are too small.

    Parameters
    ----------
    n_pixels : int
        The least pixels of the shorter side.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from ricsk.metrics import LeastSide
    >>> file = io.BytesIO()
    >>> Image.new("L", (64, 32)).save(file, "PNG")
    >>> LeastSide(48).carry(file.getvalue()) is None
    True
    """

    n_pixels: int

    def carry(self, file: bytes) -> bytes | None:
        """Look at the sides of an image.

        Parameters
        ----------
        file : bytes
            An image file.

        Returns
        -------
        bytes or None
        """
        return file if min(read_size(file)) >= self.n_pixels else None


def _strip(file: bytes, drops: Callable[[bytes], bool]) -> bytes:
    """Take chunks out of a PNG file, by their names."""
    if not file.startswith(_SIGNATURE):
        raise ValueError("the file is no PNG file, and only these are stripped of chunks.")
    kept, start = [_SIGNATURE], len(_SIGNATURE)
    while start < len(file):
        length = int.from_bytes(file[start : start + 4], "big")
        chunk = file[start : start + 12 + length]
        if len(chunk) < 12 + length:
            raise ValueError("the PNG file ends too early.")
        start += len(chunk)
        if not drops(chunk[4:8]):
            kept.append(chunk)
    return b"".join(kept)
