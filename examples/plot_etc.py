"""
EtC images: scrambled blocks that JPEG still compresses
=======================================================

Encryption-then-compression permutes blocks, turns and negates them and reorders their colours.
What is inside a block stays smooth, so JPEG still works, and a classifier can be trained on the
ciphertexts.
"""

# %%
# Two photographs. Small blocks hide more and large blocks compress better; the published scheme
# takes 16×16, JPEG's own unit for colour images.

import matplotlib.pyplot as plt
import numpy as np

from ricsk import ConvMixerClassifier, EtCEncryptor, JPEGCodec, PrivateClassifier, SecretKey
from ricsk.datasets import load_digits, load_photos
from ricsk.plotting import plot_round_trip

photos = load_photos(size=(416, 640))
key = SecretKey.generate()
encryptor = EtCEncryptor(key, block_size=16).fit(photos)
plot_round_trip(encryptor, photos, figure=plt.figure(figsize=(9, 3.2), layout="constrained"))
plt.show()

# %%
# The size of JPEG files of quality 85, by block size. Blocks that do not fill JPEG's units of
# 16×16 pixels cost bytes.

codec = JPEGCodec(quality=85).fit(photos)
plain_bytes = codec.sizes(photos).sum()
print(f"plain: {plain_bytes / 2000:.0f} kB per photograph")
for block_size in (32, 16, 8, 4):
    C = EtCEncryptor(key, block_size=block_size).fit_transform(photos)
    print(f"blocks of {block_size:2}: {codec.sizes(C).sum() / plain_bytes:.2f} times as much")

# %%
# A classifier is trained on ciphertexts of one key, and reads ciphertexts of that key.
# `ricsk.PrivateClassifier` keeps encryptor and classifier together, and takes them apart: the
# cloud's half holds no key.

X, y = load_digits(size=32)
classifier = ConvMixerClassifier(dim=48, depth=2, patch_size=4, epochs=8, random_state=0)
plain_accuracy = classifier.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:])
private = PrivateClassifier(EtCEncryptor(key, block_size=4), classifier).fit(X[:1200], y[:1200])
C = private.client_half().transform(X[1200:])
encrypted_accuracy = np.mean(private.cloud_half().predict(C) == y[1200:])
print(f"trained and tested on plain digits: {plain_accuracy:.3f}")
print(f"trained and tested on EtC digits:   {encrypted_accuracy:.3f}")

# %%
# EtC is not a cipher. One key does the same to all images: somebody who has a few images and their
# ciphertexts undoes it, and somebody who has only many ciphertexts can often put the blocks
# together again; see :ref:`sphx_glr_auto_examples_plot_attacks.py`.
