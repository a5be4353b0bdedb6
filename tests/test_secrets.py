"""Keys given where none belongs: they show nowhere."""

import pickle
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from ricsk import (
    AdaptNetClassifier,
    EtCEncryptor,
    JPEGCodec,
    PixelEncryptor,
    PrivateClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    adapt_to_key,
)
from ricsk._secrets import holds_key, show_object, show_value
from ricsk.attacks import LinearAttack
from ricsk.audit import audit
from ricsk.base import get_encryptor_tags
from ricsk.datasets import load_folder
from ricsk.images import check_images
from ricsk.nae import view_classifier
from ricsk.plotting import plot_patch_embeddings, plot_round_trip
from tests.instances import (
    ATTACKS,
    CLASSIFIERS,
    CLOUD_HALVES,
    CODECS,
    ENCRYPTORS,
    GUIDED_ENCRYPTORS,
    KEY,
    KEYLESS_ENCRYPTORS,
)
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret, shows_secret

SECRETS = {
    "text": SECRET_TEXT,
    "text as a path": Path(SECRET_TEXT),
    "text of a key file": f"# note\n{SECRET_TEXT}\n",
    "bytes": SECRET,
    "half of the bytes": SECRET[:16],
    "bytearray": bytearray(SECRET),
    "memoryview": memoryview(SECRET),
    "list": list(SECRET),
    "tuple": tuple(SECRET),
    "nested list": [list(SECRET)],
    "list of bytes": [SECRET],
    "dict": {"key": SECRET},
    "set": {SECRET},
    "array": np.frombuffer(SECRET, np.uint8),
    "one row": np.frombuffer(SECRET, np.uint8)[None],
    "two-dimensional array": np.frombuffer(SECRET, np.uint8).reshape(4, 8),
    "array without dimensions": np.array(SECRET),
    "tensor": torch.tensor(list(SECRET)),
    "int": int.from_bytes(SECRET),
}
HARMLESS = [
    *(None, 3, -1, 2**32, 0.5, float("inf"), np.int64(7), np.float32(0.5), "fugokidi2023", ""),
    *("a long path/to a checkpoint.pt", (32, 32, 3), [1], {}, np.array([1.0, 4.0]), KEY),
    *(LogisticRegression(), LogisticRegression, torch.nn.Linear(99, 99), print),
]
ESTIMATORS = {
    type(estimator): estimator
    for estimator in (
        *ENCRYPTORS,
        *GUIDED_ENCRYPTORS,
        *KEYLESS_ENCRYPTORS,
        *CODECS,
        *CLASSIFIERS,
        *CLOUD_HALVES,
        *ATTACKS,
    )
}
PARAMETERS = [
    pytest.param(estimator, name, id=f"{cls.__name__}-{name}")
    for cls, estimator in ESTIMATORS.items()
    for name in signature(cls).parameters
    if name not in {"key", "keys"}
]
# Parameters for keys have words of their own.
WITHOUT_KEYS = [
    parameter
    for parameter in PARAMETERS
    if not hasattr(getattr(type(parameter.values[0]), parameter.values[1], None), "__set__")
]
X = np.zeros((8, 4, 4, 1), np.uint8)


def make(estimator, name, value):
    return type(estimator)(**{**estimator.get_params(deep=False), name: value})


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_all_forms_of_a_key_are_recognized(secret):
    assert holds_key(secret)
    assert not shows_secret(show_value(secret) + show_object(secret))


@pytest.mark.parametrize("value", HARMLESS, ids=lambda value: repr(value)[:20])
def test_what_holds_no_key_is_shown(value):
    assert not holds_key(value)
    assert show_value(value) == repr(value)


@pytest.mark.parametrize(("estimator", "name"), WITHOUT_KEYS)
def test_every_parameter_but_that_for_keys_refuses_a_key(estimator, name):
    for secret in SECRETS.values():
        ways = [
            lambda secret=secret: make(estimator, name, secret),
            lambda secret=secret: setattr(clone(estimator), name, secret),
            lambda secret=secret: clone(estimator).set_params(**{name: secret}),
        ]
        for way in ways:
            with pytest.raises(TypeError, match=f"{name} of {type(estimator).__name__}") as caught:
                way()
            assert not shows_secret(str(caught.value))
            assert caught.value.__context__ is None


@pytest.mark.parametrize(("estimator", "name"), PARAMETERS)
@pytest.mark.parametrize("form", ["text", "bytes", "memoryview", "list"])
def test_searches_end_before_they_show_a_key(estimator, name, form):
    grid = {f"it__{name}": [SECRETS[form]]}
    search = GridSearchCV(Pipeline([("it", estimator)]), grid, cv=2, error_score=0)
    with pytest.raises((TypeError, ValueError)) as caught:
        search.fit(X, [0, 1] * 4)
    assert not shows_secret(str(caught.value))
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize("name", ["encryptor", "classifier"])
def test_a_passphrase_for_an_object_is_refused(name):
    for value in ("correct horse battery", Path("keys/of mine.key")):
        with pytest.raises(TypeError, match=f"{name} of PrivateClassifier") as caught:
            PrivateClassifier(**{name: value})
        assert str(value) not in str(caught.value)
        assert_no_secret(caught.value)


def test_the_refusal_says_where_keys_go():
    expected = (
        "encryptor of PrivateClassifier cannot be of type bytes. What was given is not shown, "
        "because it may be a key; a key is given to an encryptor, such as EtCEncryptor(key)."
    )
    with pytest.raises(TypeError) as caught:
        PrivateClassifier(SECRET)
    assert str(caught.value) == expected
    private = PrivateClassifier(EtCEncryptor(KEY))
    with pytest.raises(TypeError):
        private.set_params(encryptor=SECRET)
    assert isinstance(private.encryptor, EtCEncryptor)


MIX_UPS = {
    "RICEncryptor(classifier, key)": lambda s: RICEncryptor(LogisticRegression(), s),
    "SealedEncryptor(classifier, key)": lambda s: SealedEncryptor(LogisticRegression(), s),
    "EtCEncryptor(16, key)": lambda s: EtCEncryptor(16, s),
    "JPEGCodec(key)": JPEGCodec,
    "AdaptNetClassifier(key)": AdaptNetClassifier,
    "PrivateClassifier(key, classifier)": lambda s: PrivateClassifier(s, LogisticRegression()),
    "get_encryptor_tags": get_encryptor_tags,
    "attack": lambda s: LinearAttack().fit(X, X, encryptor=s),
    "audit": lambda s: audit(s, X, [0, 1] * 4),
    "attacks of an audit": lambda s: audit(PixelEncryptor(KEY), X, [0, 1] * 4, attacks=s),
    "an attack of an audit": lambda s: audit(PixelEncryptor(KEY), X, [0, 1] * 4, attacks=[s]),
    "plotting": lambda s: plot_round_trip(s, X),
    "plotting of filters": plot_patch_embeddings,
    "view": view_classifier,
    "adapt_to_key": lambda s: adapt_to_key(LogisticRegression(), s),
    "load_folder": load_folder,
    "passed image_shape": lambda s: check_images(X.reshape(8, -1), image_shape=s, caller="it"),
}
EXPECT_OBJECTS = [
    "RICEncryptor(classifier, key)",
    "PrivateClassifier(key, classifier)",
    "get_encryptor_tags",
    "attack",
    "audit",
    "an attack of an audit",
    "plotting",
    "plotting of filters",
    "view",
    "adapt_to_key",
]


@pytest.mark.parametrize("call", MIX_UPS.values(), ids=MIX_UPS)
def test_a_key_in_the_place_of_something_else_is_not_shown(call):
    for secret in SECRETS.values():
        with pytest.raises((TypeError, ValueError, OSError)) as caught:
            call(secret)
        error = caught.value
        while error is not None:
            assert not shows_secret(str(error))
            error = error.__cause__ or error.__context__


@pytest.mark.parametrize("call", [*map(MIX_UPS.get, EXPECT_OBJECTS)], ids=EXPECT_OBJECTS)
def test_a_passphrase_in_the_place_of_an_object_is_not_shown(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call("correct horse battery")
    assert "horse" not in str(caught.value)


def test_states_do_not_ask_again():
    estimator = JPEGCodec(80)
    assert pickle.loads(pickle.dumps(estimator)).quality == 80
    assert isinstance(SecretKey.coerce(SECRET), SecretKey)
