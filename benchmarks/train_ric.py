"""Train the encoder and decoder that ship with RIC, on CIFAR-10 and crops of flowers.

Minimises the squared error of the recovered image, in units of the rounding step, over random
mixing weights. Writes ``ricsk/weights/ric_light.safetensors``; the log that it
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
from ricsk.encryptors.ric._training import hide_and_reveal
from ricsk.nn.ric import LightRIC

WEIGHTS = Path(__file__).parents[1] / "ricsk" / "weights" / "ric_light.safetensors"
ALPHAS = (0.5, 0.8, 0.9)
RATE = 2e-3


@torch.inference_mode()
def recovery(network: nn.Module | None, X: Tensor, alpha: float) -> float:
    """Mean PSNR in dB of images recovered from 8-bit ciphertexts, rounded to 8 bits."""
    recovered = []
    for x in X.split(100):
        out = hide_and_reveal(network, x, torch.full((len(x),), alpha, device=x.device))
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
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    torch.manual_seed(0)
    place = torch.device(args.device)

    cifar = load(args.data_dir, "cifar10", "train", 50_000).to(place)
    flowers = load(args.data_dir, "flowers128", "train", 3457).to(place)
    tests = {
        name: load(args.data_dir, name, "test", limit).to(place) / 255
        for name, limit in (("cifar10", 1000), ("flowers128", 100))
    }
    half = args.batch_size // 2

    def batch() -> Tensor:
        """Half CIFAR-10, half crops of flowers; one batch in ten is grey."""
        top, left = torch.randint(97, (2,)).tolist()
        crops = flowers[torch.randint(len(flowers), (half,)), :, top : top + 32, left : left + 32]
        x = torch.cat([cifar[torch.randint(len(cifar), (half,))], crops]) / 255
        return x.mean(dim=1, keepdim=True) if torch.rand(()) < 0.1 else x

    def report(step: int) -> None:
        figures = [
            f"{name} {alpha}: {recovery(network, X, alpha):.2f} ({recovery(None, X, alpha):.2f})"
            for name, X in tests.items()
            for alpha in ALPHAS
        ]
        print(f"step {step}, dB (without network): " + "; ".join(figures), flush=True)

    network = LightRIC().to(place)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        # Warm-up over the first twentieth, then a cosine to zero, by the clock.
        rate = RATE * (min(1, 20 * done) * (1 + np.cos(np.pi * done)) / 2 + 1e-3)
        optimizer.param_groups[0]["lr"] = rate
        x = batch()
        alpha = (0.3 + 0.66 * torch.rand(len(x))).to(place)
        error = (hide_and_reveal(network, x, alpha) - x) * 255 * (1 - alpha).view(-1, 1, 1, 1)
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 10000 == 0:
            report(step)
    report(step)
    args.out.parent.mkdir(exist_ok=True)
    save_file({name: w.cpu() for name, w in network.state_dict().items()}, args.out)
    print(f"{args.out.name}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
