"""Known plaintexts in no order against NeuraCrypt: which image belongs to which code."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk._threads import bounded_threads
from ricsk.attacks._neuracrypt import align_tokens, to_patches
from ricsk.baselines import NeuraCryptEncoder
from ricsk.images import check_images
from ricsk.keys import SecretKey
from ricsk.training import (
    OPTIMIZERS,
    OwnRandomness,
    draw_seed,
    find_device,
    make_random_state,
    make_schedule,
    train_network,
)

__all__ = ["match_neuracrypt"]

_MAX_MOMENT = 14
_HIDDEN, _DIM = 64, 8
_BATCH, _RATE = 2048, 1e-3
_ROUNDS = 3


def match_neuracrypt(
    codes: ArrayLike,
    images: ArrayLike,
    *,
    public_images: ArrayLike,
    encoder: NeuraCryptEncoder,
    n_keys: int = 30,
    n_steps: int = 1000,
    device: str = "auto",
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> NDArray[np.int64]:
    r"""Find out which code belongs to which image, where both are known and their pairing is not.

    The attack of Carlini et al. [1]_, of an adversary who has the images and the codes, such as two
    hospitals that publish the same pictures, one of them encoded. With what it finds,
    `NeuraCryptAttack` reads all other images of the key.

    The distribution of the values in a token says something of the distribution of those in its
    patch, under any key. Two small networks learn what, on encoders with keys of the adversary's
    own; then images are matched with codes, places with tokens, and images again.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_tokens, width, 1), uint8
        What a `NeuraCryptEncoder` returned.
    images : array-like of shape (n_samples, height, width, channels), uint8
        The images behind them, in any order.
    public_images : array-like of the shape of `images`, uint8
        Others, of the same kind, to be encoded with keys of one's own.
    encoder : NeuraCryptEncoder
        Fitted. Its sizes are used, and neither its key nor what it learnt.
    n_keys : int, default=30
        How many keys of one's own.
    n_steps : int, default=1000
        Steps of the training, of 2,048 tokens each.
    device : str, default="auto"
        Where to train.
    random_state : int, RandomState or None
        Decides on keys and the training.
    verbose : int
        Whether to show the progress of the training.

    Returns
    -------
    ndarray of shape (n_samples,), int64
        For each code the position of its image.

    Raises
    ------
    ValueError
        If there are not as many codes as images, or they are not of the encoder's shapes.
    sklearn.exceptions.NotFittedError
        If the encoder is not fitted.

    See Also
    --------
    NeuraCryptAttack : Needs the pairs, and reads other images.

    Notes
    -----
    Features of a token, and of a patch, both less their mean over the images at its place: the mean
    of its values, and the m-th roots of the magnitudes of their central moments, m from 2 to 14.

    References
    ----------
    .. [1] N. Carlini, S. Garg, S. Jha, S. Mahloujifar, M. Mahmoody and F. Tramèr, "NeuraCrypt is
       not private", arXiv:2108.07256, 2021, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import SecretKey
    >>> from ricsk.attacks import match_neuracrypt
    >>> from ricsk.baselines import NeuraCryptEncoder
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(60, size=16, random_state=0)
    >>> encoder = NeuraCryptEncoder(SecretKey.generate(), width=64, depth=0).fit(X)
    >>> found = match_neuracrypt(
    ...     encoder.transform(X[:20]), X[:20][::-1], public_images=X[20:], encoder=encoder,
    ...     n_keys=2, n_steps=20, random_state=0,
    ... )
    >>> found.shape
    (20,)
    """
    check_is_fitted(encoder)
    C = _read(codes, encoder.ciphertext_shape_, "codes")
    X = _read(images, encoder.image_shape_in_, "images")
    public = _read(public_images, encoder.image_shape_in_, "public_images")
    if len(C) != len(X):
        raise ValueError(f"there are {len(C)} codes and {len(X)} images; expected one for each.")
    matcher = _train(public, encoder, n_keys, n_steps, device, random_state, verbose)
    with torch.inference_mode(), bounded_threads(C.size):
        tokens = matcher.tokens(_describe(align_tokens(C[..., 0].astype(np.float64))[0]))
        patches = matcher.patches(_describe(to_patches(X, encoder.patch_size_)))
        return _match(_normalize(tokens).numpy(), _normalize(patches).numpy())


def _read(images: ArrayLike, shape: tuple[int, int, int], name: str) -> NDArray[np.uint8]:
    batch = check_images(images, image_shape=shape, caller="match_neuracrypt")
    if batch.shape != shape or batch.pixels.dtype != np.uint8:
        raise ValueError(
            f"{name} have shape {batch.pixels.shape} and dtype {batch.pixels.dtype}; expected "
            f"(n_samples, {', '.join(map(str, shape))}) and uint8, as the encoder has them."
        )
    return batch.pixels


class _Matcher(nn.Module):
    """Two networks that describe tokens and patches alike where they belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.patches = _make_perceptron(), _make_perceptron()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, described: Tensor) -> Tensor:
        """Compare all tokens with all patches, whose features are (n, 2, n_features)."""
        tokens, patches = described.unbind(dim=1)
        alike = _normalize(self.tokens(tokens)) @ _normalize(self.patches(patches)).T
        return self.scale.clamp(-2, 4).exp() * alike


def _train(
    public: NDArray[np.uint8],
    encoder: NeuraCryptEncoder,
    n_keys: int,
    n_steps: int,
    device: str,
    random_state: int | np.random.RandomState | None,
    verbose: int,
) -> _Matcher:
    rng = make_random_state(random_state)
    patches = _describe(to_patches(public, encoder.patch_size_)).flatten(0, 1)
    own = NeuraCryptEncoder(
        patch_size=encoder.patch_size_, width=encoder.width_, depth=encoder.depth_, shuffle=False
    )
    described = []
    for _ in range(n_keys):
        C = own.set_params(key=SecretKey(rng.bytes(32))).fit(public).transform(public)
        tokens = _describe(C[..., 0].astype(np.float64)).flatten(0, 1)
        described.append(torch.stack([tokens, patches], dim=1))
    data = torch.cat(described)
    randomness = OwnRandomness(draw_seed(rng))
    with randomness:
        matcher = _Matcher()
    batch = min(_BATCH, len(data))
    epochs = math.ceil(n_steps * batch / len(data))
    train_network(
        matcher,
        _Diagonal(),
        TensorDataset(data, torch.zeros(len(data))),
        optimizer=OPTIMIZERS["adamw"].having(weight_decay=0.0),
        learning_rate=_RATE,
        epochs=epochs,
        batch_size=batch,
        device=find_device(device),
        randomness=randomness,
        schedule=partial(make_schedule, "cosine", _RATE, epochs),
        verbose=verbose,
    )
    return matcher.cpu().eval()


class _Diagonal(nn.Module):
    """Cross-entropy of each token's own patch among those of the batch."""

    def forward(self, alike: Tensor, _: Tensor) -> Tensor:
        own = torch.arange(len(alike), device=alike.device)
        return nn.functional.cross_entropy(alike, own)


def _describe(x: NDArray[np.float64]) -> Tensor:
    """Compute features of each row, (n_images, n_places, n_values), standardized over all."""
    x = x - x.mean(axis=0)
    mean = x.mean(axis=2)
    centred = x - mean[..., np.newaxis]
    moments = [np.abs((centred**m).mean(axis=2)) ** (1 / m) for m in range(2, _MAX_MOMENT + 1)]
    features = np.stack([mean, *moments], axis=2)
    spread = features.std(axis=(0, 1))
    features = (features - features.mean(axis=(0, 1))) / np.where(spread == 0, 1.0, spread)
    return torch.from_numpy(features.astype(np.float32))


def _match(tokens: NDArray[np.float32], patches: NDArray[np.float32]) -> NDArray[np.int64]:
    """Match codes with images, then tokens with places, in turn.

    Both are descriptions of shape (n_images, n_places, n_features); the places of tokens are in
    some order, the same for all codes.
    """
    n, n_places = tokens.shape[:2]
    scores = np.empty((n, n))
    for i, code in enumerate(tokens):
        alike = np.einsum("tf,jpf->jtp", code, patches)
        for j in range(n):
            scores[i, j] = alike[j][linear_sum_assignment(-alike[j])].mean()
    order = linear_sum_assignment(-scores)[1]
    for _ in range(_ROUNDS):
        alike = np.einsum("itf,ipf->tp", tokens, patches[order]) / n
        places = linear_sum_assignment(-alike)[1]
        scores = np.einsum("itf,jtf->ij", tokens, patches[:, places]) / n_places
        order = linear_sum_assignment(-scores)[1]
    found: NDArray[np.int64] = order
    return found


def _make_perceptron() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(_MAX_MOMENT, _HIDDEN),
        nn.LeakyReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.LeakyReLU(),
        nn.Linear(_HIDDEN, _DIM),
    )


def _normalize(x: Tensor) -> Tensor:
    return nn.functional.normalize(x, dim=-1)
