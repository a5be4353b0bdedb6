"""Made-up crops of house numbers, and how they are drawn."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from itertools import pairwise
from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.utils import check_random_state, check_scalar

__all__ = ["make_street_numbers"]


def make_street_numbers(
    n_samples: int = 1000,
    *,
    size: int = 32,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw colour crops of house numbers, to be classified by the digit in the middle.

    A stand-in for SVHN [1]_ that needs no download. The digit of interest is near the middle,
    its neighbours are cut off at the sides, and the typeface, colours, contrast, polarity, wall,
    light, viewpoint, blur and noise vary. A linear classifier on the pixels does little better
    than chance, a small convolutional network learns the task from some thousand images.

    Parameters
    ----------
    n_samples : int
        How many images.
    size : int
        Height and width in pixels, at least 8.
    random_state : int, RandomState instance or None
        Pass an int for the same images in every call. Then the first images do not depend on
        `n_samples` either. The last bits may differ between versions of Pillow.

    Returns
    -------
    X : ndarray of shape (n_samples, size, size, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        The digits, 0 to 9. Each block of ten images holds every digit once, in random order.

    Raises
    ------
    TypeError, ValueError
        If `n_samples` or `size` is not an integer, or is too small.

    References
    ----------
    .. [1] Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Y. Ng, "Reading Digits in
       Natural Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and
       Unsupervised Feature Learning, 2011.

    Examples
    --------
    >>> X, y = make_street_numbers(20, random_state=0)
    >>> X.shape, X.dtype
    ((20, 32, 32, 3), dtype('uint8'))
    >>> sorted(y[:10].tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    n_samples = check_scalar(n_samples, "n_samples", Integral, min_val=1)
    size = check_scalar(size, "size", Integral, min_val=8)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    blocks = np.tile(np.arange(10), (-(-n_samples // 10), 1))
    y = np.random.default_rng(seed).permuted(blocks, axis=1).ravel()[:n_samples]
    X = np.empty((n_samples, size, size, 3), dtype=np.uint8)
    for i, digit in enumerate(y.tolist()):
        X[i] = _draw(digit, size, np.random.default_rng([seed, i]))
    return X, y.astype(np.int64)


def _draw(digit: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one house number with `digit` in the middle."""
    u, v, ones = _coordinates(size)

    def slope() -> NDArray[np.float32]:
        """Rise from about -1 to 1 across the image, in a random direction."""
        angle = rng.uniform(0, 2 * math.pi)
        return math.cos(angle) * u + math.sin(angle) * v

    contrast = rng.uniform(0.12, 0.6)
    middle = rng.uniform(contrast / 2, 1 - contrast / 2)
    step = contrast / 2 if rng.random() < 0.5 else -contrast / 2
    # Colours in the street are rather warm or cold than green or purple.
    tint = rng.normal(0, 0.07, (3, 1)) * (1, 0.1, -1) + rng.normal(0, 0.03, (3, 3))
    wall, paint, drift = tint.astype(np.float32)

    scene = ones * (middle - step + wall) + slope() * rng.normal(0, 0.05)
    scene += _texture(size, rng) * contrast
    if rng.random() < 0.3:  # boards or bricks
        scene -= (slope() * rng.uniform(1, 3) % 1 < 0.12) * (0.3 * contrast)
    ink = _ink(digit, size, rng)
    if rng.random() < 0.4:  # the digits stand out from the wall and cast a shadow
        cast = np.roll(ink, rng.integers(-1, 2, 2) * max(1, size // 20), axis=(0, 1))
        scene *= 1 - rng.uniform(0.2, 0.6) * cast
    scene += ink * (middle + step + paint + slope() * drift - scene)
    scene *= 1 + rng.uniform(0, 0.35) * slope()
    if rng.random() < 0.25:  # something else casts a shadow over all
        scene *= 1 - rng.uniform(0.2, 0.5) * (slope() > rng.uniform(-0.6, 0.6))

    image = Image.fromarray(_to_uint8(scene))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.03) * size))
    noise = rng.standard_normal(scene.shape, dtype=np.float32) * rng.uniform(0, 0.05)
    image = Image.fromarray(_to_uint8(np.asarray(image, dtype=np.float32) / 255 + noise))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
    return np.asarray(Image.open(buffer))


@lru_cache(maxsize=4)
def _coordinates(size: int) -> tuple[NDArray[np.float32], ...]:
    """Return columns and rows as numbers on [-1, 1], and ones, to broadcast over the colours."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return line[None, :, None], line[:, None, None], np.ones((size, size, 1), dtype=np.float32)


def _to_uint8(scene: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8)


def _texture(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return blotches between about -0.3 and 0.3, of one random coarseness."""
    cells = int(rng.integers(2, 17))
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    blotches = np.asarray(grid.resize((size, size)), dtype=np.float32)[..., np.newaxis]
    return (blotches / np.float32(255) - 0.5) * np.float32(rng.uniform(0, 0.6))


def _ink(digit: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how much of each pixel is painted, (size, size, 1) on [0, 1]."""
    side = 2 * size  # drawn twice as large, so that edges are smooth
    faces = _faces(side)
    face = faces[rng.integers(len(faces))]
    strip = Image.new("L", (3 * side, side))
    glyph = face[digit]
    left = (strip.width - glyph.width) // 2
    strip.paste(glyph, (left, 0))
    gap = int(rng.uniform(0.06, 0.3) * side)
    before, after = (face[k] for k in rng.integers(0, 10, 2))
    if rng.random() < 0.6:
        strip.paste(before, (left - gap - before.width, 0))
    if rng.random() < 0.6:
        strip.paste(after, (left + glyph.width + gap, 0))

    # Pillow asks where in the strip each pixel of the result comes from.
    angle = rng.normal(0, 0.1)
    zoom = rng.uniform(1.05, 1.4)
    to_middle, turn, stretch, to_strip = np.eye(3), np.eye(3), np.eye(3), np.eye(3)
    to_middle[:2, 2] = rng.normal(0, 0.04, 2) * side - side / 2
    turn[:2, :2] = (math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))
    turn[2, :2] = rng.normal(0, 0.12, 2) / side  # seen from the side
    stretch[:2, :2] = (zoom * rng.uniform(0.85, 1.3), rng.normal(0, 0.12)), (0, zoom)
    to_strip[:2, 2] = strip.width / 2, side / 2
    matrix = to_strip @ stretch @ turn @ to_middle
    warped = strip.transform(
        (side, side),
        Image.Transform.PERSPECTIVE,
        (matrix / matrix[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(warped.reduce(2), dtype=np.float32)[..., np.newaxis] / np.float32(255)


Stroke = NDArray[np.float64]
"""The points (x, y) of a pen stroke in a unit square, y downwards."""


def _line(*points: tuple[float, float]) -> Stroke:
    steps = np.linspace(0, 1, 40)[:, np.newaxis]
    ends = np.array(points)
    return np.concatenate([a + steps * (b - a) for a, b in pairwise(ends)])


def _arc(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> Stroke:
    """Go around an ellipse, clockwise from `start` to `stop` degrees; 0 is on the right."""
    angles = np.deg2rad(np.linspace(start, stop, 90))
    return np.column_stack([x + rx * np.cos(angles), y + ry * np.sin(angles)])


@lru_cache(maxsize=4)
def _faces(height: int) -> list[list[Image.Image]]:
    """Draw the digits 0 to 9 in every typeface, white on black and `height` pixels high."""
    six = [_arc(0.5, 0.68, 0.48, 0.32), _arc(0.8, 0.68, 0.78, 0.68, 180, 270)]
    handwritten = [
        [_arc(0.5, 0.5, 0.5, 0.5)],
        [_line((0.2, 0.22), (0.55, 0), (0.55, 1)), _line((0.2, 1), (0.9, 1))],
        [_arc(0.5, 0.28, 0.45, 0.28, -170, 30), _line((0.89, 0.42), (0.02, 1), (1, 1))],
        [_arc(0.46, 0.25, 0.42, 0.25, -150, 90), _arc(0.46, 0.75, 0.5, 0.25, -90, 150)],
        [_line((0.75, 1), (0.75, 0), (0, 0.68), (1, 0.68))],
        [_line((0.9, 0), (0.2, 0), (0.11, 0.47)), _arc(0.47, 0.68, 0.47, 0.32, -140, 140)],
        six,
        [_line((0, 0), (1, 0), (0.35, 1))],
        [_arc(0.5, 0.25, 0.4, 0.25), _arc(0.5, 0.75, 0.48, 0.25)],
        [1 - stroke for stroke in six],
    ]
    bars = {
        "a": _line((0.1, 0), (0.9, 0)),
        "b": _line((1, 0.08), (1, 0.42)),
        "c": _line((1, 0.58), (1, 0.92)),
        "d": _line((0.1, 1), (0.9, 1)),
        "e": _line((0, 0.58), (0, 0.92)),
        "f": _line((0, 0.08), (0, 0.42)),
        "g": _line((0.1, 0.5), (0.9, 0.5)),
    }
    lit = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
    segments = [[bars[name] for name in names] for names in lit]
    printed = ImageFont.load_default(4 * height)
    pixelated = ImageFont.load_default_imagefont()
    return [
        [_print(k, height, printed) for k in range(10)],
        [_print(k, height, printed, bold=height // 5) for k in range(10)],
        [_print(k, height, printed, bold=height // 4, hollow=True) for k in range(10)],
        [_print(k, height, pixelated) for k in range(10)],
        [_write(digit, height, (0.1, 0.1)) for digit in handwritten],
        [_write(digit, height, (0.22, 0.22)) for digit in handwritten],
        [_write(digit, height, (0.24, 0.07)) for digit in handwritten],
        [_write(digit, height, (0.12, 0.12)) for digit in segments],
    ]


def _print(
    digit: int,
    height: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    bold: int = 0,
    hollow: bool = False,
) -> Image.Image:
    canvas = Image.new("L", (6 * height, 6 * height))
    draw = ImageDraw.Draw(canvas)
    draw.text((height, height), str(digit), 255, font, stroke_width=bold)
    if hollow:
        draw.text((height, height), str(digit), 0, font)
    return _cut(canvas, height)


def _write(strokes: list[Stroke], height: int, nib: tuple[float, float]) -> Image.Image:
    """Move an elliptic nib, its axes given as parts of the height, along the strokes."""
    canvas = Image.new("L", (4 * height, 4 * height))
    draw = ImageDraw.Draw(canvas)
    radius = np.array(nib) * height
    for stroke in strokes:
        for point in (stroke * (1.1, 2) + 1) * height:
            draw.ellipse([*(point - radius), *(point + radius)], 255)
    return _cut(canvas, height)


def _cut(canvas: Image.Image, height: int) -> Image.Image:
    """Cut the empty margins off, and scale to the height."""
    left, upper, right, lower = canvas.getbbox() or (0, 0, 1, 1)
    width = round((right - left) * height / (lower - upper))
    return canvas.crop((left, upper, right, lower)).resize((width, height))
