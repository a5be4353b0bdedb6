"""
How much mask? What a search over RIC's alpha can choose
========================================================

RIC mixes an image with a mask: a share of 1 − α of the image, and α of the mask. The weights serve
every α, so `sklearn.model_selection.GridSearchCV` can try many values without training anything.
What do its scores say, and what do they not say?
"""

# %%
# A classifier of plain digits, and a search over α with the three scores of
# `ricsk.metrics.encryption_scores`.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from ricsk import RICEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.metrics import encryption_scores
from ricsk.plotting import plot_round_trip

X, y = load_digits(size=16)
X = X.reshape(len(X), -1) / 255
X_test, y_test = X[1000:1100], y[1000:1100]
classifier = LogisticRegression(max_iter=1000).fit(X[:1000], y[:1000])
frozen = FrozenEstimator(classifier)
encryptor = RICEncryptor(SecretKey.generate(), frozen, image_shape=(16, 16))

alphas = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
search = GridSearchCV(
    Pipeline([("enc", encryptor), ("clf", frozen)]),
    {"enc__alpha": alphas},
    scoring=encryption_scores,
    refit=False,
    cv=2,
).fit(X_test, y_test)

names = {
    "param_enc__alpha": "alpha",
    "mean_test_recovery_psnr": "recovery, dB",
    "mean_test_prediction_agreement": "agreement",
    "mean_test_noise_likeness_score": "noise likeness",
}
table = pd.DataFrame(search.cv_results_)[list(names)].rename(columns=names)

# %%
# A fourth figure, which is not among the scores. The margin of a ciphertext is by how much the
# classifier prefers its label to the next one; the least margin of all ciphertexts says how little
# it takes to change a prediction.


def find_least_margin(alpha):
    C = encryptor.set_params(alpha=alpha).fit(X_test).transform(X_test)
    scores = np.sort(classifier.decision_function(C))
    return np.min(scores[:, -1] - scores[:, -2])


table["least margin"] = [find_least_margin(alpha) for alpha in alphas]
print(table.to_string(index=False, float_format="%.2f"))

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
axes[0].plot(table["alpha"], table["recovery, dB"], "o-")
axes[0].set(ylabel="recovery, dB", ylim=(0, 60))
axes[1].plot(table["alpha"], table["agreement"], "o-", label="agreement")
axes[1].plot(table["alpha"], table["noise likeness"], "s-", label="noise likeness")
axes[1].set(ylabel="score", ylim=(0, 1.1))
axes[1].legend(loc="lower left")
axes[2].plot(table["alpha"], table["least margin"], "o-")
axes[2].set(ylabel="least margin", ylim=(0, None))
for ax in axes:
    ax.set(xlabel="alpha", xlim=(0.45, 1))
plt.show()

# %%
# *What moves with α.* Recovery falls, because less of the image is left above the rounding to 8
# bits. The least margin grows, because more of the mask's class pattern is there: predictions
# survive more, such as the arithmetic of another machine. Below some α, which is near 0.2 here,
# there are images without any ciphertext that the classifier reads as it reads the image.
#
# *What does not.* Agreement is 1 at every α. It cannot be anything else: an encryptor that cannot
# keep a prediction raises an error instead of returning a ciphertext. Noise likeness says how
# little a ciphertext correlates with its image; it falls a little, because the class pattern in
# the mask resembles images of the class.
#
# *What is missing.* A larger mask is there to hide more, and none of these figures measures that.
# A search that maximises recovery takes the smallest α, and one that maximises agreement takes the
# first. So use the search to find the range of α that recovers your images well enough, and choose
# within the range by attacks on your images, with `ricsk.audit.audit`.
#
# To see what α does, leave out the scrambling that hides shapes at any α:

unscrambled = {
    f"α = {alpha}": RICEncryptor(
        SecretKey.generate(), frozen, alpha=alpha, scramble=False, image_shape=(16, 16)
    ).fit(X_test)
    for alpha in (0.5, 0.7, 0.9)
}
plot_round_trip(unscrambled, X_test[:1])
plt.show()
