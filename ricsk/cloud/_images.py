"""The images of a request: arrays, or PNG files, which are looked at before they are decoded."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk._onnx import INPUT
from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import Tensor
from ricsk.codecs import read_image, read_size
from ricsk.exceptions import ProtocolError

__all__ = ["MAX_EXPLANATION", "ImageReader"]

MAX_EXPLANATION = 500
"""Characters of what somebody else's error says."""


class ImageReader:
    """Reads images in the form in which a model takes them.

    Parameters
    ----------
    name : str
        Of the model.
    shape : tuple of int
        Of an image; −1 stands for any size.
    limits : Limits
    """

    def __init__(self, name: str, shape: tuple[int, ...], limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self.shape = shape

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """Read the images of a request.

        Raises
        ------
        ProtocolError
            In words.
        """
        n = tensor.values.shape[0]
        if not 1 <= n <= self._limits.max_images:
            raise ProtocolError(
                f"the request has {n} images; this service takes 1 to {self._limits.max_images} at "
                "a time.",
                413 if n else 400,
            )
        if tensor.datatype == "BYTES":
            images = self._decode_files(tensor)
        elif tensor.datatype == "BOOL":
            raise ProtocolError(f"{INPUT} are of datatype BOOL; expected numbers, or PNG as BYTES.")
        else:
            images = tensor.values
            if images.dtype == np.float16:
                images = images.astype(np.float32)
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise ProtocolError(f"{INPUT} hold values that are not finite.")
        return self._reshape(images)

    def _reshape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Bring images into the classifier's form: flat ones, and grey ones without channel."""
        given, wanted = images.shape[1:], self.shape
        if -1 in wanted:
            if len(given) in (2, 3):
                return images
            expected = "[n, height, width, channels] or [n, height, width]"
        else:
            flat = (math.prod(wanted),)
            allowed = {wanted, flat, wanted[:2] if wanted[2:] == (1,) else wanted}
            if given in allowed or (len(wanted) == 1 and math.prod(given) == wanted[0]):
                return images.reshape(len(images), *wanted)
            expected = f"[n, {', '.join(map(str, wanted))}]"
        raise ProtocolError(
            f"{INPUT} have the shape {list(images.shape)}; {self._name} expects {expected}."
        )

    def _decode_files(self, tensor: Tensor) -> NDArray[np.uint8]:
        """Decode PNG files, once it is known how large all of them are."""
        if math.prod(tensor.values.shape) != len(tensor.values):
            raise ProtocolError(
                f"{INPUT} have the shape {list(tensor.values.shape)}; image files have [n]."
            )
        files = [_from_base64(file) if tensor.from_json else file for file in tensor.values.flat]
        read = [partial(_read_png, file, i) for i, file in enumerate(files)]
        fixed = self.shape[:2] if len(self.shape) == 3 and -1 not in self.shape else None
        sizes = [one(read_size) for one in read]
        for i, size in enumerate(sizes):
            if size != (fixed or sizes[0]):
                height, width = fixed or sizes[0]
                raise ProtocolError(
                    f"{INPUT}[{i}] has {size[0]}×{size[1]} pixels; expected {height}×{width}."
                )
        if 3 * len(files) * math.prod(sizes[0]) > self._limits.max_values:
            raise ProtocolError(
                f"the images have {sizes[0][0]}×{sizes[0][1]} pixels; this service decodes "
                f"{self._limits.max_values} values in a request. Send fewer at a time.",
                413,
            )
        images = [one(partial(read_image, expected_size=sizes[0])) for one in read]
        if len({image.shape for image in images}) > 1:
            raise ProtocolError(f"some of the {INPUT} are grey and some are not; send them apart.")
        return np.stack(images)


def _read_png(file: bytes, i: int, read: Callable[..., Any]) -> Any:
    try:
        return read(file, name=f"{INPUT}[{i}]", formats=("PNG",))
    except ValueError as error:
        raise ProtocolError(str(error)[:MAX_EXPLANATION]) from error


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ProtocolError("image files in JSON are to be written in base64.") from None
