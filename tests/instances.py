"""One instance of every public estimator, or more where its parameters change what it does.

They are small enough for scikit-learn's checks, which feed anything from 1 to 10 features.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch.nn import Linear

from ricsk import (
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    JPEGCodec,
    LearnableEncryptor,
    PixelEncryptor,
    PretrainedClassifier,
    PrivateClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    ViTClassifier,
)
from ricsk.attacks import (
    BruteForceAttack,
    CloudAttack,
    DecoderAttack,
    DisclosureBaseline,
    FRAttack,
    GANAttack,
    ITNAttack,
    JigsawAttack,
    KeyReuseAttack,
    KnownPlaintextAttack,
    LabelOnlyBaseline,
    LinearAttack,
    NeuraCryptAttack,
    SIAGANAttack,
)
from ricsk.baselines import (
    ArdenClassifier,
    ArdenEncoder,
    AVIHEncryptor,
    BinaryNetworkClassifier,
    CloakEncryptor,
    FeatureMapClassifier,
    HidingEncryptor,
    InstaHideClassifier,
    InstaHideEncryptor,
    LSBEncryptor,
    NeuraCryptClassifier,
    NeuraCryptEncoder,
)
from ricsk.cloud import CloudHalf, RemoteClassifier
from ricsk.encryptors import GroupEncryptor, PublishedRICEncryptor

KEY = SecretKey(bytes(range(32)))


class ReadsOne(LogisticRegression):
    """Reads every image as its first class: few pixels leave no room for masks of several."""

    def fit(self, X, y):
        super().fit(X, y)
        self.coef_ = np.zeros_like(self.coef_)
        self.intercept_ = -np.arange(1.0, len(self.intercept_) + 1)
        return self


ENCRYPTORS = [
    EtCEncryptor(KEY, block_size=1),
    EtCEncryptor(KEY, block_size=2, pad=True, per_block_keys=False),
    EtCEncryptor(KEY, block_size=2, pad=True, per_block_keys=False, sub_block_size=1),
    EtCEncryptor(KEY, block_size=1, grayscale=True),
    EtCEncryptor(KEY, block_size=1, variant="fugokidi2023"),
    EtCEncryptor(KEY, block_size=1, variant="madono2020"),
    PixelEncryptor(KEY),
    PixelEncryptor(KEY, per_image_keys=True),
    LearnableEncryptor(KEY, block_size=1),
    LearnableEncryptor(
        KEY,
        block_size=2,
        pad=True,
        per_block_keys=True,
        scramble_blocks=True,
        reversal="independent",
    ),
    InstaHideEncryptor(KEY, k=2),
    NeuraCryptEncoder(KEY, patch_size=1, width=4, depth=1),
]

# These need a classifier that is to read their ciphertexts, and labels if it is not frozen.
GUIDED_ENCRYPTORS = [
    RICEncryptor(KEY, LogisticRegression()),
    PublishedRICEncryptor(KEY, ReadsOne(), epochs=1, batch_size=512),
    SealedEncryptor(KEY, LogisticRegression()),
    SealedEncryptor(KEY, LogisticRegression(), appearance="compact", bit_planes=5, codec="raw"),
    CloakEncryptor(KEY, LogisticRegression(), epochs=1),
    AVIHEncryptor(KEY, LogisticRegression(), steps=1, width=1, key_steps=1),
    ArdenEncoder(KEY, CNNClassifier(width=4, depth=2, epochs=1, random_state=0)),
    # scikit-learn fits on integers from 0 to 2 as 8-bit values: steps of a level may not be large.
    SealedEncryptor(KEY, LogisticRegression(C=1e-4), match="proba", bit_planes=2),
]

KEYLESS_ENCRYPTORS = [
    TransformationNetworkEncryptor(LogisticRegression(), width=1, epochs=1, batch_size=32),
    LSBEncryptor(LogisticRegression()),
    HidingEncryptor(LogisticRegression(), "ddh", width=1, epochs=1, batch_size=64),
    GroupEncryptor({"only": PixelEncryptor(KEY)}),
]

CODECS = [JPEGCodec(), JPEGCodec(80, subsampling="4:4:4")]

# scikit-learn asks for some accuracy on 300 samples.
QUICK = {"epochs": 4, "batch_size": 32, "learning_rate": 0.1}
SMALL_CNN = {"width": 8, "depth": 1, **QUICK}
CLASSIFIERS = [
    CNNClassifier(**SMALL_CNN),
    ConvMixerClassifier(dim=8, depth=1, kernel_size=3, patch_size=1, **QUICK | {"epochs": 6}),
    BinaryNetworkClassifier((8,), epochs=2),
    FeatureMapClassifier(side=1, **SMALL_CNN),
    NeuraCryptClassifier(dim=8, n_heads=2, **QUICK | {"learning_rate": 0.05}),
    ViTClassifier(
        dim=16, depth=1, n_heads=2, patch_size=1, epochs=10, batch_size=32, learning_rate=0.03
    ),
    AdaptNetClassifier("ele", "cnn", block_size=1, **SMALL_CNN),
    AdaptNetClassifier(
        "le", block_size=1, depth=8, alpha=48, epochs=5, batch_size=32, learning_rate=0.05
    ),
    PrivateClassifier(EtCEncryptor(KEY, block_size=1), LogisticRegression()),
    PrivateClassifier(EtCEncryptor(KEY, block_size=1, flatten=True), LinearSVC()),
    PrivateClassifier(PixelEncryptor(KEY), CNNClassifier(**SMALL_CNN, random_state=0)),
    InstaHideClassifier(
        InstaHideEncryptor(KEY, k=2),
        CNNClassifier(width=8, depth=1, epochs=1, random_state=0),
        test_encodings=2,
    ),
    ArdenClassifier(
        ArdenEncoder(
            KEY, CNNClassifier(width=4, depth=2, epochs=1, random_state=0), split=0, epsilon=50
        ),
        FeatureMapClassifier(side=2, **SMALL_CNN, random_state=0),
    ),
]

# Like scikit-learn's frozen estimators these learn nothing from what `fit` is given.
PRETRAINED = [PretrainedClassifier(Linear(4, 3), classes=["a", "b", "c"])]

CLOUD_HALVES = [CloudHalf(LogisticRegression().fit(np.eye(4), [0, 0, 1, 1]))]

REMOTE = [RemoteClassifier("http://127.0.0.1:9", "nobody")]

# Not for accuracy: with a budget of 1 an attack does all that it does, once.
ATTACKS = [
    BruteForceAttack(keys=2),
    CloudAttack(LogisticRegression(), budget=1),
    DecoderAttack(),
    DisclosureBaseline(LogisticRegression(), budget=1),
    FRAttack(),
    GANAttack(budget=1),
    ITNAttack(n_keys=2, budget=1),
    JigsawAttack(),
    KeyReuseAttack(),
    KnownPlaintextAttack(budget=1),
    LabelOnlyBaseline(),
    LinearAttack(),
    NeuraCryptAttack(),
    SIAGANAttack(budget=1),
]
