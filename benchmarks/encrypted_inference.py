"""Encrypted inference by other people's libraries, beside sealed images of the same digits.

TAPAS's idea runs by Concrete (TFHE), MiniONN's by SPU (Cheetah: homomorphic encryption and
oblivious transfer between two parties), CryptoNets' by TenSEAL (CKKS). Each library lives in an
environment of its own, for most of them do not go with this package's NumPy:

    python3.11 -m venv envs/concrete
    envs/concrete/bin/pip install -r benchmarks/backends/requirements-concrete.txt

and so on for ``spu`` and ``tenseal``; then ``--envs envs``. An environment that is not there prints
"not installed".
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from ricsk import CNNClassifier, PrivateClassifier, SealedEncryptor, SecretKey
from ricsk.baselines import BinaryNetworkClassifier
from ricsk.datasets import load_digits
from ricsk.files import encode_ciphertexts

BACKENDS = Path(__file__).parent / "backends"
N_TRAIN = 1200


def run(envs: Path | None, backend: str, arrays: dict[str, Any]) -> dict[str, Any] | None:
    """Run a backend in its environment; None where that is missing."""
    python = None if envs is None else envs / backend / "bin" / "python"
    if python is None or not python.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given.npz")
        np.savez(path, **arrays)
        # Concrete and SPU warn of their own dependencies.
        command = [python, "-W", "ignore", BACKENDS / f"run_{backend}.py", path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    sent = re.findall(r"total send bytes (\d+), recv bytes (\d+)", done.stdout)
    if sent:  # of all images together, and of one
        found["up"], found["down"] = map(int, sent[-1])
    return found


def train(network: nn.Module, X: torch.Tensor, y: torch.Tensor, epochs: int) -> nn.Module:
    """Train a small network with Adam."""
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(X)).split(64):
            loss = nn.functional.cross_entropy(network(X[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


class Squares(nn.Module):
    """What CKKS can compute in the place of ReLU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Square."""
        return x.square()


def time_plain(function: Any, images: Any) -> float:
    """Seconds for an image, one at a time, as the others are asked."""
    function(images[:1])
    start = time.perf_counter()
    for i in range(len(images)):
        function(images[i : i + 1])
    return (time.perf_counter() - start) / len(images)


def main() -> None:
    """Train, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=Path, help="folder of the environments")
    parser.add_argument("--images", type=int, default=20, help="images to ask about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    X, y = load_digits(size=16)
    train_X, test_X, train_y, test_y = X[:N_TRAIN], X[N_TRAIN:], y[:N_TRAIN], y[N_TRAIN:]
    asked = test_X[: args.images]
    flat = torch.from_numpy(X.reshape(len(X), -1) / np.float32(255))
    targets = torch.from_numpy(y.astype(np.int64))
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()

    def add(system: str, model: str, accuracy: float, found: dict[str, Any] | None, **more: Any):
        nonlocal started
        row = {"system": system, "model": model, "accuracy": accuracy, **more}
        if found is None:
            print(f"{system}: {model}: not installed")
        else:
            keep = ("client_s", "server_s", "up", "down", "keys", "keygen_s")
            row |= {name: found[name] for name in keep if name in found}
        now = time.perf_counter()
        # All that the row took: training, the library's start, its keys, and every image.
        rows.append(row | {"seconds": now - started})
        started = now

    for hidden in (16, 64):
        binary = BinaryNetworkClassifier((hidden,), epochs=60, random_state=args.seed)
        binary.fit(train_X, train_y)
        ((weights, thresholds),), (last, scale, shift) = binary.layers_, binary.scores_
        bits = X.reshape(len(X), -1) > 255 * 0.25
        n = max(3, args.images * 16 // hidden // 2)
        arrays = {"weights": weights, "thresholds": thresholds, "last": last}
        arrays |= {"images": bits[N_TRAIN : N_TRAIN + n], "samples": bits[:200]}
        found = run(args.envs, "concrete", arrays)
        agreement = np.nan
        if found is not None:
            predicted = binary.classes_[(np.array(found["sums"]) * scale + shift).argmax(axis=1)]
            agreement = np.mean(predicted == binary.predict(test_X[:n]))
        add(
            "Concrete (TFHE)",
            f"signs, 256-{hidden}-10",
            binary.score(test_X, test_y),
            found,
            images=n,
            agreement=agreement,
            plain_s=time_plain(binary.predict, test_X[:n]),
        )

    convolution = nn.Conv2d(1, 4, 5, 2)
    cnn = nn.Sequential(
        nn.Unflatten(1, (1, 16, 16)),
        convolution,
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    train(cnn, flat[:N_TRAIN], targets[:N_TRAIN], 40)
    # SPU has channels last, so the rows of the first layer are put in that order.
    first = cnn[4].weight.detach().reshape(32, 4, 6, 6).permute(2, 3, 1, 0).reshape(144, 32)
    arrays = {
        "images": flat[N_TRAIN : N_TRAIN + args.images].reshape(-1, 16, 16, 1),
        "kernel": convolution.weight.detach().permute(2, 3, 1, 0),
        "bias": convolution.bias.detach(),
        "first": first,
        "first_bias": cnn[4].bias.detach(),
        "last": cnn[6].weight.detach().T,
        "last_bias": cnn[6].bias.detach(),
    }
    add_scores(add, args, "spu", "SPU (Cheetah)", "CNN, ReLU", cnn, arrays, flat, test_y)

    squares = nn.Sequential(nn.Linear(256, 32), Squares(), nn.Linear(32, 10))
    train(squares, flat[:N_TRAIN], targets[:N_TRAIN], 40)
    arrays = {
        "images": flat[N_TRAIN : N_TRAIN + args.images],
        "first": squares[0].weight.detach().T,
        "first_bias": squares[0].bias.detach(),
        "last": squares[2].weight.detach().T,
        "last_bias": squares[2].bias.detach(),
    }
    model = "perceptron, squares"
    add_scores(add, args, "tenseal", "TenSEAL (CKKS)", model, squares, arrays, flat, test_y)

    add_sealed(add, train_X, train_y, test_X, test_y, asked, args.seed)
    plain = LogisticRegression(max_iter=500).fit(flat[:N_TRAIN], train_y)
    accuracy = plain.score(flat[N_TRAIN:], test_y)
    seconds = time_plain(plain.predict, flat[N_TRAIN : N_TRAIN + args.images].numpy())
    add("nothing", "logistic regression", accuracy, {}, images=args.images, plain_s=seconds)

    table = pd.DataFrame(rows)
    table["times_plain"] = (table["client_s"] + table["server_s"]) / table["plain_s"]
    print(table.to_string(index=False, float_format="%.4g"))
    if args.out is not None:
        table.assign(seed=args.seed).to_csv(args.out, index=False, float_format="%.4g")


def add_scores(add, args, backend, system, model, network, arrays, flat, test_y) -> None:
    """Run a backend that returns scores, and add its row."""
    with torch.no_grad():
        logits = network(flat[N_TRAIN:]).argmax(dim=1).numpy()
        seconds = time_plain(network, flat[N_TRAIN : N_TRAIN + args.images])
    found = run(args.envs, backend, {name: np.asarray(array) for name, array in arrays.items()})
    agreement = np.nan
    if found is not None:
        predicted = np.array(found["scores"]).argmax(axis=1)
        agreement = np.mean(predicted == logits[: args.images])
        if "seconds_of_one" in found:  # both parties compute all the time
            found |= {"client_s": 0.0, "server_s": found["seconds_of_one"]}
    accuracy = np.mean(logits == test_y)
    add(
        system,
        model,
        accuracy,
        found,
        images=args.images,
        agreement=agreement,
        plain_s=seconds,
        batch_s=np.nan if found is None else found.get("seconds", np.nan),
    )


def add_sealed(add, train_X, train_y, test_X, test_y, asked, seed) -> None:
    """Seal the same digits, enlarged to hold themselves, and add the row."""
    private = PrivateClassifier(
        SealedEncryptor(SecretKey.generate()), CNNClassifier(width=8, epochs=8, random_state=seed)
    ).fit(train_X, train_y)
    client, cloud = private.client_half(), private.cloud_half()
    C = client.transform(asked)  # templates are made once
    start = time.perf_counter()
    C = client.transform(asked)
    client_s = (time.perf_counter() - start) / len(asked)
    opened = client.inverse_transform(C)
    assert (opened == asked).all()
    size = int(np.mean([len(file) for file in encode_ciphertexts(C, private.encryptor_)]))
    found = {"client_s": client_s, "server_s": time_plain(cloud.predict, C), "up": size, "down": 1}
    scale = private.encryptor_.scale_
    enlarged = asked.repeat(scale, axis=1).repeat(scale, axis=2)
    add(
        "ricsk (sealed)",
        f"CNN, images {C.shape[1]}×{C.shape[2]}",
        private.score(test_X, test_y),
        found | {"keys": 0},
        images=len(asked),
        agreement=np.mean(cloud.predict(C) == cloud.predict(enlarged)),
        plain_s=time_plain(cloud.predict, enlarged),
    )


if __name__ == "__main__":
    main()
