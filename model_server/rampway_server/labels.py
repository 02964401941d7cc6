"""Names of classes, texts and features as labels of series: short, and never two alike."""

from collections.abc import Collection, Iterable, Sequence

LONGEST = 60
_DIGITS = range(6, 18)  # 17 tell any two numbers apart


def distinct(names: Iterable[str], reserved: Collection[str] = ()) -> list[str]:
    """Return names cut to `LONGEST`; what would be another's or reserved gets a number: `a (2)`.

    A series that comes twice would cost Prometheus the whole scrape.
    """
    found: list[str] = []
    for name in names:
        label, number = name[:LONGEST], 1
        while label in found or label in reserved:
            number += 1
            label = f"{name[:LONGEST]} ({number})"
        found.append(label)
    return found


def bounds(edges: Sequence[float]) -> list[str]:
    """Return rising numbers with six digits, or as many as tell them apart."""
    for digits in _DIGITS:
        found = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(found)) == len(found):
            break
    return found
