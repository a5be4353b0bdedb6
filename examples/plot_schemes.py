"""
What each scheme looks like
===========================

Two images through every scheme of this package: plain, encrypted, decrypted with the key, and
decrypted with another key. A picture shows what a person sees. It does not show what an adversary
with a computer gets back: that is in :doc:`/guide/threats`.
"""

# %%
# The images are generated house numbers. Two of the schemes, sealed images and RIC, need a
# classifier that is to read the ciphertexts. This one is trained for a second; whatever it says of
# an image, it will say of the ciphertext.

import matplotlib.pyplot as plt
from sklearn.frozen import FrozenEstimator

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
)
from ricsk.datasets import make_street_numbers
from ricsk.plotting import plot_round_trip

X, y = make_street_numbers(600, random_state=0)
classifier = FrozenEstimator(CNNClassifier(width=8, epochs=2, random_state=0).fit(X, y))

# %%
# Two schemes are for a classifier that was trained on plain images and stays as it is. Their
# ciphertexts look like noise. A sealed image comes back bit for bit, and refuses a wrong key; RIC
# comes back closely, and gives noise under a wrong key.

key = SecretKey.generate()
guided = {
    "sealed": SealedEncryptor(key, classifier).fit(X),
    "RIC": RICEncryptor(key, classifier).fit(X),
}
plot_round_trip(guided, X[:1], figure=plt.figure(figsize=(7, 3.8), layout="constrained"))
plt.show()

# %%
# The others are perceptual encryptions: a classifier is trained on their ciphertexts. They move
# pixels or blocks and negate them. A wrong key moves them elsewhere, and nothing says that it was
# wrong.

perceptual = {
    "PE": PixelEncryptor(key),
    "LE": LearnableEncryptor(key),
    "ELE": LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True),
    "EtC": EtCEncryptor(key, block_size=8),
    "EtC, one key\nfor all blocks": EtCEncryptor(key, block_size=4, per_block_keys=False),
}
for encryptor in perceptual.values():
    encryptor.fit(X)
plot_round_trip(perceptual, X[:1], figure=plt.figure(figsize=(7, 9), layout="constrained"))
plt.show()
