"""What was fitted decides alone: parameters act at the next fit, in memory and on disk."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone

from ricsk import AdaptNetClassifier, CNNClassifier, ConvMixerClassifier, ViTClassifier
from tests.classifiers.test_classifiers import X_TEST, X, y

SMALL = {"epochs": 1, "batch_size": 16, "random_state": 0}
CLASSIFIERS = {
    "cnn": CNNClassifier(width=8, depth=2, **SMALL),
    "convmixer": ConvMixerClassifier(dim=8, depth=1, kernel_size=3, **SMALL),
    "vit": ViTClassifier(dim=8, depth=1, n_heads=2, patch_size=4, **SMALL),
    "adaptnet": AdaptNetClassifier("ele", depth=8, alpha=6, **SMALL),
    "adaptnet cnn": AdaptNetClassifier("le", "cnn", depth=2, width=8, **SMALL),
}
OTHERS = {
    "adaptation": "tanaka",
    "alpha": 12,
    "augmentation": "plain",
    "backbone": "shakepyramid",
    "batch_size": 2,
    "block_size": 2,
    "checkpoint": "elsewhere",
    "clip": None,
    "depth": 9,
    "device": "cuda:7",
    "dim": 24,
    "early_stopping": True,
    "epochs": 99,
    "image_shape": (4, 16, 3),
    "kernel_size": 5,
    "learning_rate": 3.0,
    "mlp_ratio": 3,
    "n_heads": 3,
    "n_iter_no_change": 1,
    "optimizer": "sgd",
    "patch_size": 1,
    "random_state": 7,
    "schedule": "steps",
    "validation_fraction": 0.5,
    "verbose": 1,
    "weight_decay": 3.0,
    "width": 3,
}


@pytest.fixture(scope="module", params=CLASSIFIERS)
def fitted(request):
    return clone(CLASSIFIERS[request.param]).fit(X, y)


def through_joblib(classifier):
    file = io.BytesIO()
    joblib.dump(classifier, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(classifier):
    data = skops.io.dumps(classifier)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


COPIES = {
    "itself": lambda classifier: classifier,
    "deepcopy": copy.deepcopy,
    "pickle": lambda classifier: pickle.loads(pickle.dumps(classifier)),
    "joblib": through_joblib,
    "skops": through_skops,
}


def answers(classifier):
    flat = X_TEST.reshape(len(X_TEST), -1)
    for images in (X_TEST, X_TEST / 255, flat):
        yield classifier.predict(images)
        yield classifier.predict_proba(images)
        yield classifier.decision_function(images)
        yield classifier.features(images)


@pytest.mark.parametrize("way", COPIES)
def test_parameters_set_after_fit_change_nothing(way, fitted):
    changed = copy.deepcopy(fitted)
    names = changed.get_params()
    changed.set_params(**{name: OTHERS[name] for name in names})
    other = COPIES[way](changed)
    assert all(
        other.get_params()[name] != fitted.get_params()[name] or name == "backbone"
        for name in names
    )
    for one, expected in zip(answers(other), answers(fitted), strict=True):
        assert_array_equal(one, expected)
    weights = other.module_.state_dict()
    for name, tensor in fitted.module_.state_dict().items():
        assert torch.equal(weights[name], tensor)


def test_they_act_at_the_next_fit():
    classifier = clone(CLASSIFIERS["cnn"]).fit(X, y)
    classifier.set_params(width=4, batch_size=8).fit(X, y)
    assert classifier.network_config_["width"] == 4
    assert classifier.features(X_TEST).shape == (40, 8)


# Images of any form


def memory_mapped(images, path):
    np.save(path, images)
    return np.load(path, mmap_mode="r")


FORMS = {
    "reversed channels": lambda a, _: a[..., ::-1],
    "Fortran order": lambda a, _: np.asfortranarray(a),
    "memory-mapped": lambda a, path: memory_mapped(a, path / "images.npy"),
    "reversed and memory-mapped": lambda a, path: memory_mapped(a, path / "x.npy")[:, ::-1, ::-1],
    "big-endian integers": lambda a, _: a.astype(">i8"),
    "big-endian floats": lambda a, _: (a / 255).astype(">f4"),
    "reversed floats": lambda a, _: (a / 255)[:, :, ::-1],
}


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("form", [*FORMS, "one reversed channel"])
def test_images_may_be_in_memory_as_they_like(form, name, tmp_path):
    images = FORMS[form](X, tmp_path) if form in FORMS else X[..., :1][..., ::-1]
    plain = np.array(images, images.dtype.newbyteorder("="), order="C")
    found = clone(CLASSIFIERS[name]).fit(images, y.astype(">i8"))
    expected = clone(CLASSIFIERS[name]).fit(plain, y)
    assert_array_equal(found.decision_function(images), expected.decision_function(plain))
    assert_array_equal(found.predict(images), expected.predict(plain))
