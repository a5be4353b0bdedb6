"""scikit-learn's own checks of every public estimator. No failure is expected anywhere."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from skorch import NeuralNet

import ricsk
from tests.instances import (
    ATTACKS,
    CLASSIFIERS,
    CLOUD_HALVES,
    CODECS,
    ENCRYPTORS,
    GUIDED_ENCRYPTORS,
    KEYLESS_ENCRYPTORS,
    PRETRAINED,
    REMOTE,
)

ESTIMATORS = [*ENCRYPTORS, *GUIDED_ENCRYPTORS, *KEYLESS_ENCRYPTORS, *CODECS, *CLASSIFIERS]
# These are fitted on something else than (X, y), or not at all.
OTHERS = [*PRETRAINED, *CLOUD_HALVES, *REMOTE, *ATTACKS]
CHECKS_OF_OTHERS = [
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_set_params",
    "check_valid_tag_types",
]


@parametrize_with_checks(ESTIMATORS)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_that_many_checks_are_run(estimator):
    """With `two_d_array` false scikit-learn would silently run a single one."""
    names = [check.func.__name__ for _, check in estimator_checks_generator(estimator)]
    assert len(names) > 40
    assert "check_fit2d_1sample" in names


@pytest.mark.parametrize("estimator", OTHERS, ids=str)
@pytest.mark.parametrize("name", CHECKS_OF_OTHERS)
def test_sklearn_check_of_others(estimator, name):
    # Some versions write the last letter of a name and some do not.
    check = getattr(estimator_checks, name, None) or getattr(estimator_checks, f"{name}s")
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", OTHERS, ids=str)
def test_others_are_stored_with_their_parameters(estimator):
    again = pickle.loads(pickle.dumps(estimator))
    assert repr(again) == repr(estimator)
    assert clone(again).get_params().keys() == estimator.get_params().keys()


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacks_are_fitted_first_and_their_parameters_are_checked(attack):
    images = np.zeros((4, 8, 8, 1), np.uint8)
    with pytest.raises(NotFittedError):
        attack.reconstruct(images)
    for name in attack.get_params(deep=False):
        # Keys are refused on assignment already.
        with pytest.raises(
            (ValueError, TypeError), match=f"The '{name}' parameter|^{name} must be"
        ):
            clone(attack).set_params(**{name: object()}).fit(images)


def test_that_no_public_estimator_is_left_out():
    rooms = [getattr(ricsk, room) for room in (*ricsk._HOMES, *ricsk._ROOMS)]
    values = [getattr(room, name) for room in rooms for name in room.__all__]
    public = {cls for cls in values if isinstance(cls, type) and issubclass(cls, BaseEstimator)}
    public = {cls for cls in public if not issubclass(cls, NeuralNet)}  # inside of classifiers
    bases = {base for cls in public for base in cls.__mro__[1:]}
    assert {type(estimator) for estimator in [*ESTIMATORS, *OTHERS]} == public - bases
