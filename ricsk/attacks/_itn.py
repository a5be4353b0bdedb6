"""Learning the way back from pairs that the adversary makes: the inverse transformation network."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from ricsk._docs import fill_in
from ricsk.attacks._base import Adversary, encrypt_levels
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.base import BaseImageEncryptor
from ricsk.keys import SecretKey
from ricsk.nn import BlockCNN, UNet
from ricsk.training import make_random_state

__all__ = ["ITNAttack"]


@fill_in(training=TRAINING, fitted=FITTED)
class ITNAttack(NetworkAttack):
    """Encrypt public images with keys of one's own, and train a network to undo that.

    The algorithm is known to everybody, so no pair has to be stolen. What succeeds under any key
    succeeds under the key attacked: where the network learns the way back, the key hides nothing.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    variant : {"unet", "ito"}, default="unet"
        The network. "unet" is that of `KnownPlaintextAttack`. "ito" is the one behind the tables of
        the literature [1]_, for comparison with them: it sees one block of 4 × 4 pixels at a time,
        the same everywhere, so it cannot undo what moves blocks; and the sigmoid of its tanh, which
        lies on (0.27, 0.73), is compared with images scaled to [−1, 1], so that nothing darker than
        a grey of 162 can come out. A scheme that holds against "ito" is not shown to hold.
    n_keys : int, default=100
        How many keys the adversary draws. Public images are dealt out to them, and each is
        encrypted under one. Never more keys than images. `random_state` decides on them, too.
    {training}

    Attributes
    ----------
    adversary : Adversary
        Public images, keys of its own.
    {fitted}

    Notes
    -----
    The published code trains by SGD for 50 epochs, here "ito" is trained as "unet" is.

    References
    ----------
    .. [1] H. Ito, Y. Kinoshita, M. AprilPyone and H. Kiya, "Image to perturbation: an image
       transformation network for generating visually protected images for privacy-preserving deep
       neural networks", IEEE Access 9, 2021.

    Examples
    --------
    >>> from ricsk.attacks import ITNAttack
    >>> print(ITNAttack(n_keys=1000, random_state=0).adversary)
    public images, keys of its own

    ``attack.fit(C, public_images=P, encryptor=encryptor)`` trains it, and
    ``attack.reconstruct(C)`` guesses the images behind ciphertexts.
    """

    adversary = Adversary(public_images=True, keys="own")
    _sizes = ("variant",)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkAttack._parameter_constraints,
        "variant": [StrOptions({"unet", "ito"})],
        "n_keys": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        variant: Literal["unet", "ito"] = "unet",
        *,
        n_keys: int = 100,
        budget: Literal["quick", "thorough"] | int = "quick",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(budget, random_state=random_state, verbose=verbose, device=device)
        self.variant = variant
        self.n_keys = n_keys

    def _build(self, width: int, variant: str = "unet") -> nn.Module:
        if variant == "ito":
            return _Ito(BlockCNN(self.ciphertext_shape_))
        return UNet(self.ciphertext_shape_, self.image_shape_, width=width)

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        public_images: NDArray[np.uint8],
        rekey: Callable[[SecretKey], BaseImageEncryptor],
    ) -> None:
        rng = make_random_state(self.random_state)
        hands = np.array_split(public_images, min(self.n_keys, len(public_images)))
        own = [encrypt_levels(rekey(SecretKey(rng.bytes(32))), images) for images in hands]
        self._train(np.concatenate(own), public_images)

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        height, width, _ = encryptor.ciphertext_shape_
        if self.variant == "ito" and (
            encryptor.ciphertext_shape_ != encryptor.image_shape_in_ or height % 4 or width % 4
        ):
            return (
                "its ciphertexts do not fall into 4×4 blocks of the images, which the published "
                "network needs. Use variant='unet'."
            )
        return None


class _Ito(nn.Module):
    """The mismatch of the published code: the loss wants images on [−1, 1], and gets sigmoids."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        # What is compared with 2 x − 1 is, as an image on [0, 1], half of it plus a half.
        return (self.network(2 * x - 1).sigmoid() + 1) / 2
