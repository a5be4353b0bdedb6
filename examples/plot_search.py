"""
Search, sort and sift sealed images
===================================

A service that stores encrypted photographs cannot search them, it is said. Sealed images with
``match="features"`` can be searched: a network reads in the noise what it reads in the image. Here
the service finds similar images, duplicates and clusters, and learns a new question, all from
ciphertexts alone. What makes that possible is also what it gives away: the features.
"""

# %%
# At the owner: a key, a network, and an encryptor for it. Equal images are never sealed to equal
# ciphertexts. The network that the service gets was trained to tell digits apart.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from ricsk import CNNClassifier, SealedEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.search import ImageIndex, PrivateIndex

X, y = load_digits(size=32)
network = CNNClassifier(width=8, epochs=4, random_state=0).fit(X[:1000], y[:1000])
encryptor = SealedEncryptor(
    SecretKey.generate(),
    FrozenEstimator(network),
    match="features",
    tolerance=0.03,
    nonce="random",
).fit(X[:100])

# %%
# At the service: the network, and an index of what the owner sends. There are 40 images, and four
# that the owner has stored twice without noticing, two of them a little darker.

stored, labels = X[1000:1040], y[1000:1040]
twice = [stored[:2], (0.9 * stored[2:4]).astype(np.uint8)]
C = encryptor.transform(np.concatenate([stored, *twice]))

index = ImageIndex(network)
index.add(C)

# %%
# **Search.** The owner asks with images that are not stored. Their features are sent; what comes
# back are ciphertexts, which the key opens. In each pair of rows, the upper one is what the service
# has.

private = PrivateIndex(encryptor, index)
questions = X[[1200, 1203, 1207]]
answers = private.query(questions, k=6)

figure, axes = plt.subplots(6, 7, figsize=(7, 6.4), layout="constrained")
for row, question in enumerate(questions):
    sealed, opened = axes[2 * row], axes[2 * row + 1]
    opened[0].imshow(question.squeeze(), cmap="gray")
    opened[0].set_title("asked", fontsize=9)
    for column, image in enumerate(answers.images[row], start=1):
        id_ = answers.ids[row, column - 1]
        sealed[column].imshow(C[id_].squeeze(), cmap="gray")
        opened[column].imshow(image.squeeze(), cmap="gray")
for ax in axes.flat:
    ax.set_axis_off()
plt.show()

# %%
# **Duplicates.** The service finds for each ciphertext those that it reads alike. Which of them
# hold the same image, the owner sees, who opens them and compares the features of what is inside.

nearest = private.query(C, k=2, sealed=True)
is_self = nearest.ids[:, 0] == np.arange(len(C))
others = np.where(is_self, nearest.ids[:, 1], nearest.ids[:, 0])
order = np.argsort(nearest.distances[:, 1])
pairs = list(dict.fromkeys(tuple(sorted((int(i), int(others[i])))) for i in order))[:6]

true = {(0, 40), (1, 41), (2, 42), (3, 43)}
print(f"of the 6 nearest pairs, {len(true & set(pairs))} of 4 duplicates")

both = encryptor.inverse_transform(C[np.ravel(pairs)])
figure, axes = plt.subplots(2, 6, figsize=(7, 2.7), layout="constrained")
for i, pair in enumerate(pairs):
    for j in range(2):
        axes[j, i].imshow(both[2 * i + j].squeeze(), cmap="gray")
        axes[j, i].set_axis_off()
    axes[0, i].set_title("twice" if pair in true else "alike", fontsize=9)
plt.show()

# %%
# **Clusters.** The service sorts the images into ten heaps, as it would sort plain ones.

read, plain = network.features(C[:40]), network.features(stored)
heaps = KMeans(10, n_init=5, random_state=0).fit_predict(read)
plain_heaps = KMeans(10, n_init=5, random_state=0).fit_predict(plain)
print(f"agreement of heaps and digits: {adjusted_rand_score(labels, heaps):.2f}")
print(f"on plain images:               {adjusted_rand_score(labels, plain_heaps):.2f}")

# %%
# **A new question.** The owner tells the service of 25 ciphertexts whether they show an odd digit;
# that was never asked before. A new head on the old network learns it, and reads the others.

odd = labels % 2
head = LogisticRegression(max_iter=1000).fit(read[:25], odd[:25])
plain_head = LogisticRegression(max_iter=1000).fit(plain[:25], odd[:25])
print(f"accuracy of a head trained on ciphertexts: {head.score(read[25:], odd[25:]):.2f}")
print(f"of one trained on plain images:            {plain_head.score(plain[25:], odd[25:]):.2f}")

# %%
# **The price.** All this was done by a machine without a key, so all of it is what that machine
# knows: which images are alike, which are stored twice, what is in them, and whether an image that
# it has itself is among them. How much of a picture can be drawn from features is measured on the
# page about search in the user guide.
