"""What all API models share: camelCase on the wire, and the few scalar types, parsed here once."""

import re
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rampway.api import advice
from rampway.api.rules import LIST_KEYS, LIST_TYPE, VALIDATIONS, Form, Rule, matches

GROUP = "rampway.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$"
NAME_LENGTH = 52
NAME_EXPECTED = f"a lower-case letter, then letters, digits or -, at most {NAME_LENGTH} in all"
OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
OBJECT_NAME_EXPECTED = "the name of a Kubernetes object"
DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
PERCENT_PATTERN = r"^([0-9]{1,3})(\.[0-9]{1,3})?%$"
FACTOR_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3})?x$"
DECIMAL_PATTERN = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"
QUANTITY_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?([KMGTPE]i|[numkMGTPE]|[eE][0-9]{1,2})?$"
WEEK_S = 7 * 24 * 3600.0
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_MESSAGE_LENGTH = 4096


class _Model(BaseModel):
    """Names, rules and nulls, as the API server treats them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What holds between the fields; schema.py turns it into CEL."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """A null is a field left out: the API server prunes it, so must we."""
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None}
        return data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        found = handler(schema)
        if cls.rules:
            resolved = handler.resolve_ref_schema(found)
            resolved[VALIDATIONS] = [rule.schema() for rule in cls.rules]
        return found


class ApiModel(_Model):
    """Base of everything a user writes: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self


class StatusModel(_Model):
    """Base of everything we write: what a newer operator wrote is ignored, not refused.

    Each field is described by the docstring under it.
    """

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


@lru_cache(maxsize=4096)
def seconds(duration: str) -> float:
    """Return a duration such as `1h30m`, `90s` or `500ms` in seconds."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"duration {duration!r}: expected for example 90s, 5m or 1h30m")
    return sum(int(n) * _UNIT_S[u] for n, u in re.findall(r"([0-9]+)(ms|h|m|s)", duration))


@lru_cache(maxsize=4096)
def fraction(percent: str) -> float:
    """Return a percentage such as `5%` or `0.5%` as a fraction (0.05, 0.005)."""
    if not re.fullmatch(PERCENT_PATTERN, percent):
        raise ValueError(f"percentage {percent!r}: expected for example 5% or 0.5%")
    return float(percent[:-1]) / 100


@lru_cache(maxsize=4096)
def factor(text: str) -> float:
    """Return a factor such as `3x` as a number."""
    if not re.fullmatch(FACTOR_PATTERN, text):
        raise ValueError(f"factor {text!r}: expected for example 3x or 1.5x")
    return float(text[:-1])


def amount(quantity: str) -> float:
    """Return a quantity such as `2`, `500m` or `1Gi` as a number."""
    if not re.fullmatch(QUANTITY_PATTERN, quantity):
        raise ValueError(f"quantity {quantity!r}: expected for example 2, 500m or 1Gi")
    number = re.match(r"[0-9.]+", quantity)[0]  # type: ignore[index]  # it begins with a digit
    suffix = quantity.removeprefix(number)
    if suffix[:1] in {"e", "E"} and suffix[1:]:
        return float(quantity)
    base, letters = (1024, "KMGTPE") if suffix.endswith("i") else (1000, "kMGTPE")
    small = {"": 0, "m": -1, "u": -2, "n": -3}
    power = small[suffix] if suffix in small else 1 + letters.index(suffix[0])
    return float(number) * float(base) ** power


def _integer_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity(text: str) -> str:
    if not re.fullmatch(QUANTITY_PATTERN, text):
        raise ValueError("expected an amount as Kubernetes writes it, for example 2, 500m or 1Gi")
    return text


def _shortened(text: object) -> object:
    if isinstance(text, str) and len(text) > _MESSAGE_LENGTH:
        return text[: _MESSAGE_LENGTH - 1] + "…"
    return text


AT_MOST_A_WEEK = Rule(
    cel=f"!{matches('self', DURATION_PATTERN)} || duration(self) <= duration('168h')",
    message="expected a duration of at most 7 days (168h)",
    holds=lambda text: seconds(text) <= WEEK_S,
)
Duration = Annotated[
    str,
    Field(max_length=32),
    Form(
        DURATION_PATTERN,
        "a duration of at most 7 days, for example 90s, 5m or 1h30m",
        advice.duration,
    ),
    AT_MOST_A_WEEK,
]
"""A duration as Go writes it: at most 7 days."""
Percent = Annotated[
    str,
    Field(max_length=8),
    Form(PERCENT_PATTERN, "a percentage, for example 5% or 0.5%", advice.percent),
]
"""A percentage; a string, since floats do not survive every tool."""
Factor = Annotated[
    str, Field(max_length=8), Form(FACTOR_PATTERN, "a factor, for example 3x", advice.factor)
]
"""How many times as much."""
Decimal = Annotated[
    str,
    Field(max_length=26),
    Form(DECIMAL_PATTERN, 'a number as a string, for example "0.95"', advice.quoted),
]
"""A decimal number; a string, since floats do not survive every tool."""
Quantity = Annotated[
    str,
    BeforeValidator(_integer_as_text),
    Field(max_length=32),
    AfterValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "maxLength": 32,
        }
    ),
]
"""An amount as Kubernetes writes it: 2, 500m, 1Gi."""
Label = Annotated[
    str,
    Field(max_length=NAME_LENGTH),
    Form(NAME_PATTERN, NAME_EXPECTED),
]
"""A name within an object."""
ObjectName = Annotated[
    str,
    Field(max_length=253),
    Form(OBJECT_NAME_PATTERN, OBJECT_NAME_EXPECTED),
]

# Of the status. The schema's bounds are wider than what is written, so that no write of ours is
# ever refused for its length.
Token = Annotated[str, Field(json_schema_extra={"maxLength": 253})]
"""A name, phase or reason of the status."""
Message = Annotated[
    str, BeforeValidator(_shortened), Field(json_schema_extra={"maxLength": 8 * _MESSAGE_LENGTH})
]
"""A sentence of the status; overlong ones (4096 characters) are cut, not refused."""
Timestamp = Annotated[
    str, Field(json_schema_extra={"maxLength": 32, "pattern": r"^([0-9T:.+Z-]+)?$"})
]
"""An instant: RFC 3339, UTC; empty for never."""


def listed(max_items: int, *keys: str) -> dict[str, Any]:
    """Return the JSON schema of a status list: atomic, or a map by `keys`."""
    kind: dict[str, Any] = {LIST_TYPE: "map", LIST_KEYS: list(keys)} if keys else {}
    return {"maxItems": max_items, **kind}
