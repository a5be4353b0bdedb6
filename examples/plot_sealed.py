"""
Sealed images, to the cloud and back
====================================

A classifier was trained on plain digits and runs on a machine that may not see the images. The
owner seals them, the machine classifies noise, and only the key brings the images back.
"""

# %%
# At the owner: a key, a classifier, and an encryptor for this classifier. The classifier is
# frozen, because it must stay exactly the one that the cloud has.

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, SealedEncryptor, SecretKey, unseal
from ricsk.datasets import load_digits
from ricsk.exceptions import NotSealedError
from ricsk.plotting import plot_round_trip

X, y = load_digits(size=32)
classifier = CNNClassifier(width=8, epochs=4, random_state=0).fit(X[:1000], y[:1000])
key = SecretKey.generate()
encryptor = SealedEncryptor(key, FrozenEstimator(classifier)).fit(X[:1000])

# %%
# Ciphertexts are noise to look at. A wrong key is noticed: there is nothing to draw.

plot_round_trip(encryptor, X[1000:1003])
plt.show()

# %%
# At the cloud: the classifier reads the ciphertexts as it reads the plain images, all of them.

X_test, y_test = X[1000:1100], y[1000:1100]
C = encryptor.transform(X_test)
print(f"accuracy on plain images: {classifier.score(X_test, y_test):.3f}")
print(f"accuracy on ciphertexts:  {classifier.score(C, y_test):.3f}")
print(f"same prediction: {np.mean(classifier.predict(C) == classifier.predict(X_test)):.0%}")

# %%
# Back at the owner: the key alone opens them, bit for bit. Any bit that was changed on the way is
# noticed.

print("recovered bit for bit:", np.array_equal(unseal(C, key), X_test))
changed = C[:1].copy()
changed[0, 0, 0, 0] ^= 1
try:
    unseal(changed, key)
except NotSealedError as error:
    print(error)

# %%
# Where is the image? Its ciphertext fills the low bit planes; the high ones are noise that is
# changed until the classifier reads it as the plain image. Here are all eight planes of one
# ciphertext, the lowest first. An adversary without the key sees noise in each of them.

figure, axes = plt.subplots(1, 8, figsize=(9, 1.5), layout="constrained")
for plane, ax in enumerate(axes):
    ax.imshow(C[0, ..., 0] >> plane & 1, cmap="gray", interpolation="nearest")
    ax.set_title(f"bit {plane}")
    ax.set_xlabel("encrypted" if plane < encryptor.bit_planes_ else "noise")
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# What it costs: noise does not compress, so files are larger. Ciphertexts must not be compressed
# with loss, nor resized.


def mean_png_bytes(images):
    files = [io.BytesIO() for _ in images]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image.squeeze()).save(file, "png")
    return np.mean([len(file.getvalue()) for file in files])


print(f"PNG of a plain digit: {mean_png_bytes(X_test):.0f} bytes")
print(f"PNG of its ciphertext: {mean_png_bytes(C):.0f} bytes")
