"""Random bytes, numbers and permutations: those that follow from a key, and fresh ones."""

import builtins
import math
import secrets
from typing import Any, NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from ricsk.keys._arguments import check_count, check_int, check_shape

__all__ = ["Keystream", "fresh_bytes"]

# How many bytes or words are worked on at a time, so that long draws take little memory besides.
_CHUNK = 1 << 20


class Keystream:
    """Random bytes, numbers and permutations that follow from a key.

    Made by `SecretKey.keystream`. The bytes are the ChaCha20 keystream with an all-zero nonce
    and the counter starting at 0; every other draw is made from the next bytes of the stream, in
    little-endian order, so that each draw continues where the last one ended. All draws are
    unbiased and the same on every machine.

    A keystream cannot be pickled or copied, since both streams would then give the same
    numbers. Open it again from its key instead.

    Parameters
    ----------
    key : bytes
        The 32 bytes of the ChaCha20 key, used for nothing else.
    purpose : str
        What the stream is for; shown in ``repr``.

    See Also
    --------
    SecretKey.keystream : Opens a keystream.

    References
    ----------
    RFC 8439, ChaCha20 and Poly1305 for IETF Protocols, section 2.4.

    Examples
    --------
    >>> from ricsk.keys import SecretKey
    >>> stream = SecretKey(bytes(range(32))).keystream("example")
    >>> stream.permutation(5)
    array([3, 4, 1, 2, 0])
    >>> stream
    Keystream(purpose='example', position=40)
    """

    __slots__ = ("_encryptor", "_position", "_purpose")

    def __init__(self, key: builtins.bytes, purpose: str) -> None:
        # cryptography's "nonce" is RFC 8439's counter followed by its nonce
        self._encryptor = Cipher(ChaCha20(key, nonce=bytes(16)), mode=None).encryptor()
        self._position = 0
        self._purpose = purpose

    def bytes(self, n: int) -> builtins.bytes:
        """Draw bytes.

        Parameters
        ----------
        n : int
            How many, 0 or more.

        Returns
        -------
        bytes
            The next `n` bytes of the stream.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If `n` is negative, or the stream would pass 2**38 bytes, where ChaCha20's counter
            ends.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").bytes(4).hex()
        'cc3db924'
        """
        n = check_count("n", n)
        self._check_left(n)
        self._position += n
        return self._encryptor.update(bytes(n))

    def _check_left(self, n: int) -> None:
        if self._position + n > 2**38:
            raise ValueError("a keystream ends after 2**38 bytes")

    def _words(self, n: int, width: int) -> NDArray[np.unsignedinteger[Any]]:
        self._check_left(n * width)
        words = np.empty(n * width, np.uint8)
        for start in range(0, words.size, _CHUNK):
            part = words[start : start + _CHUNK]
            part[:] = np.frombuffer(self.bytes(part.size), np.uint8)
        return words.view(f"<u{width}")

    def uint8(self, size: int | tuple[int, ...]) -> NDArray[np.uint8]:
        """Draw bytes as an array.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of uint8, of shape `size`
            The next bytes of the stream, in C order; uniform on 0..255.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").uint8((2, 2))
        array([[204,  61],
               [185,  36]], dtype=uint8)
        """
        shape = check_shape(size)
        return self._words(math.prod(shape), 1).reshape(shape)

    def random(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        """Draw uniform floats on [0, 1).

        Each is made from one 8-byte word ``w``, as ``(w >> 11) * 2**-53``.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of float64, of shape `size`
            The floats, in C order; multiples of 2**-53.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").random(2)
        array([0.86592172, 0.50758271])
        """
        shape = check_shape(size)
        words = self._words(math.prod(shape), 8)
        return (words >> 11).astype(np.float64).reshape(shape) * 2.0**-53

    def integers(self, high: int, size: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Draw uniform integers x with 0 <= x < `high`.

        Each is made from one word of ``b`` bytes, ``b`` being the smallest of 1, 2, 4 and 8 with
        ``256**b >= high``. A word at or above the largest multiple of `high` that is not above
        ``256**b`` is skipped; of any other the integer is its remainder modulo `high`.

        Parameters
        ----------
        high : int
            From 1 to 2**63.
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of int64, of shape `size`
            The integers, in C order.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If `high` is out of range or a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").integers(6, size=(2, 3)) + 1
        array([[1, 2, 6],
               [1, 2, 6]])
        """
        shape = check_shape(size)
        high = check_int("high", high)
        if not 1 <= high <= 2**63:
            raise ValueError(f"high must be from 1 to 2**63, got {high}")
        width = next(b for b in (1, 2, 4, 8) if 256**b >= high)
        last = 256**width // high * high - 1
        out = np.empty(math.prod(shape), np.int64)
        filled = 0
        while filled < out.size:
            # never more words than integers are missing: what one at a time would have consumed
            words = self._words(min(out.size - filled, _CHUNK), width).astype(np.uint64)
            words = words[words <= last]
            out[filled : filled + words.size] = words % high
            filled += words.size
        return out.reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Draw one permutation of 0..n-1.

        Parameters
        ----------
        n : int
            0 or more.

        Returns
        -------
        ndarray of int64, of shape (n,)
            As the only row of ``permutations(n, 1)``.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If `n` is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").permutation(5)
        array([3, 4, 1, 2, 0])
        """
        return self.permutations(n, 1)[0]

    def permutations(self, n: int, size: int) -> NDArray[np.int64]:
        """Draw permutations of 0..n-1, one after the other.

        Each is made from `n` 8-byte words: element ``i`` is the index of the ``i``-th smallest. If
        two of the `n` words are equal, all `n` are skipped and the next `n` are taken.

        Parameters
        ----------
        n : int
            0 or more.
        size : int
            How many permutations, 0 or more.

        Returns
        -------
        ndarray of int64, of shape (size, n)
            A permutation in each row; all ``n!`` are equally likely.

        Raises
        ------
        TypeError
            If an argument is not an ``int``, or a tuple of them where it may be one.
        ValueError
            If `n` or `size` is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").permutations(4, 2)
        array([[3, 1, 2, 0],
               [0, 1, 2, 3]])
        """
        n, size = check_count("n", n), check_count("size", size)
        out = np.empty((size, n), np.int64)
        filled = 0
        while filled < size:
            words = self._words((size - filled) * n, 8).reshape(size - filled, n)
            order = words.argsort(axis=1)  # any sort will do: rows with equal words are dropped
            differ = _find_all_different(words, order)
            if differ.all() and len(order) == size:
                return order
            out[filled : filled + differ.sum()] = order[differ]
            filled += differ.sum()
        return out

    def __repr__(self) -> str:
        return f"Keystream(purpose={self._purpose!r}, position={self._position})"

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a Keystream cannot be pickled or copied: both would give the same numbers. Keep the "
            "SecretKey and open its keystream again"
        )


def _find_all_different(
    words: NDArray[np.unsignedinteger[Any]], order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which rows of words, whose order is given, have no two equal ones."""
    n_rows, n = words.shape
    found = np.ones(n_rows, np.bool_)
    step = max(1, _CHUNK // max(1, n_rows))
    for start in range(0, n - 1, step):
        ranked = np.take_along_axis(words, order[:, start : start + step + 1], axis=1)
        found &= (ranked[:, 1:] != ranked[:, :-1]).all(axis=1)
    return found


def fresh_bytes(n: int) -> bytes:
    """Draw secret bytes that no key repeats, from the operating system.

    Parameters
    ----------
    n : int
        How many, 0 or more.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        If `n` is not an ``int``.
    ValueError
        If `n` is negative.

    Examples
    --------
    >>> from ricsk.keys import fresh_bytes
    >>> len(fresh_bytes(16))
    16
    """
    return secrets.token_bytes(check_count("n", n))
