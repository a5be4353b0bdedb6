"""scikit-learn's own checks of every public estimator. No failure is expected anywhere."""

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import ricsk
from tests.instances import (
    CLASSIFIERS,
    CODECS,
    ENCRYPTORS,
    GUIDED_ENCRYPTORS,
    KEYLESS_ENCRYPTORS,
)

ESTIMATORS = [*ENCRYPTORS, *GUIDED_ENCRYPTORS, *KEYLESS_ENCRYPTORS, *CODECS, *CLASSIFIERS]


@parametrize_with_checks(ESTIMATORS)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_that_many_checks_are_run(estimator):
    """With `two_d_array` false scikit-learn would silently run a single one."""
    names = [check.func.__name__ for _, check in estimator_checks_generator(estimator)]
    assert len(names) > 40
    assert "check_fit2d_1sample" in names


def test_that_no_public_estimator_is_left_out():
    public = {getattr(ricsk, name) for name in ricsk.__all__}
    estimators = {cls for cls in public if isinstance(cls, type) and issubclass(cls, BaseEstimator)}
    assert {type(estimator) for estimator in ESTIMATORS} == estimators
