"""Numbers in sentences."""

import math

import pytest

from rampway.core.numerals import plain


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.0, 3, "0"),
        (12.0, 4, "12"),
        (12345.0, 4, "12345"),
        (1234567.4, 4, "1234567"),
        (999.9, 3, "1000"),
        (100.0, 2, "100"),
        (-12345.0, 4, "-12345"),
        (0.123456, 3, "0.123"),
        (0.00001234, 3, "0.0000123"),
        (math.inf, 3, "inf"),
        (-math.inf, 3, "-inf"),
        (math.nan, 3, "NaN"),
    ],
)
def test_b18_a_number_is_never_written_by_powers_of_ten(
    value: float, digits: int, expected: str
) -> None:
    """B18: 12 345 orders are counted as such, not as 1.234e+04."""
    assert plain(value, digits) == expected
