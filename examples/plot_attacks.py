"""
What comes back without the key
===============================

Three adversaries of growing power against EtC: one who has only ciphertexts, one who also has a
few images with their ciphertexts, and one who may choose images to be encrypted. None has the key.
"""

# %%
# A thousand ciphertexts of one key, such as a cloud stores.

import matplotlib.pyplot as plt

from ricsk import EtCEncryptor, SecretKey
from ricsk.attacks import FRAttack, JigsawAttack, LinearAttack
from ricsk.datasets import make_street_numbers

X, _ = make_street_numbers(1500, random_state=0)
hidden, public, known = X[:1000], X[1000:1400], X[1400:]
encryptor = EtCEncryptor(SecretKey.generate(), block_size=4).fit(X)
C = encryptor.transform(hidden)

# %%
# *Ciphertexts only.* All ciphertexts of a key are the same jigsaw puzzle, laid at once: blocks
# that are neighbours in the image fit each other in all of a thousand images. The result may be a
# mirror image or a negative of the image, which stops nobody.

jigsaw = JigsawAttack(block_size=4).fit(C, public_images=public).reconstruct(C[:6])

# %%
# *Known plaintexts.* With a hundred pairs the map of the key is the solution of linear equations.

linear = LinearAttack().fit(encryptor.transform(known), known).reconstruct(C[:6])

# %%
# *Chosen plaintexts.* Who may have images encrypted needs five of them.

chosen = FRAttack("chosen").fit(C, encryptor=encryptor).reconstruct(C[:6])

rows = {
    "plain": hidden[:6],
    "encrypted": C[:6],
    "ciphertexts\nonly": jigsaw,
    "known\nplaintexts": linear,
    "chosen\nplaintexts": chosen,
}
figure, axes = plt.subplots(len(rows), 6, figsize=(8, 7), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
plt.show()
