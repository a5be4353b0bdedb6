"""
How much mask? The smallest alpha that survives the way
=======================================================

RIC mixes a padded image with a mask: a share of 1 − α of the one, and α of the other. The pad
hides the image at any α, so α is not about secrecy. Small ones recover the image better; large ones
keep a larger margin for what happens to ciphertexts before the classifier reads them. So name what
happens, and take the smallest α that survives it.
"""

# %%
# Here the classifier's side stores images as JPEG files of quality 90, halves them for a preview
# that it enlarges again, and computes in bfloat16. Decryption needs the ciphertexts as they were
# made; what arrives is for the classifier only.

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from ricsk import CNNClassifier, JPEGCodec, RICEncryptor, SecretKey
from ricsk.datasets import make_street_numbers
from ricsk.metrics import (
    AgreementAfter,
    cast_to_bfloat16,
    least_margin,
    recovery_psnr,
    resize_and_back,
)

X, y = make_street_numbers(1400, size=32, random_state=0)
classifier = CNNClassifier(width=16, depth=3, epochs=6, random_state=0).fit(X[:1200], y[:1200])
frozen = FrozenEstimator(classifier)
pipeline = Pipeline([("enc", RICEncryptor(SecretKey.generate(), frozen)), ("clf", frozen)])

scoring = {
    "recovery": recovery_psnr,
    "margin": least_margin,
    "bfloat16": AgreementAfter(cast_to_bfloat16),
    "jpeg": AgreementAfter(JPEGCodec(quality=90, subsampling="4:4:4")),
    "resize": AgreementAfter(partial(resize_and_back, scale=0.5)),
}
alphas = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
X_test, y_test = X[1200:], y[1200:]


def choose(results):
    """Take the smallest alpha of which all ciphertexts survive JPEG."""
    table = pd.DataFrame(results).sort_values("param_enc__alpha")
    survived = table["mean_test_jpeg"] >= 0.99
    return (table[survived] if survived.any() else table[-1:]).index[0]


search = GridSearchCV(pipeline, {"enc__alpha": alphas}, scoring=scoring, refit=choose, cv=2)
search.fit(X_test, y_test)

table = pd.DataFrame(search.cv_results_).set_index("param_enc__alpha")
table = table[[f"mean_test_{name}" for name in scoring]]
table.columns = list(scoring)
print(table.to_string(float_format="%.3f"))
print("chosen:", search.best_params_)

# %%
# Where the classifier reads most noise as one class, a small α leaves the template too little to
# say, and `transform` raises an error: the row has no score.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
axes[0].plot(table["recovery"], "o-")
axes[0].set(ylabel="recovery, dB", ylim=(0, 60))
axes[1].plot(table["margin"], "o-")
axes[1].set(ylabel="least margin", ylim=(0, None))
for name, marker in (("bfloat16", "o"), ("jpeg", "s"), ("resize", "^")):
    axes[2].plot(table[name], f"{marker}-", label=name)
axes[2].set(ylabel="agreement after transport", ylim=(0, 1.05))
axes[2].legend(loc="lower right")
for ax in axes:
    ax.axvline(search.best_params_["enc__alpha"], color="0.8", zorder=0)
    ax.set(xlabel="alpha", xlim=(0.45, 1))
plt.show()

# %%
# *What moves with α.* Recovery falls, because less of the image is left above the rounding to 8
# bits. The least margin grows, because more of the class's template is there, and so predictions
# survive more on the way. The grey line is the α that was chosen.
#
# *What does not.* Agreement without a transport is 1 at every α: an encryptor that cannot keep a
# prediction raises an error instead of returning a ciphertext. And nothing here is about secrecy,
# which does not depend on α: see :ref:`the argument <guide-ric>`.
