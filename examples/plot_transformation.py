"""
A transformation network, and its inversion
===========================================

The transformation network has no key: it is trained to change how images look, but not how a given
classifier reads them. There is no decryption. Everybody who has the network can train another one
that takes its images back.
"""

# %%
# A classifier of plain digits, and a network that is trained for it. Longer trainings keep more
# predictions; see :doc:`/guide/transformation` for figures.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, TransformationNetworkEncryptor
from ricsk.attacks import KnownPlaintextAttack
from ricsk.datasets import load_digits
from ricsk.metrics import ssim

X, y = load_digits(size=32)
X_test, y_test = X[1700:], y[1700:]
classifier = CNNClassifier(width=8, epochs=4, random_state=0).fit(X[:1000], y[:1000])
encryptor = TransformationNetworkEncryptor(
    FrozenEstimator(classifier), width=4, epochs=2, random_state=0
).fit(X[:1000], y[:1000])

C = encryptor.transform(X_test)
print(f"accuracy on plain images:     {classifier.score(X_test, y_test):.3f}")
print(f"accuracy on protected images: {classifier.score(C, y_test):.3f}")

# %%
# The adversary has the network, as every client has, and digits of their own. They make pairs and
# train a network on them for some seconds, which then inverts images that it has never seen.

own = X[1000:1400]
attack = KnownPlaintextAttack(budget=40, random_state=0).fit(encryptor.transform(own), own)
recovered = attack.reconstruct(C)
print(f"similarity (SSIM) of protected and plain images: {ssim(X_test, C).mean():.2f}")
print(f"similarity (SSIM) of recovered and plain images: {ssim(X_test, recovered).mean():.2f}")

rows = {"plain": X_test, "protected": C, "recovered\nby the adversary": recovered}
figure, axes = plt.subplots(len(rows), 6, figsize=(8, 4), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, image in zip(line, images, strict=False):
        ax.imshow(np.squeeze(image), cmap="gray")
        ax.set(xticks=[], yticks=[])
plt.show()
