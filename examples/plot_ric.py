"""
RIC: noise that an untouched classifier reads
=============================================

For classifiers that stay as they are: an image under a pad from the key, mixed with a noise-like
adversarial example of its class. The key takes both off again, closely. The ciphertexts travel as
PNG files here, and the encryptor as a joblib file that refers to the key's file.
"""

# %%
# At the owner.

import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, RICEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.metrics import psnr
from ricsk.plotting import plot_round_trip

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)

X, y = load_digits(size=32)
X_train, X_test, y_test = X[:1000], X[1000:1040], y[1000:1040]
classifier = CNNClassifier(width=8, epochs=4, random_state=0).fit(X_train, y[:1000])
key = SecretKey.generate().save(path / "images.key")
encryptor = RICEncryptor(key, FrozenEstimator(classifier)).fit(X_train)
for i, ciphertext in enumerate(encryptor.transform(X_test)):
    Image.fromarray(ciphertext.squeeze()).save(path / f"{i:03}.png")

# %%
# The templates of the classes were made meanwhile, and are stored with the encryptor. Decryption
# needs them, and no classifier.

encryptor.classifier = encryptor.classifier_ = None
joblib.dump(encryptor, path / "encryptor.joblib")

# %%
# At the cloud, which has the files and the classifier.

C = np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])[..., np.newaxis]
print(f"accuracy on plain images {classifier.score(X_test, y_test):.2f}")
print(f"accuracy on ciphertexts  {classifier.score(C, y_test):.2f}")
print(f"same prediction: {np.mean(classifier.predict(C) == classifier.predict(X_test)):.0%}")

# %%
# At the owner again, in another session. The joblib file holds no key, only where its file is.

again = joblib.load(path / "encryptor.joblib")
X_back = again.inverse_transform(C)
decibels = psnr(X_test, X_back)
print(f"recovered at {decibels.mean():.1f} dB, the worst at {decibels.min():.1f}")
folder.cleanup()

# %%
# A wrong key gives noise, and a warning. Recovery is close, not exact.

encryptor = RICEncryptor(SecretKey.generate(), FrozenEstimator(classifier)).fit(X_train)
plot_round_trip(encryptor, X_test[:3])
plt.show()
