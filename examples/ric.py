"""RIC from end to end: encrypt, send as PNG, classify there, decrypt here; and a wrong key.

The cloud has the classifier that it always had, trained on plain images. The owner encrypts images
so that this classifier reads them as it did. Another process, with the key file, decrypts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, RICEncryptor, SecretKey, datasets
from ricsk.metrics import psnr

# What runs elsewhere: it reads the PNG files, and has the fitted encryptor and the key's file.
RECEIVER = """
import sys, joblib, numpy as np
from pathlib import Path
from PIL import Image
folder = Path(sys.argv[1])
encryptor = joblib.load(folder / "encryptor.joblib")
C = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
np.save(folder / "decrypted.npy", encryptor.inverse_transform(C))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-output/ric"))
    parser.add_argument("--n-train", type=int, default=3000)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    X, y = datasets.make_street_numbers(args.n_train + 100, random_state=0)
    X_train, y_train, X, y = X[:-100], y[:-100], X[-100:], y[-100:]
    classifier = CNNClassifier(epochs=8, random_state=0).fit(X_train, y_train)

    key_file = args.output / "images.key"
    key = (
        SecretKey.from_file(key_file) if key_file.exists() else SecretKey.generate().save(key_file)
    )
    encryptor = RICEncryptor(key, FrozenEstimator(classifier)).fit(X_train[:500])
    for i, ciphertext in enumerate(encryptor.transform(X)):
        Image.fromarray(ciphertext).save(args.output / f"{i:03}.png")
    joblib.dump(encryptor, args.output / "encryptor.joblib")  # the key by reference to its file

    C = np.stack([np.asarray(Image.open(file)) for file in sorted(args.output.glob("*.png"))])
    accuracies = classifier.score(X, y), classifier.score(C, y)
    print("accuracy on plain images {:.2f}, on PNG {:.2f}".format(*accuracies))
    print(f"same prediction: {np.mean(classifier.predict(C) == classifier.predict(X)):.0%}")

    subprocess.run([sys.executable, "-c", RECEIVER, str(args.output)], check=True)
    X_back = np.load(args.output / "decrypted.npy")
    intruder = RICEncryptor(SecretKey.generate(), FrozenEstimator(classifier)).fit(X_train[:500])
    X_wrong = intruder.inverse_transform(C)
    print(f"decrypted in another process: {psnr(X, X_back).mean():.1f} dB")
    print(f"with a wrong key: {psnr(X, X_wrong).mean():.1f} dB")

    figure = Figure(figsize=(10, 5.5), layout="constrained")
    rows = {"plain": X, "encrypted": C, "decrypted": X_back, "wrong key": X_wrong}
    axes = figure.subplots(4, 8)
    for line, (title, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    # The folder's PNG files are ciphertexts, so the picture has another format.
    figure.savefig(args.output / "ric.svg")
    print(f"The picture is {args.output / 'ric.svg'}.")


if __name__ == "__main__":
    main()
