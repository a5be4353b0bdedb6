"""
A vision transformer that reads ciphertexts without training
============================================================

If the key does the same to all patches of an image, it can be moved from the images into the
network. The network then answers to ciphertexts what it answered to images.
"""

# %%
# A small transformer, trained on plain digits.

import matplotlib.pyplot as plt
import numpy as np

from ricsk import EtCEncryptor, SecretKey, ViTClassifier, adapt_to_key
from ricsk.datasets import load_digits
from ricsk.plotting import plot_round_trip

X, y = load_digits(size=24)
X_test, y_test = X[1200:], y[1200:]
vit = ViTClassifier(dim=64, depth=2, patch_size=4, epochs=10, random_state=0)
vit.fit(X[:1200], y[:1200])

# %%
# Patches are permuted, and within each patch pixels are permuted and negated, the same in all
# patches.

encryptor = EtCEncryptor(
    SecretKey.generate(), block_size=4, per_block_keys=False, sub_block_size=1
).fit(X)
plot_round_trip(encryptor, X_test[:2])
plt.show()

# %%
# Adapting permutes the network's weights. Nothing is trained, and nothing is lost: each score on a
# ciphertext is the score on the plain image, up to rounding. Without adapting, the network
# guesses.

keyed = adapt_to_key(vit, encryptor)
C = encryptor.transform(X_test)
print(f"plain network, plain images:     {vit.score(X_test, y_test):.3f}")
print(f"adapted network, ciphertexts:    {keyed.score(C, y_test):.3f}")
print(f"plain network, ciphertexts:      {vit.score(C, y_test):.3f}")

plain, adapted = vit.decision_function(X_test), keyed.decision_function(C)
print(f"largest difference of a score:   {np.abs(plain - adapted).max():.0e}")

figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
pairs = {"adapted network": adapted, "plain network": vit.decision_function(C)}
for ax, (name, scores) in zip(axes, pairs.items(), strict=True):
    ax.plot(plain.ravel(), scores.ravel(), ".", markersize=1)
    ax.set(title=name, xlabel="score of a class on the plain image", aspect="equal")
axes[0].set_ylabel("score on its ciphertext")
plt.show()

# %%
# The price is secrecy: somebody who knows the plain network reads the key off the adapted one, and
# one known image opens all others. :doc:`/guide/keyed` says so in detail.
