"""Reassembling scrambled blocks as a jigsaw puzzle."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.utils._param_validation import Interval

from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.attacks.jigsaw._puzzle import (
    Arrangement,
    assemble,
    compute_misfit,
    list_states,
    put_in_state,
)
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.blocks import from_blocks, to_blocks
from ricsk.encryptors import EtCEncryptor
from ricsk.images import ImageShape, describe

__all__ = ["JigsawAttack"]

# More images cost time and tell little more.
_MAX_IMAGES = 30
# Whole pictures are compared as so many patches a side.
_PATCHES = 8


class JigsawAttack(BaseAttack):
    """Put the blocks of EtC ciphertexts together again, as a jigsaw puzzle.

    Images continue across the sides of their blocks. How well one block continues another is
    measured by the Mahalanobis gradient compatibility [1]_, for each of the 8 symmetries, 2 signs
    and 6 orders of channels that the second one may be in relative to the first, as in the
    extended solver [2]_. A spanning tree joins the surest pairs first, never beyond the frame, and
    what is left over is filled in where it fits best.

    Ciphertexts of one key have their blocks in the same places and states, so all ciphertexts of
    `fit` are one puzzle, and the compatibility is its mean over them [3]_: a few small images are
    as good as a large one. Fit ciphertexts of different keys one by one; of an encryptor with
    ``per_image_keys``, which is passed to `fit`, each is a puzzle of its own.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    block_size : int, optional
        Side of the blocks in pixels, at least 2. None takes that of the encryptor passed to `fit`,
        or 16 without one.
    rotate, negate, shuffle_channels : bool, default=True
        Which states of blocks are searched: rotated and mirrored, negated, recoloured. What an
        encryptor passed to `fit` does not do is left out.

    Attributes
    ----------
    adversary : Adversary
        A ciphertext-only adversary with public images, which may be left out: they tell which way
        up the whole picture is, whether it is negative, and in which order its channels are.
        Nothing else does, so without them it may come out in any of these states. `jigsaw_scores`
        is a measure that ignores them.
    block_size_ : int
        The side of the blocks that was used.
    blocks_ : ndarray of int, shape (n_blocks,)
        Row by row, which block of the ciphertext lies in each place. With ``per_image_keys`` there
        is no such thing.
    states_ : ndarray of int, shape (n_blocks,)
        What is done with it: 12 × symmetry + 6 × negation + order of channels, where 0 is nothing.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    jigsaw_scores : Measures of how much is right.
    ricsk.EtCEncryptor : The scheme that is attacked.

    Notes
    -----
    Time and memory grow with the square of the number of blocks: about 1.5 kB for each pair. The
    attack of [4]_ on permuted pixels within blocks is not tried: `check` refuses encryptors that
    leave no blocks of 2 × 2 pixels whole, and those that split an image into planes.

    References
    ----------
    .. [1] A. C. Gallagher, "Jigsaw puzzles with pieces of unknown orientation", CVPR, 2012.
    .. [2] T. Chuman, K. Kurihara and H. Kiya, "On the security of block scrambling-based EtC
       systems against extended jigsaw puzzle solver attacks", IEICE Transactions on Information
       and Systems E101-D(1), 2018.
    .. [3] arXiv:2305.04543, 2023, on several images encrypted with one key.
    .. [4] T. Chuman and H. Kiya, "A jigsaw puzzle solver-based attack on image encryption using
       vision transformer for privacy-preserving DNNs", Information 14(6), 2023.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.attacks import JigsawAttack, jigsaw_scores
    >>> from ricsk.datasets import load_photos
    >>> X = load_photos(size=(128, 192))
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=32).fit(X)
    >>> C = encryptor.transform(X)
    >>> found = JigsawAttack().fit(C, encryptor=encryptor).reconstruct(C)
    >>> jigsaw_scores(X, found, 32)
    JigsawScores(direct=1.0, neighbour=1.0, largest_component=1.0)
    """

    adversary = Adversary(public_images=True)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "block_size": [Interval(Integral, 2, None, closed="left"), None],
        "rotate": ["boolean"],
        "negate": ["boolean"],
        "shuffle_channels": ["boolean"],
    }
    _optional = frozenset({"public_images"})
    _reads_borders = False

    block_size_: int
    blocks_: NDArray[np.intp]
    states_: NDArray[np.intp]

    def __init__(
        self,
        block_size: int | None = None,
        *,
        rotate: bool = True,
        negate: bool = True,
        shuffle_channels: bool = True,
    ) -> None:
        self.block_size = block_size
        self.rotate = rotate
        self.negate = negate
        self.shuffle_channels = shuffle_channels

    def _fit(self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8] | None) -> None:
        height, width, _ = self.body_shape_
        side = self.block_size_
        if height % side or width % side:
            raise ValueError(
                f"blocks of {side}×{side} pixels do not fill ciphertexts of "
                f"{describe(self.ciphertext_shape_)}. Say which block_size they were made with."
            )
        self._likely = None
        if public_images is not None:
            self._likely = LedoitWolf().fit(_shrink(public_images))
        if not self._differ:
            self.blocks_, self.states_ = self._solve(ciphertexts[:_MAX_IMAGES])

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        if self._differ:
            alone = ciphertexts[:, np.newaxis]
            found = np.concatenate([self._rebuild(body, self._solve(body)) for body in alone])
        else:
            found = self._rebuild(ciphertexts, Arrangement(self.blocks_, self.states_))
        height, width = self.image_shape_[:2]
        return found[:, :height, :width]

    def _solve(self, ciphertexts: NDArray[np.uint8]) -> Arrangement:
        """Solve the puzzle that ciphertexts of one key are."""
        _, height, width, channels = ciphertexts.shape
        side = self.block_size_
        rotate, negate, shuffle_channels = self._steps
        states = list_states(rotate, negate, shuffle_channels and channels == 3)
        frame = height // side, width // side
        found = assemble(compute_misfit(ciphertexts, side), frame, states)
        if self._likely is None:
            return found
        upright = states if height == width else states[states // 12 % 2 == 0]
        pictures = self._rebuild(ciphertexts, found)
        pictures = pictures[:, : self.image_shape_[0], : self.image_shape_[1]]
        return found.turn(_find_likeliest_state(pictures, self._likely, upright), frame)

    def _rebuild(self, ciphertexts: NDArray[np.uint8], found: Arrangement) -> NDArray[np.uint8]:
        pieces = np.stack([to_blocks(image, self.block_size_) for image in ciphertexts], axis=1)
        laid = np.stack(
            [put_in_state(pieces[block], state) for block, state in zip(*found, strict=True)],
            axis=1,
        )
        shape: ImageShape = ciphertexts.shape[1:]
        return np.stack([from_blocks(blocks, shape) for blocks in laid])

    def _keep_shapes(self, used: dict[str, Any], encryptor: BaseImageEncryptor | None) -> None:
        super()._keep_shapes(used, encryptor)
        self.block_size_ = self.block_size or 16
        self._steps = self.rotate, self.negate, self.shuffle_channels
        self._differ = False
        if isinstance(encryptor, EtCEncryptor):
            scheme = encryptor.scheme_
            self._differ = scheme.per_image_keys
            self.block_size_ = self.block_size or scheme.sub_block_size
            self._steps = (
                self.rotate and scheme.rotate,
                self.negate and scheme.negate,
                self.shuffle_channels and scheme.shuffle_channels,
            )

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if not isinstance(encryptor, EtCEncryptor):
            return "it does not leave blocks whole, so there are no pieces."
        if encryptor.scheme_.splits_colours:
            return "it cuts planes of an image, which do not continue each other, into blocks."
        if not get_encryptor_tags(encryptor).recoverable:
            return "it overwrites channels of blocks, so that they do not continue each other."
        if encryptor.scheme_.sub_block_size < 2:
            return "it permutes single pixels, and a piece needs two lines of them."
        return None


def _find_likeliest_state(
    pictures: NDArray[np.uint8], normal: LedoitWolf, states: NDArray[np.intp]
) -> int:
    """Find the state in which pictures are likeliest under a normal distribution of small images.

    Of public ones, that is, after averaging over patches.
    """
    distances = [
        normal.mahalanobis(_shrink(put_in_state(pictures, state))).sum() for state in states
    ]
    return int(states[int(np.argmin(distances))])


def _shrink(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    for axis in (1, 2):
        parts = np.array_split(images, min(_PATCHES, images.shape[axis]), axis=axis)
        images = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    return images.reshape(len(images), -1) / 255
