"""What a classifier's patch embedding learns from plain and from encrypted images.

One ConvMixer is trained on plain street numbers, another on their EtC ciphertexts; the picture
shows their patch-embedding weights side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from ricsk import ConvMixerClassifier, EtCEncryptor, PrivateClassifier, SecretKey, datasets
from ricsk.plotting import plot_patch_embeddings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-output/patch_embeddings.svg"))
    parser.add_argument("--n-train", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    X, y = datasets.make_street_numbers(args.n_train + 500, random_state=0)
    X_train, y_train, X, y = X[:-500], y[:-500], X[-500:], y[-500:]
    plain = ConvMixerClassifier(patch_size=4, epochs=args.epochs, random_state=0)
    encryptor = EtCEncryptor(SecretKey.generate(), block_size=8)
    classifiers = {"plain": plain, "encrypted": PrivateClassifier(encryptor, plain)}

    figure = Figure(figsize=(9, 5), layout="constrained")
    figure.get_layout_engine().set(wspace=0.1)
    for ax, (name, classifier) in zip(figure.subplots(1, 2), classifiers.items(), strict=True):
        accuracy = classifier.fit(X_train, y_train).score(X, y)
        plot_patch_embeddings(classifier, ax=ax)
        ax.set_title(f"{name}: accuracy {accuracy:.2f}")
        print(f"{name}: accuracy {accuracy:.2f}", flush=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output)
    print(f"The picture is {args.output}.")


if __name__ == "__main__":
    main()
