"""
What a network learns to look for in encrypted images
=====================================================

A ConvMixer cuts an image into patches and compares each patch with a set of filters. The filters
are learned, and show what the network found in its training images: edges in plain images, edges
in pieces in scrambled ones, and noise where neighbouring pixels have nothing to do with each
other.
"""

# %%
# The same digit plain and under two encryptions with blocks of 4×4 pixels: EtC moves blocks and
# turns them, but leaves each block smooth inside; LE permutes the halves of all pixels of a block.

import matplotlib.pyplot as plt

from ricsk import (
    ConvMixerClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PrivateClassifier,
    SecretKey,
)
from ricsk.datasets import load_digits
from ricsk.plotting import plot_patch_embeddings, plot_round_trip

X, y = load_digits(size=32)
key = SecretKey.generate()
encryptors = {
    "EtC": EtCEncryptor(key, block_size=4).fit(X),
    "LE": LearnableEncryptor(key, block_size=4).fit(X),
}
plot_round_trip(encryptors, X[1:2])
plt.show()

# %%
# One network of one size is trained on each. Its patches are 8×8 pixels, so four blocks lie in a
# patch. Strong weight decay takes the random numbers away that the filters began with, and leaves
# what was learned.

network = ConvMixerClassifier(
    dim=32, depth=1, patch_size=8, epochs=15, learning_rate=0.03, weight_decay=1.0, random_state=0
)
classifiers = {
    "plain digits": network,
    "EtC digits": PrivateClassifier(encryptors["EtC"], network),
    "LE digits": PrivateClassifier(encryptors["LE"], network),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
for ax, (name, classifier) in zip(axes, classifiers.items(), strict=True):
    accuracy = classifier.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:])
    plot_patch_embeddings(classifier, ax=ax, n_filters=16)
    ax.set_title(f"{name}: accuracy {accuracy:.2f}")
figure.suptitle("The 16 strongest filters learned: bright pixels count for, dark ones against")
figure.get_layout_engine().set(wspace=0.08)
plt.show()

# %%
# *Plain.* Smooth filters: strokes and edges in some direction.
#
# *EtC.* Each filter falls into four squares of 4×4 pixels, one for each block in the patch. Within
# a square it is still smooth; between squares it breaks off, because blocks that lie side by side
# in a ciphertext do not belong together.
#
# *LE.* Filters look like noise, because neighbouring pixels of a ciphertext are not neighbours in
# the image. The key is the same for all blocks, so a network can learn from that, too.
#
# All three classify well. How scrambled an image looks to a person says little about what a
# network can learn from it, and that holds for the network of an adversary as well.
