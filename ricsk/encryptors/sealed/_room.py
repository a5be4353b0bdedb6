"""How many bit planes images take, how large ciphertexts are, and what is said where none fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ricsk.codecs import LOSSLESS, compress
from ricsk.encryptors.sealed._format import OVERHEAD, capacity, count_planes
from ricsk.encryptors.sealed._unseal import name_images
from ricsk.exceptions import TooLargeError
from ricsk.images import ImageShape, describe

__all__ = ["MAX_SCALE", "Room"]

MAX_SCALE = 1000
"""More times as high and as wide no ciphertext is."""

# "auto" leaves at least two planes to the search, and that much room more than was seen in `fit`.
_MAX_AUTO_PLANES, _HEADROOM = 6, 1.15
# Images of fewer values than so many times the bytes of tags, or of slots for recipients, are
# enlarged where they have no room: there these would take most of it.
_ROOMY = 16

BitPlanes = int | Literal["auto"]


@dataclass(frozen=True)
class Room:
    """What ciphertexts have to hold.

    Parameters
    ----------
    codec : str
        With which images are compressed.
    overhead : int
        Bytes of a ciphertext besides the compressed image.
    recipients : str
        In words for whom it is sealed; empty for a secret key.
    """

    codec: str
    overhead: int = OVERHEAD
    recipients: str = ""

    @property
    def _besides(self) -> str:
        return f" besides the {self.overhead} of {self.recipients}" if self.recipients else ""

    def choose(
        self, bit_planes: BitPlanes, largest: int, shape: tuple[int, ...], *, may_enlarge: bool
    ) -> tuple[int, int]:
        """Choose the smallest enlargement, and then bit planes, that hold so many bytes.

        Parameters
        ----------
        bit_planes : int or "auto"
            What was given.
        largest : int
            The bytes of the largest image, compressed.
        shape : tuple of int
            Height, width and channels of images.
        may_enlarge : bool
            Whether ciphertexts may be larger than images.

        Returns
        -------
        scale : int
        bit_planes : int
        """
        n_values, scale = int(np.prod(shape)), 1
        most = _MAX_AUTO_PLANES if bit_planes == "auto" else bit_planes
        while (
            may_enlarge
            and capacity(n_values * scale**2, most, self.overhead) < largest
            and n_values * scale**2 < _ROOMY * self.overhead
        ):
            scale += 1
        if bit_planes != "auto":
            return scale, bit_planes
        wanted = int(np.ceil(_HEADROOM * largest))
        needed = count_planes(n_values * scale**2, wanted, self.overhead)
        return scale, min(needed, _MAX_AUTO_PLANES)

    def check_enlargement(
        self, shape: ImageShape, scale: int, ciphertext_shape: ImageShape
    ) -> None:
        """Refuse a stored enlargement that `choose` does not choose.

        Parameters
        ----------
        shape, ciphertext_shape : (int, int, int)
            Of images and of ciphertexts.
        scale : int
            How many times as high and as wide these are.

        Raises
        ------
        ValueError
            With all three.
        """
        height, width, channels = shape
        before = height * width * channels * (scale - 1) ** 2
        is_needed = scale == 1 or before < _ROOMY * self.overhead
        if not is_needed or ciphertext_shape != (height * scale, width * scale, channels):
            raise ValueError(
                f"images of {shape}, {scale} times as large, are not {ciphertext_shape}"
            )

    def refuse_if_none_fits(
        self,
        samples: list[NDArray[np.uint8]],
        sizes: list[list[int]],
        *,
        scale: int,
        bit_planes: BitPlanes,
        frozen: bool,
    ) -> None:
        """Fail in `fit` where `transform` could not seal a single one of its images.

        Bit planes that were given may be meant for others, so there all planes count.

        Parameters
        ----------
        samples : list of ndarray of shape (n, height, width, channels), uint8
            A sample of images of each size.
        sizes : list of list of int
            How many bytes they take, compressed.
        scale : int
            How many times as high and as wide ciphertexts are.
        bit_planes : int or "auto"
            What was given.
        frozen : bool
            Whether the classifier could be given without a `FrozenEstimator`.

        Raises
        ------
        TooLargeError
            With what would help.
        """
        most = _MAX_AUTO_PLANES if bit_planes == "auto" else 7
        values = [levels[0].size * scale**2 for levels in samples]
        rooms = [capacity(n_values, most, self.overhead) for n_values in values]
        if any(min(part) <= room for part, room in zip(sizes, rooms, strict=True)):
            return
        levels, room, smallest, n_values = samples[0], rooms[0], min(sizes[0]), values[0]
        needed = count_planes(n_values, smallest, self.overhead)
        remedies = [f"set bit_planes={needed}"] if needed <= 7 else []
        remedies += [f'set codec="{codec}"' for codec in self._find_codecs(levels, room)]
        if frozen and n_values < _ROOMY * self.overhead:
            remedies.append(
                "give the classifier without FrozenEstimator, to be fitted on enlarged images"
            )
        remedies.append("give images that are larger or compress better")
        height, width, channels = levels[0].shape
        raise TooLargeError(
            f"none of {sum(map(len, sizes))} images fits into {most} bit planes; of those of "
            f"{describe((height * scale, width * scale, channels))}, which hold {max(room, 0)} "
            f"bytes{self._besides}, the smallest takes {smallest} as {self.codec}; "
            f"{smallest - room} bytes are missing. To seal such images, {', or '.join(remedies)}."
        )

    def check(
        self,
        images: NDArray[np.uint8],
        sizes: list[int],
        *,
        n_values: int,
        bit_planes: int,
        name: str,
    ) -> None:
        """Refuse images that do not fit.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, channels), uint8
            What is to be sealed.
        sizes : list of int
            How many bytes they take, compressed.
        n_values : int
            Of a ciphertext.
        bit_planes : int
            How many are written.
        name : str
            What the batch is called.

        Raises
        ------
        TooLargeError
            With the images, and what would help.
        """
        room = capacity(n_values, bit_planes, self.overhead)
        failed = [i for i, size in enumerate(sizes) if size > room]
        if not failed:
            return
        needed = count_planes(n_values, max(sizes), self.overhead)
        remedies = []
        if needed <= 7:
            remedies.append(
                f"bit_planes={needed} would carry them all; fit again with it, or on images like "
                'these, by which "auto" chooses'
            )
        remedies += [
            f'codec="{codec}" would make them small enough'
            for codec in self._find_codecs(images[failed], room)
        ]
        if not remedies:
            remedies.append(
                "no number of bit planes would carry the largest, which does not compress enough; "
                "leave it out"
            )
        raise TooLargeError(
            f"{len(failed)} of {len(sizes)} images do not fit into {bit_planes} bit planes, which "
            f"hold {room} bytes{self._besides}: {name_images(failed, name)}, of up to "
            f"{max(sizes)} bytes as {self.codec}; {max(sizes) - room} bytes are missing; "
            f"{'; or '.join(remedies)}. Nothing was encrypted."
        )

    def _find_codecs(self, images: NDArray[np.uint8], room: int) -> list[str]:
        """Find other codecs with which all images would fit."""
        others = (codec for codec in LOSSLESS if codec != self.codec)
        return [codec for codec in others if _all_fit(images, codec, room)]


def _all_fit(images: NDArray[np.uint8], codec: str, room: int) -> bool:
    try:
        return all(len(compress(image, codec)[1]) <= room for image in images)
    except (ImportError, ValueError):  # not installed, or not for images of this size
        return False
