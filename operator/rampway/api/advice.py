"""What to write where something else stands: the values that are most likely meant. Pure."""

import math
import re
from collections.abc import Callable

_UNITS = {"s": "s", "m": "m", "h": "h", "ms": "ms", "sec": "s", "second": "s", "min": "m",
          "minute": "m", "hour": "h", "hr": "h"}  # fmt: skip
_DAY_H = 24
_MOST_DAYS = 7
_LEAST_PERCENT = 0.001


def whole_percent(least: int, most: int) -> Callable[[object], str]:
    """Return what says how a whole percentage between these bounds is written."""

    def advice(seen: object) -> str:
        percent = _percent(seen)
        if percent is None:
            return f"write for example {max(least, 5)}%"
        if percent < least:
            return f"write {least}%, the least there is"
        if percent > most:
            return f"write {most}%, the most there is"
        low, high = math.floor(percent), math.ceil(percent)
        if low == high:
            return f"write {low}%"
        return f"no parts of a percent: write {max(low, least)}% or {high}%"

    return advice


def percent(seen: object) -> str:
    """Return how a percentage is written that may be meant, empty if nobody knows."""
    found = _percent(seen)
    if found is None or not 0 <= found < 1000:  # noqa: PLR2004
        return ""
    nearest = max(round(found, 3), _LEAST_PERCENT if found else 0)
    much = "" if math.isclose(nearest, found) else "at most three decimals: "
    return f"{much}write {_decimal(nearest)}%"


def _decimal(number: float) -> str:
    """Return a number without an exponent, to three decimals."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


def quoted(seen: object) -> str:
    """Return how a number is written as a string, empty if it is none."""
    number = isinstance(seen, int | float) and not isinstance(seen, bool)
    return f'put it in quotes: "{seen}"' if number else ""


def factor(seen: object) -> str:
    """Return how a factor is written that may be meant, empty if nobody knows."""
    found = _number(seen)
    return "" if found is None or found <= 0 else f"write {found:.5g}x"


def duration(seen: object) -> str:
    """Return how a duration is written that may be meant, empty if nobody knows."""
    found = re.fullmatch(r"([0-9]{1,5})\s*([a-z]*)", str(seen).strip().lower())
    if found is None:
        return ""
    number, unit = int(found[1]), found[2]
    if not unit:
        return f"write its unit: {number}s, {number}m or {number}h"
    unit = unit if unit in _UNITS else unit.removesuffix("s")
    if unit in {"d", "day"}:
        return f"write {_DAY_H * number}h" if number <= _MOST_DAYS else ""
    return f"write {number}{_UNITS[unit]}" if unit in _UNITS else ""


def latency(seen: object) -> str:
    """Return the same of how long an answer takes: milliseconds, where nothing says else."""
    text = str(seen).strip().lower()
    part = re.fullmatch(r"([0-9]{0,5}\.[0-9]{1,3})\s*s?", text)
    if part is not None and float(part[1]) > 0:
        return f"write {1000 * float(part[1]):.0f}ms"
    if re.fullmatch(r"[0-9]{1,5}", text):
        return f"write its unit: {text}ms or {text}s"
    return duration(seen)


def _percent(seen: object) -> float | None:
    """Return a percentage: `5`, `"5"`, `"5 %"` and `0.05` are all five of a hundred."""
    text = str(seen).strip()
    number = _number(text.removesuffix("%"))
    if number is not None and not text.endswith("%") and 0 < number < 1:
        return round(100 * number, 6)
    return number


def _number(seen: object) -> float | None:
    text = str(seen).strip()
    if isinstance(seen, bool) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return None
    return float(text)
