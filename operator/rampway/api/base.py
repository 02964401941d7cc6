"""What all API models share: camelCase on the wire, and the few scalar types, parsed here once."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "rampway.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
PERCENT_PATTERN = r"^([0-9]{1,3})(\.[0-9]{1,3})?%$"
FACTOR_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3})?x$"
DECIMAL_PATTERN = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ApiModel(BaseModel):
    """Base of everything a user writes: unknown fields are mistakes."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class StatusModel(BaseModel):
    """Base of everything we write: what a newer operator wrote is ignored, not refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


def seconds(duration: str) -> float:
    """Return a duration such as `1h30m`, `90s` or `500ms` in seconds."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"duration {duration!r}: expected for example 90s, 5m or 1h30m")
    return sum(int(n) * _UNIT_S[u] for n, u in re.findall(r"([0-9]+)(ms|h|m|s)", duration))


def fraction(percent: str) -> float:
    """Return a percentage such as `5%` or `0.5%` as a fraction (0.05, 0.005)."""
    if not re.fullmatch(PERCENT_PATTERN, percent):
        raise ValueError(f"percentage {percent!r}: expected for example 5% or 0.5%")
    return float(percent[:-1]) / 100


def factor(text: str) -> float:
    """Return a factor such as `3x` as a number."""
    if not re.fullmatch(FACTOR_PATTERN, text):
        raise ValueError(f"factor {text!r}: expected for example 3x or 1.5x")
    return float(text[:-1])


def _parses(parse: object) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)  # type: ignore[operator]
        return text

    return AfterValidator(check)


Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32), _parses(seconds)]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN, max_length=8), _parses(fraction)]
Factor = Annotated[str, Field(pattern=FACTOR_PATTERN, max_length=8), _parses(factor)]
Decimal = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=26)]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
Label = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$", max_length=52)]
