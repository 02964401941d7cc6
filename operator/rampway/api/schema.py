"""From pydantic's JSON schema (2020-12) to the structural OpenAPI v3.0 schema of a CRD.

What has no counterpart there is refused with the place named, never dropped in silence.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from rampway.api.rules import LIST_TYPE, VALIDATIONS

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
_DROPPED = ("title", "examples", "deprecated", "readOnly")
_REFUSED = {
    "oneOf": "write one object with a `type` and optional members, and a Rule",
    "discriminator": "write one object with a `type` and optional members, and a Rule",
    "allOf": "write one model",
    "not": "write a Rule",
    "prefixItems": "write an object with named fields",
    "patternProperties": "write a list of objects with a name",
}
_INT_OR_STRING = ({"type": "integer"}, {"type": "string"})


class NotStructural(TypeError):  # noqa: N818 - says what the model is not
    """A model that no structural schema can describe; the message names the place."""


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Return the structural schema of a model: inlined, typed everywhere, with its defaults.

    Args:
        model: The model of a spec or a status.
        defaults: Whether the API server fills them in: so for a spec, where a user sees them by
            `kubectl get -o yaml`; a status would only grow.

    Raises:
        NotStructural: The model holds what a CRD cannot say, such as recursion or a oneOf.
    """
    found = model.model_json_schema(schema_generator=_WithDefaults)
    definitions = found.pop("$defs", {})
    return _Rewriter(definitions, defaults=defaults).rewrite(found, model.__name__, ())


class _WithDefaults(GenerateJsonSchema):
    """Also shows what pydantic leaves out: defaults made by a factory, and computed fields."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        factory: Callable[[], Any] | None = schema.get("default_factory")  # type: ignore[assignment]
        if factory is not None and not schema.get("default_factory_takes_data"):
            found = self._with_default(found, factory())
        return found

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        for name, field in schema["cls"].model_computed_fields.items():
            shown = self.generate_inner(TypeAdapter(field.return_type).core_schema)
            found["properties"][name] = shown | {"description": field.description}
        return found

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; objects that consist of defaults only are written as {}."""
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if isinstance(dft, tuple):
            return [self._whole(item) for item in dft]
        return to_jsonable_python(dft)

    def _whole(self, item: Any) -> Any:
        # The API server holds a default against the rules before it fills in what is inside.
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json", by_alias=True, exclude_none=True)
        return to_jsonable_python(item)

    def _with_default(self, found: JsonSchemaValue, default: Any) -> JsonSchemaValue:
        return {**found, "default": self.encode_default(default)}


class _Rewriter:
    """Rewrites one schema; holds its definitions."""

    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def rewrite(self, schema: Schema, path: str, within: tuple[str, ...]) -> Schema:
        """Return a node, rewritten; `within` names the definitions that it stands in."""
        node, within = self._resolved(schema, path, within)
        node = _without_null(node, path)
        _refuse(node, path)
        for key in _DROPPED:
            node.pop(key, None)
        _simple_rewrites(node, path)
        self._rewrite_properties(node, path, within)
        self._rewrite_items(node, path, within)
        self._rewrite_values(node, path, within)
        _typed(node, path)
        if not self._defaults or _says_nothing(node):
            node.pop("default", None)
        return node

    def _resolved(
        self, schema: Schema, path: str, within: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]]:
        """Return the node with its reference inlined; what stands beside it goes first."""
        node = dict(schema)
        if "anyOf" in node:  # T | None, where T may be a reference
            others = [member for member in node["anyOf"] if member != {"type": "null"}]
            if len(others) == 1 and len(others) < len(node["anyOf"]):
                node = _joined(others[0], {k: v for k, v in node.items() if k != "anyOf"})
                if node.get("default", ...) is None:
                    del node["default"]
        while "$ref" in node:
            name = node.pop("$ref").removeprefix("#/$defs/")
            if name in within:
                raise NotStructural(f"{path}: {name} holds itself; a CRD knows no recursion")
            within = (*within, name)
            node = _joined(self._definitions[name], node)
        return node, within

    def _rewrite_properties(self, node: Schema, path: str, within: tuple[str, ...]) -> None:
        if "properties" not in node:
            return
        node["properties"] = {
            name: self.rewrite(inner, f"{path}.{name}", within)
            for name, inner in node["properties"].items()
        }
        # Pruning, and kubectl's strict validation, refuse unknown fields.
        if node.get("additionalProperties") in (True, False):
            del node["additionalProperties"]

    def _rewrite_items(self, node: Schema, path: str, within: tuple[str, ...]) -> None:
        if node.get("type") == "array":
            node["items"] = self.rewrite(node.get("items", {}), f"{path}[]", within)
            node.setdefault(LIST_TYPE, "atomic")

    def _rewrite_values(self, node: Schema, path: str, within: tuple[str, ...]) -> None:
        values = node.get("additionalProperties")
        node.pop("propertyNames", None)  # bounded by a Rule: a CRD cannot say it
        if values is True:
            del node["additionalProperties"]
            node[PRESERVE] = True
        elif isinstance(values, dict):
            node["additionalProperties"] = self.rewrite(values, f"{path}[*]", within)


def _joined(inner: Schema, outer: Schema) -> Schema:
    """Return the inner schema with what stands beside it; rules of both hold."""
    rules = [*inner.get(VALIDATIONS, []), *outer.get(VALIDATIONS, [])]
    return {**inner, **outer, **({VALIDATIONS: rules} if rules else {})}


def _without_null(node: Schema, path: str) -> Schema:
    if "anyOf" not in node:
        return node
    if [{"type": m.get("type")} for m in node["anyOf"]] != [*_INT_OR_STRING]:
        raise NotStructural(
            f"{path}: anyOf {node['anyOf']}; expected one type, or integer and string"
        )
    return {**node, "anyOf": [dict(member) for member in _INT_OR_STRING], INT_OR_STRING: True}


def _refuse(node: Schema, path: str) -> None:
    for key, advice in _REFUSED.items():
        if key in node:
            raise NotStructural(f"{path}: {key} has no place in a structural schema; {advice}")
    if node.get("format") == "duration":
        raise NotStructural(f"{path}: an ISO 8601 duration; the API has Go's: use base.Duration")


def _simple_rewrites(node: Schema, path: str) -> None:
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in node:
            node[bound.lower()] = node.pop(f"exclusive{bound}")
            node[f"exclusive{bound}"] = True
    if node.pop("uniqueItems", False):
        node[LIST_TYPE] = "set"
    if "default" in node and node["default"] is None:
        raise NotStructural(f"{path}: null as a default; expected `T | None`")
    if isinstance(node.get("description"), str):
        node["description"] = " ".join(node["description"].split())


def _says_nothing(node: Schema) -> bool:
    """Whether the default is empty and has no default inside to bring along."""
    inside = node.get("properties", {}).values()
    return node.get("default") in ([], {}) and not any("default" in inner for inner in inside)


def _typed(node: Schema, path: str) -> None:
    if INT_OR_STRING in node or "type" in node:
        return
    if set(node) - {"description", "default"}:
        raise NotStructural(f"{path}: no type in {sorted(node)}; expected one")
    node.update({"type": "object", PRESERVE: True})
