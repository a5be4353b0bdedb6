"""`AdaptNetClassifier`: an adaptation network and a residual one as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers._base import TorchClassifier
from ricsk.nn.adaptnet import Adaptation
from ricsk.training import Recipe

__all__ = ["AdaptNetClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class AdaptNetClassifier(TorchClassifier):
    """Classify images that were encrypted block by block, behind an adaptation network.

    The adaptation network turns each block into pixels that an ordinary network can read [1]_, [2]_
    and is trained with it. It is made for `LearnableEncryptor`; for EtC images take
    `ConvMixerClassifier`.

    The defaults are for small images and a processor without accelerator. The code of [2]_ trains
    CIFAR-10 with ``depth=110, alpha=270, epochs=305, batch_size=512, learning_rate=0.1,
    weight_decay=5e-4, optimizer="nesterov", schedule="steps", clip=None, augmentation="crop"``, the
    augmentation before the encryption. It reports 96.7 % on plain images without adaptation, 94.5 %
    on LE images with "le", and 83.1 % on ELE images with "ele".

    Read more in the :ref:`User Guide <guide-training>`.

    Parameters
    ----------
    adaptation : {"ele", "le", "tanaka"}, optional
        "ele" has weights for each block and can undo a permutation of blocks, for
        ``LearnableEncryptor(per_block_keys=True, scramble_blocks=True)``; "le", and "tanaka" from
        the code of [1]_, treat all blocks alike. None leaves the adaptation out, for comparison.
    backbone : {"shakepyramid", "cnn"}
        What reads the adapted image: a ShakePyramidNet [3]_, or the quicker network of
        `CNNClassifier`.
    block_size : int
        Side of the encryption's blocks, in pixels. It must divide the sides of the images.
    depth : int, optional
        Layers of the ShakePyramidNet, at least 8, or blocks of the CNN. None takes 20 or 3.
    alpha : int
        Channels that the blocks of the ShakePyramidNet add to the first 16, all together.
    width : int
        Channels of the first block of the CNN.
    {training}

    Attributes
    ----------
    {fitted}

    References
    ----------
    .. [1] M. Tanaka, "Learnable image encryption", IEEE International Conference on Consumer
       Electronics-Taiwan, 2018.
    .. [2] K. Madono, M. Tanaka, M. Onishi and T. Ogawa, "Block-wise scrambled image recognition
       using adaptation network", AAAI Workshop on Artificial Intelligence of Things, 2020.
    .. [3] Y. Yamada, M. Iwamura, T. Akiba and K. Kise, "ShakeDrop regularization for deep residual
       learning", IEEE Access 7, 2019.

    Examples
    --------
    >>> from ricsk import AdaptNetClassifier, LearnableEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> C = LearnableEncryptor(SecretKey.generate()).fit_transform(X)
    >>> classifier = AdaptNetClassifier("le", "cnn", width=16, depth=2, epochs=5, random_state=0)
    >>> classifier.fit(C[:1000], y[:1000]).score(C[1000:], y[1000:]) > 0.7
    True
    """

    _network = "adaptnet"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        "adaptation": [StrOptions({"tanaka", "le", "ele"}), None],
        "backbone": [StrOptions({"shakepyramid", "cnn"})],
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 1, None, closed="left"), None],
        "alpha": [Interval(Integral, 0, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        adaptation: Adaptation | None = "ele",
        backbone: Literal["shakepyramid", "cnn"] = "shakepyramid",
        *,
        block_size: int = 4,
        depth: int | None = None,
        alpha: int = 48,
        width: int = 32,
        epochs: int = 15,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        weight_decay: float = 0.01,
        augmentation: Recipe | None = None,
        optimizer: str = "adamw",
        schedule: str = "triangular",
        clip: float | None = 1.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        checkpoint: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            augmentation=augmentation,
            optimizer=optimizer,
            schedule=schedule,
            clip=clip,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            checkpoint=checkpoint,
            image_shape=image_shape,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.adaptation = adaptation
        self.backbone = backbone
        self.block_size = block_size
        self.depth = depth
        self.alpha = alpha
        self.width = width

    def _network_sizes(self) -> dict[str, Any]:
        sizes: dict[str, Any] = {
            "adaptation": self.adaptation,
            "backbone": self.backbone,
            "block_size": self.block_size,
        }
        if self.backbone == "shakepyramid":
            depth, sizes["alpha"] = 20, self.alpha
        else:
            depth, sizes["width"] = 3, self.width
        return {**sizes, "depth": depth if self.depth is None else self.depth}
