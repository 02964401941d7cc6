"""The weighted average of e-values."""

import math

import pytest

from rampway.core.evidence import log_average


def test_average_of_e_values() -> None:
    """The average is the logarithm of the weighted sum, also far outside the range of floats."""
    assert log_average([(0.7, math.log(2)), (0.3, math.log(10))]) == pytest.approx(math.log(4.4))
    assert log_average([(0.5, 4000.0), (0.5, -4000.0)]) == pytest.approx(4000 - math.log(2))


def test_b19_average_has_mean_one_whatever_the_dependence() -> None:
    """Two e-values that are worlds apart but never both large average to an e-value."""
    worlds = [((0.0, 2.0), 0.5), ((2.0, 0.0), 0.5)]
    mean = sum(
        chance * math.exp(log_average([(0.5, math.log(e or 1e-300)) for e in values]))
        for values, chance in worlds
    )
    assert mean == pytest.approx(1)


@pytest.mark.parametrize("weights", [(0.7, 0.4), (0.0, 1.0), (-0.5, 1.0), (math.nan, 0.1)])
def test_weights_that_make_no_e_value_are_refused(weights: tuple[float, float]) -> None:
    """Weights beyond a sum of 1, or not above zero, are an error."""
    with pytest.raises(ValueError, match="sum of at most 1"):
        log_average([(weight, 0.0) for weight in weights])


def test_weights_may_sum_to_less_than_one() -> None:
    """What is left of the budget is simply not used."""
    assert log_average([(0.5, 0.0)]) == pytest.approx(math.log(0.5))
    assert log_average([(1 / 3, 0.0)] * 3) == pytest.approx(0)
