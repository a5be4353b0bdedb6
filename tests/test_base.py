"""What every encryptor keeps, shown on small ones."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline

from ricsk import (
    EtCEncryptor,
    JPEGCodec,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
)
from ricsk.base import EncryptorTags, get_encryptor_tags
from ricsk.datasets import load_digits

KEY, OTHER = SecretKey(bytes(32)), SecretKey(bytes(range(32)))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("encryptor", "tags"),
    [
        (EtCEncryptor(), EncryptorTags("ciphertexts")),
        (EtCEncryptor(variant="madono2020"), EncryptorTags("ciphertexts", recoverable=False)),
        (RICEncryptor(), EncryptorTags("plain", discloses="label")),
        (SealedEncryptor(match="proba"), EncryptorTags("plain", discloses="proba")),
        (
            SealedEncryptor(nonce="random"),
            EncryptorTags("plain", deterministic=False, discloses="label"),
        ),
        (
            TransformationNetworkEncryptor(),
            EncryptorTags("plain", keyed=False, recoverable=False, discloses="label"),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tags_say_the_facts_about_a_scheme(encryptor, tags):
    assert get_encryptor_tags(encryptor) == tags
    assert get_encryptor_tags(FrozenEstimator(encryptor)) == tags
    assert hasattr(encryptor, "inverse_transform") == tags.recoverable
    assert hasattr(encryptor, "with_key") == hasattr(encryptor, "key") == tags.keyed


@pytest.mark.parametrize("thing", [LogisticRegression(), "EtC", None, JPEGCodec()], ids=str)
def test_what_is_not_an_encryptor_has_no_tags(thing):
    with pytest.raises(TypeError, match="is not a ricsk encryptor"):
        get_encryptor_tags(thing)


def test_with_key_changes_nothing_but_the_key():
    encryptor = EtCEncryptor(KEY, block_size=2).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    other = encryptor.with_key(OTHER)
    expected = EtCEncryptor(OTHER, block_size=2).fit_transform(IMAGES)
    np.testing.assert_array_equal(other.transform(IMAGES), expected)
    np.testing.assert_array_equal(encryptor.transform(IMAGES), C)
    with pytest.raises(NotFittedError):
        EtCEncryptor(KEY).with_key(OTHER)


class Interrupted(PixelEncryptor):
    def _fit_scheme(self, batch, y):
        super()._fit_scheme(batch, y)
        raise KeyboardInterrupt


def test_an_interrupted_fit_leaves_nothing():
    encryptor = Interrupted(KEY)
    with pytest.raises(KeyboardInterrupt):
        encryptor.fit(IMAGES)
    assert vars(encryptor).keys() == vars(Interrupted(KEY)).keys()
    with pytest.raises(NotFittedError):
        encryptor.transform(IMAGES)


def test_a_failed_fit_leaves_what_was_learnt_before():
    encryptor = PixelEncryptor(KEY).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    with pytest.raises(ValueError, match="4 channels"):
        encryptor.fit(np.zeros((2, 8, 8, 4)))
    np.testing.assert_array_equal(encryptor.transform(IMAGES), C)


def test_a_second_fit_forgets_the_first():
    flat = IMAGES.reshape(6, -1)
    encryptor = PixelEncryptor(KEY, image_shape=(8, 8, 3))
    encryptor.fit(pd.DataFrame(flat, columns=[f"x{i}" for i in range(192)]))
    assert hasattr(encryptor, "feature_names_in_")
    assert not hasattr(encryptor.fit(flat), "feature_names_in_")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("transformer", [PixelEncryptor(KEY), JPEGCodec()], ids=str)
def test_images_stay_arrays_where_tables_are_asked_for(transformer, library):
    expected = clone(transformer).fit(IMAGES).transform(IMAGES)
    with config_context(transform_output=library):
        np.testing.assert_array_equal(clone(transformer).fit(IMAGES).transform(IMAGES), expected)
        np.testing.assert_array_equal(clone(transformer).fit_transform(IMAGES), expected)
        found = clone(transformer).fit_transform(IMAGES[..., 0].reshape(6, -1))
    assert type(found).__module__.startswith(library)
    assert list(found.columns) == [f"{type(transformer).__name__.lower()}{i}" for i in range(64)]
    own = clone(transformer).set_output(transform=library)
    np.testing.assert_array_equal(own.fit(IMAGES).transform(IMAGES), expected)


def test_flatten_gives_rows_and_takes_them_back():
    encryptor = PixelEncryptor(KEY, flatten=True).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    expected = PixelEncryptor(KEY).fit_transform(IMAGES)
    np.testing.assert_array_equal(C, expected.reshape(6, -1))
    assert list(encryptor.get_feature_names_out())[-1] == "pixelencryptor191"
    for ciphertexts in (C, expected):
        np.testing.assert_array_equal(encryptor.inverse_transform(ciphertexts), IMAGES)
    encryptor.set_params(flatten=False)
    assert pickle.loads(pickle.dumps(encryptor)).transform(IMAGES).ndim == 2
    grey = PixelEncryptor(KEY, flatten=True).fit(IMAGES[..., 0])
    restored = grey.inverse_transform(grey.transform(IMAGES[..., 0]))
    np.testing.assert_array_equal(restored, IMAGES[..., 0])


@pytest.mark.parametrize(
    "encryptor", [PixelEncryptor(KEY), EtCEncryptor(KEY, block_size=4)], ids=str
)
def test_images_and_rows_score_alike_in_a_pipeline(encryptor):
    X, y = load_digits(size=16)
    X, y = X[:300], y[:300]
    classifier = LogisticRegression(max_iter=300)
    flat = X.reshape(len(X), -1)
    told = clone(encryptor).set_params(image_shape=(16, 16))
    flattening = clone(encryptor).set_params(flatten=True)
    scores = [
        cross_val_score(make_pipeline(step, classifier), images / 255, y, cv=3)
        for step, images in ((encryptor, flat), (told, flat), (flattening, X))
    ]
    np.testing.assert_allclose(scores[0], scores[1])
    np.testing.assert_allclose(scores[0], scores[2])
    assert scores[0].mean() > 0.85


class Unlabelled(BaseEstimator):
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Announced(ClassifierMixin, Unlabelled):
    """A classifier that was given its classes, and needs no fit."""

    classes_ = np.arange(2)

    def predict_proba(self, X):
        share = np.asarray(X, float).reshape(len(X), -1).mean(axis=1) / 255
        return np.stack([1 - share, share], axis=1)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


GREY = np.random.default_rng(0).integers(0, 2, (20, 24, 24), np.uint8)  # they fit into a seal


@pytest.mark.parametrize("kind", [SealedEncryptor, RICEncryptor])
@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (LinearRegression(), "is a regressor; expected a classifier"),
        (FrozenEstimator(LinearRegression()), "is a regressor"),
        (KMeans(3), "is a clusterer"),
        (IsolationForest(), "is an outlier detector"),
        (Unlabelled(), "is not a classifier"),
        (Pipeline([("only", LinearRegression())]), "is a regressor"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_classifier_is_told_so(kind, classifier, message):
    with pytest.raises(TypeError, match=message):
        kind(KEY, classifier).fit(GREY, np.arange(20) % 2)


@pytest.mark.parametrize("kind", [SealedEncryptor, RICEncryptor])
def test_a_classifier_frozen_before_it_was_fitted_is_told_so(kind):
    with pytest.raises(NotFittedError, match="is frozen, but was never fitted"):
        kind(KEY, FrozenEstimator(LogisticRegression())).fit(GREY)


def test_a_classifier_that_needs_no_fit_may_be_frozen():
    encryptor = SealedEncryptor(KEY, FrozenEstimator(Announced())).fit(GREY)
    assert encryptor.classes_.tolist() == [0, 1]


def test_ciphertexts_come_back_batch_by_batch():
    encryptor = PixelEncryptor(KEY).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    parts = list(encryptor.inverse_transform_batches(C, batch_size=4))
    assert [len(part) for part in parts] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(parts), IMAGES)
    both = encryptor.inverse_transform_batches(encryptor.transform_batches(IMAGES, batch_size=4))
    np.testing.assert_array_equal(np.concatenate(list(both)), IMAGES)
    assert not hasattr(EtCEncryptor(variant="madono2020"), "inverse_transform_batches")
    with pytest.raises(NotFittedError):
        next(PixelEncryptor(KEY).inverse_transform_batches(C))


@pytest.mark.parametrize("given", [list, tuple])
def test_lists_of_images_and_of_batches_are_told_apart(given):
    encryptor = PixelEncryptor(KEY).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    images = list(encryptor.transform_batches(given(IMAGES), batch_size=4))
    assert [len(part) for part in images] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(images), C)
    batches = list(encryptor.transform_batches(given(np.split(IMAGES, 3)), batch_size=1))
    assert [len(part) for part in batches] == [2, 2, 2]
    mixed = [IMAGES[0], IMAGES[1, :4], IMAGES[2]]
    first, second = encryptor.transform_batches(mixed, batch_size=2)
    assert [image.shape for image in first] == [(8, 8, 3), (4, 8, 3)]
    np.testing.assert_array_equal(second, C[2:3])
    grey = PixelEncryptor(KEY).fit(IMAGES[..., 0])
    assert len(list(grey.transform_batches(list(IMAGES[..., 0]), batch_size=4))) == 2
    assert len(list(grey.transform_batches(np.split(IMAGES[..., 0], 3)))) == 3


def test_progress_tells_rate_and_time_left(capsys):
    encryptor = PixelEncryptor(KEY).fit(IMAGES)
    C = np.concatenate(list(encryptor.transform_batches(IMAGES, batch_size=4, verbose=1)))
    list(encryptor.inverse_transform_batches(C, batch_size=4, verbose=1))
    shown = capsys.readouterr().err
    for part in ("encrypting", "decrypting", "6/6", "image/s", "<00:00"):
        assert part in shown
    list(encryptor.transform_batches(IMAGES))
    assert capsys.readouterr().err == ""


class Interrupting(LogisticRegression):
    left = 10**9

    def predict(self, X):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().predict(X)


@pytest.mark.parametrize("kind", [RICEncryptor, SealedEncryptor])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_an_interrupted_transform_leaves_no_half_done_state(kind, left, monkeypatch):
    X = np.random.default_rng(0).integers(0, 60, (12, 24, 24, 1), np.uint8) // 20
    classifier = Interrupting(max_iter=500).fit(X.reshape(12, -1), np.arange(12) % 2)
    encryptor = kind(KEY, FrozenEstimator(classifier), kappa=0).fit(X)
    before = pickle.dumps(encryptor)

    def encrypt_three_times(encrypt):
        for _ in range(3):
            list(encrypt(X))

    for encrypt in (encryptor.transform, encryptor.transform_batches):
        monkeypatch.setattr(Interrupting, "left", left)
        with pytest.raises(KeyboardInterrupt):
            encrypt_three_times(encrypt)
    monkeypatch.undo()
    fresh = pickle.loads(before)
    np.testing.assert_array_equal(encryptor.transform(X), fresh.transform(X))
    assert vars(encryptor).keys() - vars(fresh).keys() <= encryptor._derived
    assert encryptor.templates_.levels.keys() == fresh.templates_.levels.keys()
