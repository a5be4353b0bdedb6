"""Train the encoder and decoder that ship with RIC, on CIFAR-10 and crops of flowers.

Minimises the squared error of the recovered image, in units of the rounding step, over random
mixing weights and random masks. Writes ``ricsk/weights/ric_light.safetensors``; the log that it
prints is kept beside it. Prints the PSNR of test images next to that without any network.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ricsk.datasets import load_packed
from ricsk.nn.ric import LightRIC

WEIGHTS = Path(__file__).parents[1] / "ricsk" / "weights" / "ric_light.safetensors"
ALPHAS = (0.5, 0.8, 0.9)


class StraightRound(torch.autograd.Function):
    """Rounding, with the gradient of the identity."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        return gradient


def through(network: nn.Module | None, x: Tensor, alpha: Tensor) -> Tensor:
    """Mix images with random masks, round to 8 bits, and recover them."""
    weight = alpha.view(-1, 1, 1, 1)
    z = torch.randint(256, x.shape) / 255
    e = x if network is None else network.encode(x, z)
    y = StraightRound.apply(255 * ((1 - weight) * e + weight * z)) / 255
    u = (y - weight * z) / (1 - weight)
    return u if network is None else network.decode(u, alpha)


@torch.inference_mode()
def recovery(network: nn.Module | None, X: Tensor, alpha: float) -> float:
    """Mean PSNR in dB of images recovered from 8-bit ciphertexts, rounded to 8 bits."""
    recovered = []
    for x in X.split(64):
        out = through(network, x, torch.full((len(x),), alpha))
        recovered.append((out.clamp(0, 1) * 255).round() / 255)
    error = (torch.cat(recovered) - X).square().mean(dim=(1, 2, 3)).clamp_min(1e-10)
    return float(-10 * error.log10().mean())


def load(folder: Path, name: str, split: str, limit: int) -> Tensor:
    X, _, _ = load_packed(folder, name, split, limit=limit)
    return torch.from_numpy(X).permute(0, 3, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--minutes", type=float, default=30)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    cifar = load(args.data_dir, "cifar10", "train", 50_000)
    flowers = load(args.data_dir, "flowers128", "train", 3457)
    tests = {
        name: load(args.data_dir, name, "test", limit) / 255
        for name, limit in (("cifar10", 1000), ("flowers128", 100))
    }

    def batch() -> Tensor:
        """Half CIFAR-10, half crops of flowers; one batch in ten is grey."""
        top, left = rng.integers(0, 97, 2)
        crops = flowers[torch.randint(len(flowers), (16,)), :, top : top + 32, left : left + 32]
        x = torch.cat([cifar[torch.randint(len(cifar), (16,))], crops]) / 255
        return x.mean(dim=1, keepdim=True) if rng.random() < 0.1 else x

    def report(step: int) -> None:
        figures = [
            f"{name} {alpha}: {recovery(network, X, alpha):.2f} ({recovery(None, X, alpha):.2f})"
            for name, X in tests.items()
            for alpha in ALPHAS
        ]
        print(f"step {step}, dB (without network): " + "; ".join(figures), flush=True)

    network = LightRIC()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        # Warm-up over the first twentieth, then a cosine to zero, by the clock.
        rate = 2e-3 * (min(1, 20 * done) * (1 + np.cos(np.pi * done)) / 2 + 1e-3)
        optimizer.param_groups[0]["lr"] = rate
        x = batch()
        alpha = 0.3 + 0.66 * torch.rand(len(x))
        error = (through(network, x, alpha) - x) * 255 * (1 - alpha).view(-1, 1, 1, 1)
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 2000 == 0:
            report(step)
    report(step)
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file(network.state_dict(), WEIGHTS)
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
