"""The reference page of the API, made from the same schemas as the CRDs."""

import json
from collections.abc import Iterator, Sequence
from typing import get_args

from rampway.api.base import Decimal, Duration, Factor, Percent
from rampway.api.rules import LIST_KEYS, LIST_TYPE, VALIDATIONS, Form, Rule
from rampway.api.schema import INT_OR_STRING, PRESERVE, Schema

_HEAD = """\
<!-- Made from operator/rampway/api by `make crds`; change it there. -->
# The API

Group and version: `{api_version}`. The same text is in `kubectl explain {first} --recursive`.

A field without a default may be left out, unless it is marked *required*. All values of these
types are strings:

- duration: `90s`, `5m` or `1h30m`, at most 7 days (`168h`)
- percentage: `5%` or `0.5%`
- factor: `3x` or `1.5x`
- decimal: `"0.95"`
"""

_NAMED = {"duration": Duration, "percentage": Percent, "factor": Factor, "decimal": Decimal}
"""Strings of a common form, by the name that the page's head explains."""
_NAME_BY_PATTERN = {
    item.pattern: name
    for name, alias in _NAMED.items()
    for item in get_args(alias)
    if isinstance(item, Form)
}
_COMMON_MESSAGES = {
    rule.message
    for alias in _NAMED.values()
    for item in get_args(alias)
    for rule in ([item.rule] if isinstance(item, Form) else [item])
    if isinstance(rule, Rule)
}


def page(kinds: Sequence[tuple[str, str, Schema]], api_version: str) -> str:
    """Return the page as Markdown.

    Args:
        kinds: Per kind its name, its short name, and the schema of the whole object.
        api_version: Group and version.
    """
    parts = [_HEAD.format(api_version=api_version, first=kinds[0][0].lower())]
    known: dict[str, str] = {}
    for kind, short_name, schema in kinds:
        parts.append(f"## {kind}\n\n{schema['description']} Short name: `{short_name}`.\n")
        parts += [
            f"- `{rule['fieldPath'].lstrip('.')}`: {rule['message']}.\n"
            for rule in schema.get(VALIDATIONS, ())
        ]
        for part in ("spec", "status"):
            if part in schema["properties"]:
                parts += _part(f"{kind} {part}", schema["properties"][part], known)
    return "\n".join(parts)


def _part(path: str, schema: Schema, known: dict[str, str]) -> Iterator[str]:
    """Yield the tables of a spec or a status; of one that has them already, where they are."""
    if _fields(schema) in known:
        yield f"### {path}\n\nAs {known[_fields(schema)]}.\n"
    else:
        yield from _tables(path, schema, known)


def _tables(path: str, schema: Schema, known: dict[str, str]) -> Iterator[str]:
    """Yield a table for the object, then one for each object inside that has none yet.

    `known` holds, for the fields of each object that gets a table, where that is.
    """
    yield f"### {path}\n\n{schema['description']}\n"
    required = schema.get("required", ())
    rows = ["| Field | Type | Default | What it is |", "|---|---|---|---|"]
    inside = {}
    for name, field in schema["properties"].items():
        inner, mark = (field["items"], "[]") if "items" in field else (field, "")
        words = [field["description"], *_rules(field)]
        if "properties" in inner and _fields(inner) in known:
            words.append(f"As {known[_fields(inner)]}.")
        elif "properties" in inner:
            known[_fields(inner)] = f"{path}.{name}{mark}"
            inside[f"{path}.{name}{mark}"] = inner
        default = "*required*" if name in required else _default(field)
        rows.append(f"| `{name}` | {_type(field)} | {default} | {_cell(' '.join(words))} |")
    yield "\n".join(rows) + "\n"
    yield from (f"- {_sentence(rule['message'])}\n" for rule in schema.get(VALIDATIONS, ()))
    for inner_path, inner in inside.items():
        yield from _tables(inner_path, inner, known)


def _fields(schema: Schema) -> str:
    return json.dumps(schema["properties"], sort_keys=True)


def _sentence(message: str) -> str:
    return f"{message[0].upper()}{message[1:]}."


def _rules(field: Schema) -> Iterator[str]:
    """Yield what a value must meet, unless its object's own table says it."""
    if "properties" in field:
        return
    for rule in field.get(VALIDATIONS, ()):
        if rule["message"] not in _COMMON_MESSAGES:
            yield _sentence(rule["message"])
    yield from _bounds(field)


def _bounds(field: Schema) -> Iterator[str]:
    if "minimum" in field:
        yield f"{field['minimum']} to {field['maximum']}." if "maximum" in field else ""
    if "maxItems" in field:
        yield f"At most {field['maxItems']}."
    if "maxProperties" in field:
        yield f"At most {field['maxProperties']}."


def _type(field: Schema) -> str:
    if INT_OR_STRING in field:
        return "integer or string"
    if field["type"] == "array":
        keys = field.get(LIST_KEYS)
        kind = f"list by {keys[0]}" if keys else field[LIST_TYPE].replace("atomic", "list")
        return f"{kind} of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    if PRESERVE in field:
        return "any object"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return _NAME_BY_PATTERN.get(field.get("pattern", ""), str(field["type"]))


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] in ({}, ""):
        return ""
    default = field["default"]
    if isinstance(default, list) and all("name" in item for item in default):
        return ", ".join(item["name"] for item in default)
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
