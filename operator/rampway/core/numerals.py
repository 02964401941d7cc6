"""Numbers as people read them: no powers of ten."""

from decimal import Decimal


def plain(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, those before the point always whole."""
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{Decimal(f'{value:.{digits}g}'):f}"
