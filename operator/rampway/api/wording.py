"""Pydantic's findings in our words: the field's path, what was expected, what was seen. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rampway.api.rules import TEXT_EXPECTED

_MAX_MISTAKES = 5
_MAX_SEEN = 80
_OBJECT = "expected an object"
_UNKNOWN = "extra_forbidden"
_ALIKE = 0.7
"""Names that are less alike than this, of 1, mean something else: `duration`, `automation`."""
_SYNONYMS = {
    "hold": {"duration", "wait", "time", "interval", "bake", "baketime", "pause", "for"},
    "weight": {"setweight", "percent", "percentage", "share", "traffic"},
    "minRequests": {"requests", "minsamples", "samples", "mincount"},
    "approval": {"approve", "manual", "gate", "judgment"},
    "match": {"header", "headers", "cookie"},
    "mirror": {"shadow", "copy", "copies"},
    "checks": {"analysis", "metrics", "conditions", "thresholds"},
    "uri": {"url", "path", "location", "source"},
    "errorRate": {"errors", "error", "successrate"},
    "maxIncrease": {"increase", "tolerance", "threshold"},
}
"""What people write for these fields who think of the same thing; small letters without - and _."""
_PLAINER = {
    _UNKNOWN: "unknown field",
    "missing": "required, but missing",
    "string_type": "expected a string",
    "bool_type": "expected a boolean: true or false",
    "bool_parsing": "expected a boolean: true or false",
    "int_type": "expected an integer, for example 3",
    "tuple_type": "expected a list",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "enum": "expected {expected}",
    "too_short": "expected at least {min_length} item",
    "too_long": "expected at most {max_length} items",
    "string_too_short": "expected at least {min_length} character",
    "string_too_long": "expected at most {max_length} characters",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} at most",
}
"""Our words for pydantic's, by the type of the mistake."""


def explain(error: ValidationError, model: type[BaseModel], root: str = "") -> str:
    """Return what is wrong with an input for a model as one line, a clause for each mistake."""
    lines = [text for _, text in mistakes(error, model, root)]
    if len(lines) > _MAX_MISTAKES:
        lines[_MAX_MISTAKES:] = [f"and {len(lines) - _MAX_MISTAKES} more"]
    return "; ".join(lines)


def mistakes(
    error: ValidationError, model: type[BaseModel], root: str = ""
) -> list[tuple[tuple[int | str, ...], str]]:
    """Return the same one by one: where, as parts of the path, and `explain`'s words."""
    found = error.errors(include_url=False)
    return [
        (_place(item), _mistake(item, model, root)) for item in found if not _follows(item, found)
    ]


def meant(name: str, known: Iterable[str]) -> str:
    """Return which of the known names an unknown one may stand for, else all of them.

    One that means the same goes before one that is spelt alike.
    """
    known = sorted(known)
    same = [one for one, others in _SYNONYMS.items() if one in known and _plain(name) in others]
    close = same or get_close_matches(name, known, n=1, cutoff=_ALIKE)
    return f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}"


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _place(item: ErrorDetails) -> tuple[int | str, ...]:
    """Return where a mistake is: a rule about a whole may name the part that breaks it."""
    return (*item["loc"], *item.get("ctx", {}).get("at", ()))


def _follows(item: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Whether a list is only too short because its items were refused."""
    inside = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(inside) and other["loc"][: len(inside)] == inside for other in found
    )


def _mistake(item: ErrorDetails, model: type[BaseModel], root: str) -> str:
    path = root
    for part in _place(item):
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    text = f"{path.lstrip('.')}: {_words(item)}{_seen(item)}"
    if item["type"] != _UNKNOWN:
        return text
    *around, name = item["loc"]
    known = _fields(model, around)
    return f"{text}. {meant(str(name), known)}" if known else text


def _words(item: ErrorDetails) -> str:
    words = _PLAINER.get(item["type"])
    if words is None:
        return item["msg"].removeprefix("Value error, ")
    return words.format(**item.get("ctx", {}))


def _seen(item: ErrorDetails) -> str:
    """Return what was there; an object says nothing that its path does not."""
    seen = item["input"]
    if not isinstance(seen, str | int | float):
        return ""
    shown = repr(seen)
    if len(shown) > _MAX_SEEN:
        shown = shown[:_MAX_SEEN] + "…"
    return f"; seen: {shown}{_instead(item)}"


def _instead(item: ErrorDetails) -> str:
    """Return what to write instead of what was seen, empty if nobody knows."""
    advice = item.get("ctx", {}).get("advice")
    if not advice:
        return _misread(item)
    kind = "" if isinstance(item["input"], str) else "a number, not a string: "
    return f" ({kind}{advice})"


def _misread(item: ErrorDetails) -> str:
    """Return how what was seen has to be written for what may be meant, empty if nobody knows."""
    kind, seen = item["type"], item["input"]
    if kind == "tuple_type":
        return f" (a list of one: [{seen}])"
    if kind not in {"string_type", "enum", TEXT_EXPECTED} or isinstance(seen, str):
        return ""
    if isinstance(seen, bool):
        words = "on, yes and true" if seen else "off, no and false"
        return f" (as YAML reads {words}: put the word in quotes)"
    return " (a number: put it in quotes)" if kind == "string_type" else " (a number, not a string)"


def _fields(model: type[BaseModel], path: Sequence[int | str]) -> dict[str, Any]:
    """Return the fields of the model at a path, by their names on the wire."""
    for part in path:
        if isinstance(part, int):
            continue
        inside = _fields_of(model).get(part)
        model = next(_models(inside.annotation), BaseModel) if inside else BaseModel
    return _fields_of(model)


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type such as `tuple[Step, ...]` or `Policy | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
