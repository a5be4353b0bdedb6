"""What all estimators share: fits that leave all or nothing, and states with versions."""

import copy
import io
import pickle
import warnings
from inspect import Parameter, signature

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

import ricsk
from ricsk import (
    EtCEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    SealedEncryptor,
    SecretKey,
    ViTClassifier,
)
from ricsk import _estimator as estimator_module
from ricsk._estimator import STATE_FORMAT
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
from ricsk.attacks import __all__ as public_attacks
from ricsk.baselines import LSBEncryptor, NeuraCryptEncoder
from ricsk.exceptions import SmallKeySpaceWarning, StateVersionError
from tests.instances import (
    CLASSIFIERS,
    ENCRYPTORS,
    GUIDED_ENCRYPTORS,
    KEY,
    KEYLESS_ENCRYPTORS,
)

rng = np.random.default_rng(0)
X = rng.integers(0, 128, (40, 4, 4, 3), dtype=np.uint8)
X[20:] += 128
Y = np.repeat(["dark", "light"], 20)
ENCRYPTOR = EtCEncryptor(KEY, block_size=2)
VICTIMS = {
    FRAttack: PixelEncryptor(KEY),
    DecoderAttack: LSBEncryptor(LogisticRegression()),
    NeuraCryptAttack: NeuraCryptEncoder(KEY, patch_size=1, width=3, depth=1),
}
OTHER_KEY = SecretKey(bytes(32))

QUICK_ATTACKS = [
    LabelOnlyBaseline(),
    LabelOnlyBaseline("mean"),
    LabelOnlyBaseline("medoid"),
    LinearAttack(),
    NeuraCryptAttack(1),
    KeyReuseAttack(),
    KeyReuseAttack(0.25),
    FRAttack("chosen"),
    FRAttack("basic"),
    FRAttack("advanced"),
    JigsawAttack(),
    JigsawAttack(2, rotate=False),
    BruteForceAttack([KEY, OTHER_KEY]),
    DecoderAttack(),
]
ATTACKS = [
    *QUICK_ATTACKS,
    KnownPlaintextAttack(),
    ITNAttack(),
    GANAttack(),
    SIAGANAttack(),
    CloudAttack(LogisticRegression()),
    DisclosureBaseline(LogisticRegression()),
]
QUICK = [*ENCRYPTORS, *QUICK_ATTACKS]
ESTIMATORS = [*ENCRYPTORS, *GUIDED_ENCRYPTORS, *KEYLESS_ENCRYPTORS, *CLASSIFIERS, *ATTACKS]


def name(estimator):
    return str(estimator).replace("\n", " ")[:60]


every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
quick_estimators = pytest.mark.parametrize("estimator", QUICK, ids=name)


def fit(estimator):
    """Fit a new one of the same parameters, on all that it may ask for."""
    estimator = clone(estimator)
    if not hasattr(estimator, "reconstruct"):
        return estimator.fit(X, Y)
    encryptor = clone(VICTIMS.get(type(estimator), ENCRYPTOR)).fit(X, Y)
    public = {"public_images": X[1:-1], "public_labels": Y[1:-1]}
    return estimator.fit(encryptor.transform(X), X, encryptor=encryptor, labels=Y, **public)


def ask(estimator):
    """Have a fitted estimator do what it is for."""
    if hasattr(estimator, "transform"):
        return estimator.transform(X)
    labels = {"labels": Y} if hasattr(estimator, "pictures_") else {}
    labels = {"labels": Y} if hasattr(estimator, "common_") else labels
    C = X[:, ::-1].reshape(-1, *estimator.ciphertext_shape_)
    return estimator.reconstruct(C, **labels)


def load(cls, state):
    """Do what pickle does once it has read a state."""
    estimator = cls.__new__(cls)
    estimator.__setstate__(state)
    return estimator


def defaults_of(estimator):
    parameters = signature(type(estimator)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not Parameter.empty}


def test_every_attack_is_listed():
    public = {getattr(ricsk.attacks, name) for name in public_attacks}
    attacks = {cls for cls in public if isinstance(cls, type) and hasattr(cls, "reconstruct")}
    assert attacks - {ricsk.attacks.BaseAttack} == {type(attack) for attack in ATTACKS}


@every_estimator
def test_a_state_from_before_a_parameter_existed_loads_with_its_default(estimator):
    for parameter, default in defaults_of(estimator).items():
        state = dict(clone(estimator).__getstate__())
        del state[parameter]
        loaded = load(type(estimator), state)
        expected = estimator.get_params(deep=False) | {parameter: default}
        assert str(loaded.get_params(deep=False)) == str(expected)


@quick_estimators
def test_a_fitted_state_from_before_a_parameter_existed_does_what_was_fitted(estimator):
    fitted = fit(estimator)
    expected = ask(fitted)
    for parameter in defaults_of(estimator):
        state = dict(fitted.__getstate__())
        del state[parameter]
        np.testing.assert_array_equal(ask(load(type(estimator), state)), expected)


def test_a_fitted_classifier_from_before_a_parameter_existed_answers_as_before():
    for classifier in (
        ViTClassifier(dim=8, depth=1, n_heads=1, patch_size=2, epochs=1),
        PrivateClassifier(ENCRYPTOR, LogisticRegression()),
    ):
        fitted = classifier.fit(X, Y)
        expected = fitted.predict_proba(X)
        for parameter in defaults_of(classifier):
            state = dict(fitted.__getstate__())
            del state[parameter]
            loaded = load(type(classifier), state)
            np.testing.assert_allclose(loaded.predict_proba(X), expected, atol=1e-6)


@every_estimator
def test_a_state_of_a_newer_format_is_refused_with_both_versions(estimator):
    state = dict(clone(estimator).__getstate__())
    assert state["_ricsk_state"] == STATE_FORMAT
    assert state["_ricsk_version"] == ricsk.__version__
    state.update(_ricsk_state=STATE_FORMAT + 1, _ricsk_version="99.1")
    with pytest.raises(StateVersionError) as caught:
        load(type(estimator), state)
    assert str(caught.value).startswith(f"this {type(estimator).__name__} was stored by ricsk 99.1")
    assert f"format {STATE_FORMAT + 1}" in str(caught.value)
    assert f"ricsk {ricsk.__version__} reads the format {STATE_FORMAT}" in str(caught.value)
    assert "Install ricsk 99.1, or fit it again" in str(caught.value)


@every_estimator
def test_a_state_without_a_format_is_refused(estimator):
    state = dict(clone(estimator).__getstate__())
    del state["_ricsk_state"]
    with pytest.raises(StateVersionError, match=r"before ricsk wrote versions .* Fit it again"):
        load(type(estimator), state)


@quick_estimators
def test_a_fitted_state_of_another_format_is_refused_before_it_is_looked_at(estimator):
    state = dict(fit(estimator).__getstate__())
    learnt = {name: None for name in state if name.endswith("_")}
    for number in (STATE_FORMAT + 1, STATE_FORMAT - 1, str(STATE_FORMAT), None):
        with pytest.raises(StateVersionError):
            load(type(estimator), {**state, **learnt, "_ricsk_state": number})


def with_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("dumps", "loads"),
    [
        (pickle.dumps, pickle.loads),
        (with_joblib, lambda data: joblib.load(io.BytesIO(data))),
        (
            skops.io.dumps,
            lambda data: skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data)),
        ),
    ],
    ids=["pickle", "joblib", "skops"],
)
@pytest.mark.parametrize(
    "estimator",
    [ENCRYPTOR, PrivateClassifier(ENCRYPTOR, LogisticRegression()), LinearAttack()],
    ids=name,
)
def test_files_of_a_newer_version_are_refused(estimator, dumps, loads, monkeypatch):
    fitted = fit(estimator)
    monkeypatch.setattr(estimator_module, "STATE_FORMAT", STATE_FORMAT + 1)
    data = dumps(fitted)
    monkeypatch.undo()
    with pytest.raises(StateVersionError, match="reads the format"):
        loads(data)


def test_an_encryptor_in_a_file_of_a_newer_version_is_refused(monkeypatch):
    """The whole may be as old as this version, and hold a part that is not."""
    fitted = fit(PrivateClassifier(ENCRYPTOR, LogisticRegression()))
    state = dict(fitted.encryptor_.__getstate__(), _ricsk_state=STATE_FORMAT + 1)
    monkeypatch.setattr(EtCEncryptor, "__getstate__", lambda self: state)
    data = pickle.dumps(fitted)
    monkeypatch.undo()
    with pytest.raises(StateVersionError, match="this EtCEncryptor was stored"):
        pickle.loads(data)


@quick_estimators
def test_stored_types_name_public_paths(estimator):
    untrusted = skops.io.get_untrusted_types(data=skops.io.dumps(fit(estimator)))
    assert untrusted
    for path in untrusted:
        assert path.startswith("ricsk.")
        assert not any(part.startswith("_") for part in path.split("."))
        module, _, attribute = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute)


OTHER_VALUES = {
    "variant": ["basic", "advanced", "chosen"],
    "strategy": ["mean", "class_mean", "medoid"],
    "block_size": [4, None],
    "alpha": [0.5, None],
    "keys": [2],
    "n_images": [1],
    "random_state": [7],
}


@pytest.mark.parametrize("attack", QUICK_ATTACKS, ids=name)
def test_a_parameter_of_an_attack_that_is_changed_after_fit_changes_nothing(attack):
    fitted = fit(attack)
    expected = ask(fitted)
    for parameter in attack.get_params():
        for other in OTHER_VALUES.get(parameter, [False, True]):
            changed = copy.copy(fitted).set_params(**{parameter: other})
            np.testing.assert_array_equal(ask(changed), expected)


@quick_estimators
def test_a_fit_that_fails_leaves_nothing(estimator):
    unfitted = clone(estimator)
    with pytest.raises(ValueError, match=r"NaN|needs"):
        unfitted.fit(np.full((2, 4, 4, 3), np.nan))
    with pytest.raises(NotFittedError):
        check_is_fitted(unfitted)
    fitted = fit(estimator)
    expected = ask(fitted)
    with pytest.raises(ValueError, match=r"NaN|needs"):
        fitted.fit(np.full((2, 4, 4, 3), np.nan))
    np.testing.assert_array_equal(ask(fitted), expected)


def test_a_fit_that_is_interrupted_leaves_what_was_there():
    fitted = clone(ENCRYPTOR).fit(X)
    expected = fitted.transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SmallKeySpaceWarning)
        with pytest.raises(SmallKeySpaceWarning):
            fitted.set_params(key=OTHER_KEY).fit(X[:, :2])
    np.testing.assert_array_equal(fitted.transform(X), expected)
    assert fitted.key_ == KEY


def test_what_scikit_learn_notes_on_an_estimator_stays_where_it_is():
    """Searches leave a note on the estimators that they fit, and take it off afterwards."""
    encryptor = clone(ENCRYPTOR).set_output(transform="default")
    encryptor._parent_callback_ctx = note = object()
    before = dict(vars(encryptor))
    encryptor.fit(X)
    assert encryptor._parent_callback_ctx is note
    assert before.items() <= vars(encryptor).items()


def test_a_fit_after_another_forgets_what_followed_from_the_first():
    """Such as how the former classifier was asked."""
    rows = X.repeat(8, axis=1).repeat(8, axis=2).reshape(40, -1) / 255
    first, second = (
        FrozenEstimator(LogisticRegression(C=1e-4).fit(rows, labels))
        for labels in (np.arange(40) % 4, Y)
    )
    sealed = SealedEncryptor(KEY, image_shape=(32, 32, 3), kappa=0.0)
    for classifier in (first, second):
        sealed.set_params(classifier=classifier).fit(rows)
        assert sealed._goal.reader.classifier is sealed.classifier_
