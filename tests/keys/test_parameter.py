"""Keys as parameters of estimators."""

import math
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, validation_curve
from sklearn.pipeline import Pipeline

from ricsk.exceptions import KeyFileError, KeyFileNotFoundError, KeyReferenceError
from ricsk.keys import KeyedMixin, KeyParameter, SecretKey
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret, shows_secret
from tests.keys.reference import RAW

KEY = SecretKey(RAW)
X, Y = np.zeros((8, 2)), np.repeat([0, 1], 4)


class Scheme(KeyedMixin, ClassifierMixin, BaseEstimator):
    key = KeyParameter()

    def __init__(self, key=None, other=None):
        self.key = key
        self.other = other

    def fit(self, X, y=None):
        self.key_ = SecretKey.coerce(self.key)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


class Outer(ClassifierMixin, BaseEstimator):
    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y):
        self.inner.fit(X, y)
        self.classes_ = self.inner.classes_
        return self

    def predict(self, X):
        return self.inner.predict(X)


class Secretive(str):
    """A text of a class of its own."""


ASSIGNMENTS = {
    "constructor": lambda value: Scheme(value),
    "setattr": lambda value: setattr(Scheme(), "key", value),
    "set_params": lambda value: Scheme().set_params(key=value),
    "pipeline": lambda value: Pipeline([("enc", Scheme())]).set_params(enc__key=value),
    "outer estimator": lambda value: Outer(Scheme()).set_params(inner__key=value),
}
REFUSED = {
    "text of a key": SECRET_TEXT,
    "content of a key file": f"# note\n{SECRET_TEXT}\n",
    "text of a class of its own": Secretive(SECRET_TEXT),
    "text of NumPy": np.str_(SECRET_TEXT),
    "text as a path": Path(SECRET_TEXT),
    "passphrase": SECRET.hex(),
    "short passphrase": SECRET.hex()[:12],
    "passphrase with a NUL": SECRET.hex() + "\0",
    "passphrase with a lone surrogate": SECRET.hex() + "\ud800",
    "long text": SECRET.hex() * 200,
    "short bytes": SECRET[:31],
    "no bytes": b"",
    "long bytearray": bytearray(SECRET + b"0"),
    "text as bytes": SECRET_TEXT.encode(),
    "memoryview": memoryview(SECRET)[:16],
    "array": np.frombuffer(SECRET, np.uint8),
    "list of int": list(SECRET),
    "list of bytes": [SECRET],
    "tuple of bytes": (SECRET,),
    "pickle": pickle.dumps(SecretKey(SECRET)),
}
# scikit-learn's checks want constructors to take such values.
FORGOTTEN = {
    "very short passphrase": "hunter2",
    "name of no file": Path("hunter2"),
    "empty text": "",
    "folder": "/",
    "set": {SECRET},
    "dict": {"key": SECRET},
    "int": int.from_bytes(SECRET),
    "short array": np.frombuffer(SECRET, np.uint8)[:11],
    "array without dimensions": np.array(SECRET),
    "empty list": [],
    "float": 0.5,
    "bool": True,
    "function": partial(print, SECRET),
    "class": SecretKey,
}


def shown_by(estimator):
    return f"{estimator!r} {estimator} {estimator._repr_html_()} {estimator.get_params()}"


@pytest.mark.parametrize("assign", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_key_is_refused_at_once(assign, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        assign(value)
    error = caught.value
    assert not shows_secret(str(error))
    assert error.__cause__ is error.__context__ is None
    assert_no_secret(error)


@pytest.mark.parametrize("value", FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_is_too_short_for_a_secret_is_forgotten_and_refused_by_fit(value):
    changed = Scheme()
    changed.key = value
    for scheme in (Scheme(value), changed, clone(Scheme(value)), copies(Scheme(value))[1]):
        assert repr(scheme) == f"Scheme(key=<unusable {type(value).__name__}>)"
        shown = shown_by(scheme) + str(pickle.dumps(scheme))
        assert not shows_secret(shown)
        assert "hunter2" not in shown
        with pytest.raises((ValueError, TypeError)) as caught:
            scheme.fit(X, Y)
        with pytest.raises(type(caught.value)) as coerced:
            SecretKey.coerce(value)
        assert str(caught.value) == str(coerced.value)
        assert_no_secret(caught.value)
        assert scheme.set_params(key=KEY).fit(X, Y).key_ == KEY


@pytest.mark.parametrize("value", FORGOTTEN.values(), ids=FORGOTTEN)
@pytest.mark.parametrize("way", ["set_params", "pipeline", "outer estimator"])
def test_set_params_refuses_what_is_too_short_for_a_secret(way, value):
    """A search would keep it and show it."""
    with pytest.raises((ValueError, TypeError)) as caught:
        ASSIGNMENTS[way](value)
    assert_no_secret(caught.value)


def test_unusable_key_may_be_replaced_by_another():
    """As scikit-learn's checks do; but not by what may be a secret, or shows a key."""
    scheme = Scheme("helloworld").set_params(key=3.0)
    assert repr(scheme) == "Scheme(key=<unusable float>)"
    assert scheme.set_params(**scheme.get_params()) is scheme
    for value in (SECRET_TEXT, SECRET, [SECRET]):
        with pytest.raises((ValueError, TypeError)):
            scheme.set_params(key=value)


def test_a_refusal_changes_nothing():
    scheme = Scheme(KEY, other="before")
    for params in ({"key": SECRET_TEXT}, {"key": RAW}):
        with pytest.raises((ValueError, TypeError)):
            scheme.set_params(other="after", **params)
    with pytest.raises(ValueError, match="there is no key file"):
        scheme.key = "correct horse"
    assert scheme.get_params() == {"key": KEY, "other": "before"}


@pytest.mark.parametrize(
    "raw", [SECRET, bytearray(SECRET), memoryview(SECRET)], ids=lambda raw: type(raw).__name__
)
def test_bytes_become_a_secret_key(raw):
    changed = Scheme()
    changed.key = raw
    for scheme in (Scheme(raw), Scheme(key=raw), changed):
        assert scheme.key == SecretKey(SECRET)
        assert not shows_secret(shown_by(scheme))
        assert clone(scheme).key is scheme.key


def test_key_and_none_stay_as_they_are():
    assert Scheme(KEY).key is KEY
    assert Scheme().set_params(key=KEY).key is KEY
    assert Scheme(KEY).set_params(key=None).key is None
    assert clone(Scheme()).key is None


def test_values_of_the_checks_of_sklearn_are_refused_by_fit():
    for value in (math.inf, -math.inf):
        scheme = Scheme(value)
        assert scheme.key is value
        with pytest.raises(TypeError, match="got float"):
            scheme.fit(X, Y)


def test_path_is_kept_and_read_by_fit(tmp_path):
    path = tmp_path / "k"
    path.touch(0o600)
    for given in (path, str(path), np.str_(path)):
        for scheme in (Scheme(given), Scheme().set_params(key=given)):
            assert scheme.key == str(path)
            assert repr(scheme) == f"Scheme(key={str(path)!r})"
            with pytest.raises(KeyFileError, match="is empty"):
                scheme.fit(X, Y)
    path.unlink()
    KEY.save(path)
    assert Scheme(path).fit(X, Y).key_ == KEY


def copies(estimator):
    dumped = skops.io.dumps(estimator)
    loaded = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    return [clone(estimator), pickle.loads(pickle.dumps(estimator)), loaded]


def test_accepted_path_may_go(tmp_path):
    """An estimator is cloned and unpickled on machines that have no key.

    What comes through skops may be anybody's, and its path is not even looked for.
    """
    path = tmp_path / "k"
    KEY.save(path)
    scheme = Scheme(path)
    stored = pickle.dumps(scheme)
    path.unlink()
    for copy in [pickle.loads(stored), *copies(scheme)]:
        for again in [copy, *copies(copy), clone(clone(copy))]:
            assert again.key == str(path)
            assert repr(again) == repr(scheme)
            assert again.set_params(**again.get_params()) is again
            with pytest.raises((KeyFileNotFoundError, KeyReferenceError)):
                again.fit(X, Y)
            assert again.set_params(key=KEY).fit(X, Y).key_ == KEY
    for assign in ASSIGNMENTS.values():
        with pytest.raises(KeyFileNotFoundError):
            assign(str(path))


def test_pickle_of_a_path_names_no_private_class(tmp_path):
    KEY.save(tmp_path / "k")
    stored = pickle.dumps(Scheme(tmp_path / "k"))
    assert b"ricsk.keys" in stored
    assert b"ricsk.keys._" not in stored


def test_path_from_a_file_of_data_is_not_followed(tmp_path):
    KEY.save(tmp_path / "k")
    scheme = Scheme(tmp_path / "k")
    cloned, unpickled, loaded = copies(scheme)
    for trusted in (cloned, unpickled):
        assert trusted.fit(X, Y).key_ == KEY
    for again in (loaded, *copies(loaded), clone(loaded).set_params(**loaded.get_params())):
        with pytest.raises(KeyReferenceError, match=r"k', comes out of a file .* set_params\(key="):
            again.fit(X, Y)
        assert again.set_params(key=str(again.key)).fit(X, Y).key_ == KEY


def test_set_params_takes_no_bytes():
    """A search would keep them and show them."""
    for assign in ("set_params", "pipeline", "outer estimator"):
        for raw in (SECRET, bytearray(SECRET), memoryview(SECRET)):
            with pytest.raises(TypeError, match=r"key as bytes.*SecretKey\(raw\)") as caught:
                ASSIGNMENTS[assign](raw)
            assert_no_secret(caught.value)


SEARCHES = {
    "grid": lambda estimator, grid: GridSearchCV(estimator, grid, cv=2),
    "grid without errors": lambda estimator, grid: GridSearchCV(
        estimator, grid, cv=2, error_score=0, refit=False
    ),
    "random": lambda estimator, grid: RandomizedSearchCV(estimator, grid, cv=2, n_iter=2),
}


@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize(
    "value", [SECRET, bytearray(SECRET), SECRET_TEXT, list(SECRET), "hunter2"], ids=type
)
def test_searches_end_before_they_show_keys(make, value, capsys):
    pipeline = Pipeline([("enc", Scheme())])
    search = make(pipeline, {"enc__key": [KEY, value]})
    search.verbose = 3
    with pytest.raises((TypeError, ValueError)) as caught:
        search.fit(X, Y)
    assert not hasattr(search, "cv_results_")
    assert not shows_secret(str(caught.value) + "".join(capsys.readouterr()))
    with pytest.raises((TypeError, ValueError)) as caught:
        validation_curve(pipeline, X, Y, param_name="enc__key", param_range=[value], cv=2)
    assert not shows_secret(str(caught.value))


def test_searches_over_keys_show_their_ids():
    keys = [KEY, SecretKey(SECRET)]
    for estimator, grid in [
        (Scheme(), {"key": keys}),
        (Outer(Scheme()), {"inner__key": keys}),
        (Outer(), {"inner": [Scheme(SECRET), Scheme(bytearray(RAW))]}),
    ]:
        search = GridSearchCV(estimator, grid, cv=2).fit(X, Y)
        shown = f"{search.cv_results_} {shown_by(search)} {shown_by(search.best_estimator_)}"
        assert SecretKey(SECRET).key_id in shown
        assert not shows_secret(shown)


def test_parameter_of_the_class_is_the_descriptor():
    assert isinstance(Scheme.key, KeyParameter)
    with pytest.raises(AttributeError, match="Scheme has no key"):
        object.__new__(Scheme).key  # noqa: B018 (asking for it is what must fail)
