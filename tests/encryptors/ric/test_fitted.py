"""What was fitted decides, whatever becomes of parameters, arrays and keys."""

import copy
import pickle

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import RICEncryptor, SecretKey

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))


def bright_bands(n=60, size=8, n_channels=3, n_classes=3):
    """Draw images of which one band of columns is bright: the label."""
    rng, y = np.random.default_rng(0), np.arange(n) % n_classes
    X = rng.integers(0, 60, (n, size, size, n_channels), dtype=np.uint8)
    width = size // n_classes
    for image, label in zip(X, y, strict=True):
        image[:, width * label : width * (label + 1)] += 110
    return X, y


X, Y = bright_bands()
LINEAR = LogisticRegression(C=1e-3, max_iter=1000)
FROZEN = FrozenEstimator(clone(LINEAR).fit(X.reshape(60, -1), Y))

# For each parameter, what a fitted encryptor must not look at any more.
LATER = {
    "key": OTHER,
    "classifier": None,
    "alpha": 0.3,
    "kappa": 0.0,
    "nonce": "random",
    "templates": "eager",
    "weights": None,
    "epochs": 1,
    "batch_size": 1,
    "learning_rate": 1.0,
    "image_shape": (1, 1),
    "value_range": (5, 6),
    "flatten": True,
    "device": "nowhere",
    "random_state": 1,
}
SCHEMES = {
    "default": {},
    "all templates": {"templates": "eager", "alpha": 0.5},
    "trained": {"weights": None, "epochs": 1, "random_state": 0, "kappa": 0.1},
}
every_scheme = pytest.mark.parametrize("parameters", SCHEMES.values(), ids=SCHEMES)


def reload_skops(estimator):
    dumped = skops.io.dumps(estimator)
    return skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))


def different(value):
    return {"eager": "lazy", None: "pretrained"}.get(value, value)


@every_scheme
def test_parameters_act_at_the_next_fit(parameters, capsys):
    ric = RICEncryptor(KEY, FROZEN, **parameters).fit(X)
    C, other_C = ric.transform(X[:5]), ric.with_key(OTHER).transform(X[:5])
    X_back = ric.inverse_transform(C)
    given = ric.get_params(deep=False)
    # verbose and n_jobs act at once, and change nothing that comes out
    assert set(LATER) == set(given) - {"verbose", "n_jobs"}
    later = {
        name: different(value) if given[name] == value else value for name, value in LATER.items()
    }
    ric.set_params(**later)
    copies = [ric, pickle.loads(pickle.dumps(ric)), copy.deepcopy(ric), reload_skops(ric)]
    for same in copies:
        assert same.get_params(deep=False)["alpha"] == 0.3
        np.testing.assert_array_equal(same.transform(X[:5]), C)
        np.testing.assert_array_equal(same.inverse_transform(C), X_back)
        np.testing.assert_array_equal(same.with_key(OTHER).transform(X[:5]), other_C)
        np.testing.assert_array_equal(same.with_key(KEY).transform(X[:5]), C)
    assert capsys.readouterr() == ("", "")


def test_parameters_do_act_at_the_next_fit():
    ric = RICEncryptor(KEY, FROZEN).fit(X)
    C = ric.transform(X[:5])
    assert not np.array_equal(ric.set_params(alpha=0.7).fit(X).transform(X[:5]), C)
    assert ric.alpha_ == 0.7


@every_scheme
def test_another_key_is_as_if_fitted_with_it(parameters):
    ric = RICEncryptor(KEY, FROZEN, **parameters).fit(X)
    expected = RICEncryptor(OTHER, FROZEN, **parameters).fit(X)
    if "weights" in parameters:  # trained without the key
        assert expected.network_weights_ == ric.network_weights_
    other = ric.with_key(OTHER)
    np.testing.assert_array_equal(other.transform(X[:5]), expected.transform(X[:5]))
    C = ric.transform(X[:5])
    assert not np.array_equal(other.transform(X[:5]), C)
    np.testing.assert_array_equal(other.with_key(KEY).transform(X[:5]), C)


def test_loading_draws_no_random_numbers():
    import torch

    dumped = pickle.dumps(RICEncryptor(KEY, FROZEN).fit(X))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    pickle.loads(dumped)
    assert torch.rand(1) == expected


def save(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


def freeze(images):
    images = images.copy()
    images.setflags(write=False)
    return images


LAYOUTS = {
    "reversed channels": lambda images, _: images[..., ::-1].copy()[..., ::-1],
    "reversed images": lambda images, _: images[::-1].copy()[::-1],
    "every other column": lambda images, _: images.repeat(2, axis=2)[:, :, ::2],
    "Fortran order": lambda images, _: np.asfortranarray(images),
    "channels first in memory": lambda images, _: np.moveaxis(
        np.moveaxis(images, -1, 1).copy(), 1, -1
    ),
    "read-only": lambda images, _: freeze(images),
    "memory map": save,
    "big-endian": lambda images, _: images.astype(images.dtype.newbyteorder(">"))[::-1].copy()[
        ::-1
    ],
}
DTYPES = {
    "uint8": X,
    "int32": X.astype(np.int32),
    "float32": (X / 255).astype(np.float32),
    "float64": X / 255,
}
every_dtype = pytest.mark.parametrize("images", DTYPES.values(), ids=DTYPES)


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_in_memory_does_not_matter(images, layout, tmp_path):
    parameters = {"weights": None, "epochs": 1, "random_state": 0}
    view = layout(images, tmp_path)
    np.testing.assert_array_equal(view, images)
    copied = np.array(view, order="C")
    expected = RICEncryptor(KEY, LINEAR, **parameters).fit(copied, Y)
    C = expected.transform(copied)
    ric = RICEncryptor(KEY, LINEAR, **parameters).fit(view, Y)
    assert ric.losses_ == expected.losses_
    found = ric.transform(view)
    assert found.dtype == view.dtype
    np.testing.assert_array_equal(found, C)
    X_back = ric.inverse_transform(layout(C, tmp_path))
    np.testing.assert_array_equal(X_back, expected.inverse_transform(C))


@every_dtype
def test_nor_does_the_order_of_bytes(images):
    frozen = FrozenEstimator(clone(LINEAR).fit(images.reshape(60, -1), Y))
    swapped = images.astype(images.dtype.newbyteorder(">"))
    expected = RICEncryptor(KEY, frozen).fit(images).transform(images)
    found = RICEncryptor(KEY, frozen).fit(swapped).transform(swapped)
    assert found.dtype == swapped.dtype
    np.testing.assert_array_equal(found, expected)
