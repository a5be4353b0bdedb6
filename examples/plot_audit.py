"""
Audit two schemes on your own images
====================================

EtC scrambles blocks; a sealed image is noise with an encrypted image in its low bits. The same
adversaries attack both with the same effort, and the audit says what each got back.
"""

# %%
# The images to protect, a classifier, and two schemes. Take your own images here.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, EtCEncryptor, SealedEncryptor, SecretKey
from ricsk.attacks import (
    DistinguishingGame,
    FRAttack,
    IdentificationAttack,
    JigsawAttack,
    LinearAttack,
)
from ricsk.audit import audit
from ricsk.datasets import make_street_numbers

X, y = make_street_numbers(700, random_state=0)
classifier = FrozenEstimator(CNNClassifier(width=8, epochs=2, random_state=0).fit(X[:400], y[:400]))
X, y = X[400:], y[400:]
key = SecretKey.generate()
schemes = {"EtC": EtCEncryptor(key, block_size=4), "sealed": SealedEncryptor(key, classifier)}

# %%
# The attacks. Without this list, all that apply are run, and among them are networks that have to
# be trained. Give them more effort by ``budget="thorough"`` before you trust a scheme: an
# adversary would, too.

attacks = [
    DistinguishingGame(n_ciphertexts=100),
    IdentificationAttack(n_references=5),
    JigsawAttack(),
    LinearAttack(),
    FRAttack("chosen"),
]
result = audit(schemes, X, y, attacks, classifier=classifier, n_targets=40, random_state=0)
print(result.verdict)

# %%
# The first two attacks draw no picture. "advantage" says how well an adversary tells ciphertexts of
# two images apart: 0 is a coin, and 1 is always right. "named" is the share of ciphertexts whose
# image is the first guess from a list. Something was found if "chance" lies outside of the
# confidence interval, from "low" to "high".

told = ["scheme", "attack", "advantage", "named", "chance", "low", "high"]
print(result.table.dropna(subset="chance")[told].to_string(index=False, float_format="%.2f"))

# %%
# The others draw pictures. "gain" is how much more similar (in SSIM) a reconstruction is than a
# picture of the class, which anybody can draw; "reidentified" is the share of reconstructions whose
# own image is the nearest of all.

columns = ["scheme", "attack", "finding", "gain", "reidentified"]
print(result.table.dropna(subset="gain")[columns].to_string(index=False, float_format="%.2f"))

# %%
# What the attacks made of one image: the same list against both schemes.

figure, axes = plt.subplots(2, 5, figsize=(10, 4.4), layout="constrained")
for line, scheme in zip(axes, result.schemes, strict=True):
    line[0].set_ylabel(scheme.scheme)
    shown = {"ciphertext": scheme.ciphertexts}
    shown |= {run.attack.split("(")[0]: run.reconstructions for run in scheme.runs}
    for ax, (name, images) in zip(line, shown.items(), strict=False):
        ax.imshow(images[0])
        ax.set_title(name, fontsize="small")
        ax.set(xticks=[], yticks=[])
    for ax in line[len(shown) :]:
        ax.set_axis_off()
plt.show()

# %%
# The whole report is one HTML file that needs no other file. What the schemes cost (accuracy,
# milliseconds, bytes, keys) is a question for `ricsk.audit.compare`.

with tempfile.TemporaryDirectory() as folder:
    report = result.to_html(Path(folder) / "audit.html")
    print(f"the report has {report.stat().st_size / 1000:.0f} kB")
