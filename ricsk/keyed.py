"""Move a key from the images into the network that reads them, exactly and without training."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ricsk.base import BaseImageEncryptor
from ricsk.blocks import to_blocks
from ricsk.classifiers import TorchClassifier
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import NotAdaptableError
from ricsk.images import ImageShape, describe
from ricsk.nn import ConvMixer, ViT
from ricsk.pixelmap import PixelMap
from ricsk.pretrained import PretrainedClassifier

__all__ = ["adapt_to_key", "remove_key"]

_Model = TypeVar("_Model", TorchClassifier, PretrainedClassifier, nn.Module)


def adapt_to_key(
    model: _Model,
    encryptor: BaseImageEncryptor,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> _Model:
    r"""Make a network that was trained on plain images read ciphertexts, without training.

    What the network answers to a ciphertext is what it answered to the image, up to the order in
    which floating-point numbers are summed. This is possible where the encryption permutes the
    patches of the image and does the same to all of them within, as with
    ``EtCEncryptor(key, per_block_keys=False)``; it is found by looking at the encryption itself.
    Two tensors change. Let patch i of the ciphertext hold patch :math:`\pi(i)` of the image, and
    its normalized values be :math:`z = A x + d`, where A is a permutation with signs. Then [1]_

    .. math:: E' = E A^{-1}, \qquad b' = b - E' d, \qquad e'_i = e_{\pi(i)}

    take the place of the patch embedding E, its bias b and the positions e. The positions of class
    tokens stay. With images scaled to [−1, 1], d is zero. An MLP-Mixer has no positions, but
    perceptrons across the patches, :math:`W_2 f(W_1 X + b_1) + b_2`. There the columns of
    :math:`W_1`, the rows of :math:`W_2` and :math:`b_2` are permuted as e is, so that patches stay
    permuted until the mean over them.

    **What it costs.** An adversary with the plain network and the adapted one reads the key off
    them by comparing the tensors. So does a known-plaintext adversary, with one image of distinct
    values and its ciphertext, or a few ordinary pairs.

    Read more in the :ref:`User Guide <guide-keyed>`.

    Parameters
    ----------
    model : ViTClassifier, ConvMixerClassifier, PretrainedClassifier or torch.nn.Module
        Fitted on plain images. A module, or that of a `PretrainedClassifier`, must take
        channel-first images and return a tensor. It needs a convolution that embeds the patches
        without overlap, as ``patch_embed.proj`` (the layout of timm), ``stem.proj`` or the first
        layer of ``patch_embed`` or ``stem``. Patches may be permuted where there are positions
        ``pos_embed`` of shape (1, tokens, dim), whose first rows may belong to ``cls_token``,
        ``dist_token`` and ``reg_token``; or else linear layers that mix the patches, as
        ``mlp_tokens.fc1`` and ``mlp_tokens.fc2`` of timm's MLP-Mixer or ``linear_tokens`` of its
        ResMLP. Without either, as in a ConvMixer, patches must stay in place (``permute=False``).
        It is not changed.
    encryptor : EtCEncryptor
        Fitted on images of the network's size. Its blocks need not be the network's patches, as
        long as all patches are treated alike.
    mean, std : float or sequence of float, optional
        For a module: the normalization of its input per channel, of pixel values on [0, 1]. By
        default 0.5, which scales to [−1, 1]. Classifiers know theirs.

    Returns
    -------
    ViTClassifier, ConvMixerClassifier, PretrainedClassifier or torch.nn.Module
        A copy of `model`, which reads ciphertexts.

    Raises
    ------
    NotAdaptableError
        If patches are treated differently, mixed with each other or lose values; if they are
        permuted and the network has neither position embeddings nor layers that mix patches; if it
        does not embed patches; or if a module still answers differently, because positions act
        elsewhere in it too, as where the patches are not averaged but put in a row.
    ValueError
        If encryptor and network are for images of different sizes, or `mean` and `std` are not a
        normalization.
    TypeError
        If `model` is not a network or `encryptor` is not block-wise.
    sklearn.exceptions.NotFittedError
        If either is not fitted.

    See Also
    --------
    remove_key : The way back.
    PrivateClassifier : Does this for a frozen classifier.

    References
    ----------
    .. [1] H. Kiya, R. Iijima, A. MaungMaung and Y. Kinoshita, "Image and model transformation with
       secret key for vision transformer", arXiv:2207.05366, 2022; for permutations. For sub-blocks
       with rotation, negation and colours, G. Hamano, S. Imaizumi and H. Kiya, "Effects of JPEG
       compression on vision transformer image classification for encryption-then-compression
       images", Sensors 23(7), 3400, 2023, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import EtCEncryptor, SecretKey, ViTClassifier, adapt_to_key
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> classifier = ViTClassifier(dim=32, depth=1, patch_size=2, epochs=1).fit(X[:500], y[:500])
    >>> encryptor = EtCEncryptor(
    ...     SecretKey.generate(), block_size=2, per_block_keys=False, sub_block_size=1
    ... ).fit(X)
    >>> keyed = adapt_to_key(classifier, encryptor)
    >>> logits = keyed.decision_function(encryptor.transform(X))
    >>> bool(np.abs(logits - classifier.decision_function(X)).max() < 1e-4)
    True
    """
    return _move_key(model, encryptor, mean, std, back=False)


def remove_key(
    model: _Model,
    encryptor: BaseImageEncryptor,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> _Model:
    """Undo `adapt_to_key`: make a network that reads ciphertexts read plain images.

    This also brings back a network that was adapted to the key and then trained further on
    ciphertexts. To change keys, remove the old one and adapt to the new one.

    Read more in the :ref:`User Guide <guide-keyed>`.

    Parameters
    ----------
    model : ViTClassifier, ConvMixerClassifier, PretrainedClassifier or torch.nn.Module
        As `adapt_to_key` returned it, or after further training.
    encryptor : EtCEncryptor
        The one that it was adapted to.
    mean, std : float or sequence of float, optional
        As for `adapt_to_key`.

    Returns
    -------
    ViTClassifier, ConvMixerClassifier, PretrainedClassifier or torch.nn.Module
        A copy of `model`, which reads plain images.

    Raises
    ------
    NotAdaptableError, ValueError, TypeError
        As `adapt_to_key`.

    See Also
    --------
    adapt_to_key : The way there.

    Examples
    --------
    >>> import torch
    >>> from ricsk import EtCEncryptor, SecretKey, adapt_to_key, remove_key
    >>> from ricsk.datasets import load_photos
    >>> from ricsk.nn import ViT
    >>> X = load_photos(size=(32, 32))
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=4, per_block_keys=False).fit(X)
    >>> network = ViT((32, 32, 3), 10, dim=32, depth=1, n_heads=2, patch_size=4)
    >>> again = remove_key(adapt_to_key(network, encryptor), encryptor)
    >>> torch.equal(again.pos_embed, network.pos_embed)
    True
    """
    return _move_key(model, encryptor, mean, std, back=True)


def _move_key(
    model: _Model,
    encryptor: BaseImageEncryptor,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
    back: bool,
) -> _Model:
    if not isinstance(encryptor, PixelMapEncryptor):
        raise TypeError(
            f"{type(encryptor).__name__} is not an encryptor whose key a network can absorb; "
            "expected an EtCEncryptor with per_block_keys=False."
        )
    check_is_fitted(encryptor)
    if encryptor.scheme_.per_image_keys:
        raise NotAdaptableError("with per_image_keys=True there is no key that all images share.")
    shape = encryptor.ciphertext_shape_
    pixel_map = encryptor.pixel_map_
    if not pixel_map.is_bijective:
        raise NotAdaptableError("the encryption loses pixel values, which no network brings back.")
    if back:
        pixel_map = pixel_map.inverse()
    if isinstance(model, PretrainedClassifier):
        _refuse_normalization(mean, std)
        return _move_key_behind(model, encryptor, back)
    if isinstance(model, TorchClassifier):
        check_is_fitted(model)
        if model.image_shape_in_ != shape:
            raise ValueError(
                f"the classifier was fitted on images of {describe(model.image_shape_in_)}, but "
                f"ciphertexts have {describe(shape)}. Fit both on images of one size; with pad or "
                "grayscale the ciphertexts have another one than the images."
            )
        _refuse_normalization(mean, std)
        means, stds = _read_normalization(model, encryptor)
    elif isinstance(model, nn.Module):
        means, stds = (_spread_over_channels(value, shape[2]) for value in (mean, std))
        if not (np.isfinite(means).all() and np.isfinite(stds).all() and (stds > 0).all()):
            raise ValueError(
                f"mean={mean}, std={std} is not a normalization; expected finite numbers, with std "
                "above 0."
            )
    else:
        raise TypeError(
            f"{type(model).__name__} is not a network; expected a fitted ViTClassifier or "
            "ConvMixerClassifier, a PretrainedClassifier, or a torch.nn.Module."
        )
    keyed = copy.deepcopy(model)
    old, new = _get_network(model), _get_network(keyed)
    _rewire(new, pixel_map, shape, means, stds)
    if type(new) not in (ViT, ConvMixer):
        _check_answers(old, new, pixel_map, shape, means, stds)
    return keyed


def _refuse_normalization(mean: Any, std: Any) -> None:
    if mean is not None or std is not None:
        raise ValueError("a classifier scales its images itself; leave mean and std out.")


def _move_key_behind(
    classifier: PretrainedClassifier, encryptor: PixelMapEncryptor, back: bool
) -> PretrainedClassifier:
    """Move a key into the module behind a classifier's own normalization."""
    height, width, _ = encryptor.ciphertext_shape_
    if not classifier.keeps_size(height, width):
        raise ValueError(
            f"the classifier brings images to size={classifier.size}, with crop={classifier.crop}, "
            f"and ciphertexts of {height}×{width} pixels do not survive that. Encrypt images of "
            "the size that the module reads, and give the classifier crop=None."
        )
    own, encrypted = classifier.value_range or (0.0, 1.0), encryptor.value_range_
    floats = np.dtype(encryptor.input_dtype_).kind == "f"
    if floats and tuple(own) != (encrypted.low, encrypted.high):
        raise ValueError(
            f"the classifier's floats run from {own[0]:g} to {own[1]:g}, but the encryptor was "
            f"fitted on a range from {encrypted.low:g} to {encrypted.high:g}. Give both the same "
            "value_range."
        )
    mean = 0.0 if classifier.mean is None else classifier.mean
    std = 1.0 if classifier.std is None else classifier.std
    module = _move_key(classifier.module_, encryptor, mean, std, back)
    params = classifier.get_params(deep=False)
    return type(classifier)(**{**params, "model": module})


def _get_network(model: TorchClassifier | nn.Module) -> nn.Module:
    return model.module_.network if isinstance(model, TorchClassifier) else model


def _spread_over_channels(
    value: float | Sequence[float] | None, channels: int
) -> NDArray[np.float64]:
    values = np.asarray(0.5 if value is None else value, float)
    if values.shape not in ((), (channels,)):
        raise ValueError(
            f"mean or std is {value}; expected one number, or one for each of the {channels} "
            "channels of the images."
        )
    return np.broadcast_to(values, channels)


def _read_normalization(
    classifier: TorchClassifier, encryptor: PixelMapEncryptor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say how the classifier scales values that the encryptor takes for 0 to 1."""
    read, encrypted = classifier.value_range_, encryptor.value_range_
    span = encrypted.high - encrypted.low
    mean = ((read.low + read.high) / 2 - encrypted.low) / span
    std = (read.high - read.low) / 2 / span
    channels = encryptor.ciphertext_shape_[2]
    return np.full(channels, mean), np.full(channels, std)


class _PatchMap(NamedTuple):
    """A pixel map in terms of patches, which all undergo the same."""

    source: NDArray[np.intp]  # for each patch of the ciphertext, the patch of the image in it
    order: NDArray[np.intp]  # for each value of a patch, its former place in the patch
    negated: NDArray[np.bool_]  # and whether it is negated


def _factorize(pixel_map: PixelMap, shape: ImageShape, patch_size: int) -> _PatchMap:
    if not pixel_map.only_negates:
        raise NotAdaptableError(
            "the encryption changes pixel values by more than moving and negating them, which no "
            "linear map can follow. Take an EtCEncryptor with per_block_keys=False."
        )
    height, width, _ = shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"ciphertexts of {describe(shape)} do not fall into the network's patches of "
            f"{patch_size}×{patch_size}."
        )
    pixels = np.arange(math.prod(shape)).reshape(shape)
    in_patches = to_blocks(pixels, patch_size)
    in_patches = in_patches.reshape(len(in_patches), -1)
    patch_of, place_of = np.empty((2, pixels.size), np.intp)
    patch_of[in_patches] = np.arange(len(in_patches))[:, np.newaxis]
    place_of[in_patches] = np.arange(in_patches.shape[1])

    former = pixel_map.index[in_patches]
    source, order = patch_of[former], place_of[former]
    negated = pixel_map.mask[in_patches] == 255
    advice = f"Take an EtCEncryptor with per_block_keys=False and block_size={patch_size}."
    if (source != source[:, :1]).any():
        raise NotAdaptableError(
            f"the encryption mixes the network's patches of {patch_size}×{patch_size} with each "
            f"other. {advice}"
        )
    if (order != order[0]).any() or (negated != negated[0]).any():
        raise NotAdaptableError(
            "the encryption does not do the same within all of the network's patches of "
            f"{patch_size}×{patch_size}, which share their weights. {advice}"
        )
    return _PatchMap(source[:, 0], order[0], negated[0])


def _rewire(
    network: nn.Module,
    pixel_map: PixelMap,
    shape: ImageShape,
    means: NDArray[np.float64],
    stds: NDArray[np.float64],
) -> None:
    """Change in place the patch embedding of a network, and where its positions act."""
    embedding = _find_patch_embedding(network)
    if embedding.in_channels != shape[2]:
        raise ValueError(
            f"the network reads images of {embedding.in_channels} channels, but ciphertexts have "
            f"{describe(shape)}."
        )
    patches = _factorize(pixel_map, shape, embedding.kernel_size[0])
    positions = getattr(network, "pos_embed", None)
    if isinstance(positions, Tensor):
        n_before = _count_tokens_before(network, positions, len(patches.source))
        with torch.no_grad():
            positions[:, n_before:] = positions[:, n_before + torch.from_numpy(patches.source)]
    elif mixing := _find_token_mixing(network):
        for first, last in mixing:
            _rewire_mixing(first, last, patches.source)
    elif (patches.source != np.arange(len(patches.source))).any():
        raise NotAdaptableError(
            f"the encryption permutes patches, and {type(network).__name__} has no position "
            "embeddings and no mlp_tokens or linear_tokens in which that could be undone. Take an "
            "EtCEncryptor with permute=False and per_block_keys=False, and "
            f"block_size={embedding.kernel_size[0]} if it rotates."
        )
    _rewire_embedding(embedding, patches, means, stds)


def _rewire_embedding(
    embedding: nn.Conv2d,
    patches: _PatchMap,
    means: NDArray[np.float64],
    stds: NDArray[np.float64],
) -> None:
    channels = len(means)
    after, before = np.arange(len(patches.order)) % channels, patches.order % channels
    sign = np.where(patches.negated, -1.0, 1.0)
    scale = sign * stds[before] / stds[after]
    shift = (sign * means[before] + patches.negated - means[after]) / stds[after]

    weight = embedding.weight.detach().permute(0, 2, 3, 1)  # rows, columns, channels, as in images
    matrix = weight.reshape(len(weight), -1).double().cpu().numpy()[:, patches.order] / scale
    with torch.no_grad():
        changed = torch.from_numpy(matrix).reshape(weight.shape).permute(0, 3, 1, 2)
        embedding.weight.copy_(changed)
        if shift.any():
            if embedding.bias is None:
                embedding.bias = nn.Parameter(embedding.weight.new_zeros(len(weight)))
            constant = torch.from_numpy(matrix @ shift)
            embedding.bias.copy_(embedding.bias.double().cpu() - constant)


def _find_token_mixing(network: nn.Module) -> list[tuple[nn.Linear, nn.Linear]]:
    """Find the layers that read one value of all patches, and those that write it."""
    found = []
    for name, module in network.named_modules():
        if name.endswith("mlp_tokens"):
            first, last = getattr(module, "fc1", None), getattr(module, "fc2", None)
        elif name.endswith("linear_tokens"):
            first = last = module
        else:
            continue
        if isinstance(first, nn.Linear) and isinstance(last, nn.Linear):
            found.append((first, last))
    return found


def _rewire_mixing(first: nn.Linear, last: nn.Linear, source: NDArray[np.intp]) -> None:
    if not first.in_features == last.out_features == len(source):
        raise ValueError(
            f"the network mixes {first.in_features} tokens into {last.out_features}, but "
            f"ciphertexts have {len(source)} patches. Fit the encryptor on images of the network's "
            "size."
        )
    order = torch.from_numpy(source)
    with torch.no_grad():
        first.weight[:] = first.weight[:, order]
        last.weight[:] = last.weight[order]
        if last.bias is not None:
            last.bias[:] = last.bias[order]


def _find_patch_embedding(network: nn.Module) -> nn.Conv2d:
    stem = getattr(network, "patch_embed", getattr(network, "stem", None))
    layer = getattr(stem, "proj", stem)
    if isinstance(layer, nn.Sequential):
        layer = layer[0]
    if (
        not isinstance(layer, nn.Conv2d)
        or layer.kernel_size != layer.stride
        or layer.kernel_size != layer.kernel_size[:1] * 2
        or layer.padding not in ((0, 0), "valid")
        or layer.dilation != (1, 1)
        or layer.groups != 1
    ):
        raise NotAdaptableError(
            f"{type(network).__name__} does not begin by embedding square patches that do not "
            "overlap, so no key can be moved into it. Take a ViT, an MLP-Mixer or a ConvMixer, or "
            "train on ciphertexts."
        )
    return layer


def _count_tokens_before(network: nn.Module, positions: Tensor, n_patches: int) -> int:
    """Count the positions that belong to tokens before the patches."""
    tokens = (getattr(network, name, None) for name in ("cls_token", "dist_token", "reg_token"))
    n_tokens = sum(token.shape[1] for token in tokens if isinstance(token, Tensor))
    n_before = positions.shape[1] - n_patches
    if positions.ndim != 3 or n_before not in (0, n_tokens):
        raise ValueError(
            f"pos_embed has shape {tuple(positions.shape)}, but ciphertexts have {n_patches} "
            f"patches and the network {n_tokens} other tokens. Fit the encryptor on images of the "
            "network's size."
        )
    return n_before


def _check_answers(
    plain: nn.Module,
    keyed: nn.Module,
    pixel_map: PixelMap,
    shape: ImageShape,
    means: NDArray[np.float64],
    stds: NDArray[np.float64],
) -> None:
    """Compare the answers to an image and its ciphertext, for networks of unknown insides."""
    image = np.random.default_rng(0).random((1, *shape))
    like = _find_patch_embedding(plain).weight
    answers = []
    for network, pixels in ((plain, image), (keyed, pixel_map.on_floats(image, 0.0, 1.0))):
        modes = {module: module.training for module in network.modules()}
        given = torch.from_numpy((pixels - means) / stds).permute(0, 3, 1, 2).to(like)
        try:
            with torch.inference_mode():
                answers.append(network.eval()(given))
        finally:
            for module, mode in modes.items():
                module.training = mode
    expected, found = answers
    tolerance = math.sqrt(torch.finfo(like.dtype).eps) * expected.abs().max()
    difference = (found - expected).abs().max()
    if not difference <= tolerance:
        raise NotAdaptableError(
            f"{type(plain).__name__} answers differently after the change of its patch embedding "
            f"and positions or token mixing, by {difference:.2g}: positions act elsewhere in it "
            "too."
        )
