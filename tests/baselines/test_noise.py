"""Noise from keystreams: of which distribution, and finite at the ends."""

import numpy as np
import pytest
from scipy.stats import kstest

from ricsk import SecretKey
from ricsk.baselines._noise import draw_laplace, draw_normal

ENDS = np.array([0.0, 2.0**-53, 0.5 - 2.0**-53, 0.5, 0.5 + 2.0**-53, 1 - 2.0**-53])


class Given:
    """A stream of known numbers."""

    def random(self, shape):
        return ENDS


@pytest.mark.parametrize(("draw", "name"), [(draw_normal, "norm"), (draw_laplace, "laplace")])
def test_the_distribution(draw, name):
    numbers = draw(SecretKey(bytes(32)).keystream("test"), (20_000,))
    assert kstest(numbers, name).pvalue > 0.01
    assert kstest(numbers + 0.05, name).pvalue < 0.01


@pytest.mark.parametrize("draw", [draw_normal, draw_laplace])
def test_the_ends(draw):
    ends = draw(Given(), ENDS.shape)
    assert np.isfinite(ends).all()
    assert (np.diff(ends) >= 0).all()
    assert ends[0] < -8
    assert ends[-1] > 8
