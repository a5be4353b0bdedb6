"""One instance of every public estimator, or more where its parameters change what it does.

They are small enough for scikit-learn's checks, which feed anything from 1 to 10 features.
"""

from sklearn.linear_model import LogisticRegression

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    RICEncryptor,
    SecretKey,
    ViTClassifier,
)

KEY = SecretKey(bytes(range(32)))

ENCRYPTORS = [
    EtCEncryptor(KEY, block_size=1),
    EtCEncryptor(KEY, block_size=2, pad=True, per_block_keys=False),
    EtCEncryptor(KEY, block_size=2, pad=True, per_block_keys=False, sub_block_size=1),
    EtCEncryptor(KEY, block_size=1, grayscale=True),
    EtCEncryptor(KEY, block_size=1, variant="fugokidi2023"),
    EtCEncryptor(KEY, block_size=1, variant="madono2020"),
    PixelEncryptor(KEY),
    LearnableEncryptor(KEY, block_size=1),
    LearnableEncryptor(
        KEY,
        block_size=2,
        pad=True,
        per_block_keys=True,
        scramble_blocks=True,
        reversal="independent",
    ),
]

# These do not bring images back bit for bit.
LOSSY_ENCRYPTORS = [
    # Images of a few pixels have no room for a nonce, and need strong masks to be read as anything.
    RICEncryptor(KEY, LogisticRegression(), nonce="fixed", alpha=0.95, amplitude=1.0),
]

# scikit-learn asks for some accuracy on 300 samples.
CLASSIFIERS = [
    CNNClassifier(width=8, depth=1, epochs=8, batch_size=32, learning_rate=0.05),
    ConvMixerClassifier(
        dim=8, depth=1, kernel_size=3, patch_size=1, epochs=8, batch_size=32, learning_rate=0.05
    ),
    ViTClassifier(
        dim=16, depth=2, n_heads=2, patch_size=1, epochs=15, batch_size=32, learning_rate=0.01
    ),
    PrivateClassifier(EtCEncryptor(KEY, block_size=1), LogisticRegression()),
    PrivateClassifier(
        PixelEncryptor(KEY),
        CNNClassifier(
            width=8, depth=1, epochs=8, batch_size=32, learning_rate=0.05, random_state=0
        ),
    ),
]
