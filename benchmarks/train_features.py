"""Train the feature network that ships with `TransformationNetworkEncryptor`.

A small network in the manner of VGG learns CIFAR-10 and crops of flowers, in one batch with two
heads. Its layers up to "relu2_2" are written to ``ricsk/weights/features_small.safetensors``,
scaled so that the features of two different test images of CIFAR-10 have a mean squared distance
of 1; the log that this prints is kept beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk.datasets import load_packed
from ricsk.nn.vgg_features import VGGFeatures

WEIGHTS = Path(__file__).parents[1] / "ricsk" / "weights" / "features_small.safetensors"
WIDTH = 32


class Classifier(nn.Module):
    """The features, two more convolutions, and a head for each set of images."""

    def __init__(self, n_classes: tuple[int, int]) -> None:
        super().__init__()
        self.features = VGGFeatures(WIDTH)
        deeper = 4 * WIDTH
        self.rest = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Conv2d(2 * WIDTH, deeper, 3, padding=1),
            nn.BatchNorm2d(deeper),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(deeper, deeper, 3, padding=1),
            nn.BatchNorm2d(deeper),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.heads = nn.ModuleList(nn.Linear(deeper, n) for n in n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.features(x))


def load(folder: Path, name: str, split: str, limit: int) -> tuple[Tensor, Tensor]:
    X, y, _ = load_packed(folder, name, split, limit=limit)
    return torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--minutes", type=float, default=8)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    cifar, cifar_labels = load(args.data_dir, "cifar10", "train", 50_000)
    flowers, flower_labels = load(args.data_dir, "flowers128", "train", 3457)
    test, test_labels = load(args.data_dir, "cifar10", "test", 2000)
    network = Classifier((10, 5))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)

    def report(step: int) -> None:
        network.eval()
        with torch.inference_mode():
            logits = torch.cat([network.heads[0](network(x / 255)) for x in test.split(250)])
        accuracy = 100 * (logits.argmax(dim=1) == test_labels).float().mean()
        print(f"step {step}: accuracy {accuracy:.1f} % on CIFAR-10", flush=True)
        network.train()

    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        # Warm-up over the first twentieth, then a cosine to zero, by the clock.
        rate = 2e-3 * (min(1, 20 * done) * (1 + np.cos(np.pi * done)) / 2 + 1e-3)
        optimizer.param_groups[0]["lr"] = rate
        chosen = [torch.randint(len(set_), (n,)) for set_, n in ((cifar, 48), (flowers, 16))]
        # Flowers at a quarter to three quarters of their size, so that crops show structure.
        side = int(rng.integers(43, 129))
        top, left = rng.integers(0, 129 - side, 2)
        crops = flowers[chosen[1], :, top : top + side, left : left + side] / 255
        crops = F.interpolate(crops, (32, 32), mode="bilinear", antialias=True)
        x = torch.cat([cifar[chosen[0]] / 255, crops])
        mirrored = torch.rand(len(x)) < 0.5
        x[mirrored] = x[mirrored].flip(3)
        if rng.random() < 0.1:
            x = x.mean(dim=1, keepdim=True)
        h = network(x)
        loss = F.cross_entropy(network.heads[0](h[:48]), cifar_labels[chosen[0]])
        loss = loss + F.cross_entropy(network.heads[1](h[48:]), flower_labels[chosen[1]]) / 3
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 1000 == 0:
            report(step)
    report(step)

    features = network.features.eval()
    with torch.no_grad():
        values = torch.cat([features(x / 255) for x in test.split(250)])
        scale = F.mse_loss(values[1::2], values[::2]).rsqrt()
        features.layers[-2].weight *= scale
        features.layers[-2].bias *= scale
    save_file(features.layers.state_dict(), WEIGHTS)
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
