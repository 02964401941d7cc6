"""The rewrite table: from pydantic's JSON schema to a structural schema."""

from datetime import timedelta
from enum import StrEnum
from types import GenericAlias
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, computed_field

from rampway.api.base import ApiModel, Quantity
from rampway.api.rules import Form, Rule, UniqueItems
from rampway.api.schema import NotStructural, structural


class Colour(StrEnum):
    """A colour."""

    RED = "Red"


class Inner(BaseModel):
    """The model inside."""

    size: int = 3


class Bare(BaseModel):
    """A model whose only default is empty."""

    names: dict[str, str] = Field(default_factory=dict)


class Tree(BaseModel):
    """A model that holds itself."""

    left: "Tree | None" = None


POSITIVE = Rule("self > 0", "expected more than 0", lambda number: number > 0)

TABLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a reference is inlined": (
        Inner,
        {
            "type": "object",
            "description": "The model inside.",
            "properties": {"size": {"type": "integer", "default": 3}},
        },
    ),
    "an enum's reference is inlined": (
        Colour,
        {"type": "string", "enum": ["Red"], "description": "A colour."},
    ),
    "null is dropped from a union": (int | None, {"type": "integer"}),
    "integer and string become int-or-string": (
        int | str,
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
        },
    ),
    "a constant becomes an enum of one": (Literal["a"], {"type": "string", "enum": ["a"]}),
    "a strict lower bound becomes a flag": (
        Annotated[int, Field(gt=3)],
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
    ),
    "a strict upper bound becomes a flag": (
        Annotated[int, Field(lt=3)],
        {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
    ),
    "a list is atomic": (
        tuple[int, ...],
        {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "atomic"},
    ),
    "a set becomes a list without repetition": (
        set[int],
        {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
    ),
    "unique items become a set": (
        Annotated[tuple[int, ...], UniqueItems()],
        {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
    ),
    "unique names become a keyed list": (
        Annotated[tuple[Inner, ...], UniqueItems("size")],
        {
            "type": "array",
            "items": {
                "type": "object",
                "description": "The model inside.",
                "properties": {"size": {"type": "integer", "default": 3}},
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["size"],
        },
    ),
    "titles, examples and deprecations are dropped": (
        Annotated[str, Field(title="t", examples=["e"], deprecated=True, description="d")],
        {"type": "string", "description": "d"},
    ),
    "anything is an object whose fields are kept": (
        Any,
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    ),
    "a free map keeps its fields": (
        dict[str, Any],
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    ),
    "a map's keys cannot be bounded by schema": (
        dict[Annotated[str, Field(max_length=3)], int],
        {"type": "object", "additionalProperties": {"type": "integer"}},
    ),
    "a rule becomes CEL": (
        Annotated[int, POSITIVE],
        {
            "type": "integer",
            "x-kubernetes-validations": [{"rule": "self > 0", "message": "expected more than 0"}],
        },
    ),
    "a form becomes a pattern and a sentence": (
        Annotated[str, Form("^a$", "the letter a")],
        {
            "type": "string",
            "pattern": "^a$",
            "x-kubernetes-validations": [
                {"rule": "self.matches(r'^a$')", "message": "expected the letter a"}
            ],
        },
    ),
    "descriptions lose their line breaks": (
        Annotated[int, Field(description="one\n  two")],
        {"type": "integer", "description": "one two"},
    ),
}

OF_FIELDS_ONLY = {"null is dropped from a union", "titles, examples and deprecations are dropped"}


def _field(kind: Any, **more: Any) -> dict[str, Any]:
    model = type("Model", (BaseModel,), {"__annotations__": {"field": kind}, **more})
    found: dict[str, Any] = structural(model)["properties"]["field"]
    return found


@pytest.mark.parametrize("sentence", TABLE)
def test_rewrite_table(sentence: str) -> None:
    """Each line of the rewrite table holds, for a field and within a list."""
    kind, expected = TABLE[sentence]
    assert _field(kind) == expected
    if sentence not in OF_FIELDS_ONLY:
        assert _field(GenericAlias(tuple, (kind, ...)))["items"] == expected


REFUSED: dict[str, tuple[Any, str]] = {
    "recursion": (Tree, "Model.field.left: Tree holds itself"),
    "a tuple of fixed length": (tuple[int, str], "Model.field: prefixItems"),
    "other unions": (int | bool, "Model.field: anyOf"),
    "discriminated unions": (
        Annotated[
            type("A", (BaseModel,), {"__annotations__": {"kind": Literal["a"]}})
            | type("B", (BaseModel,), {"__annotations__": {"kind": Literal["b"]}}),
            Field(discriminator="kind"),
        ],
        "Model.field: oneOf",
    ),
    "ISO durations": (timedelta, "Model.field: an ISO 8601 duration"),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_a_crd_cannot_say_is_refused_with_its_place(sentence: str) -> None:
    """No construct is dropped in silence."""
    kind, message = REFUSED[sentence]
    with pytest.raises(NotStructural, match=message):
        _field(kind)


def test_defaults_are_shown_whether_plain_or_made() -> None:
    """A plain default stands as it is, a made one too, and an optional field has none."""
    assert _field(int, field=3)["default"] == 3
    assert _field(int, field=Field(default_factory=lambda: 4))["default"] == 4
    assert "default" not in _field(int | None, field=None)


def test_a_default_object_is_empty_and_its_list_is_whole() -> None:
    """An object's own defaults fill it in; a list's items are held against the rules as given."""
    assert _field(Inner, field=Field(default_factory=Inner))["default"] == {}
    made = Field(default_factory=lambda: (Inner(),))
    assert _field(tuple[Inner, ...], field=made)["default"] == [{"size": 3}]


def test_a_default_that_brings_nothing_is_left_out() -> None:
    """An empty map, or an object of empty maps, is not written into users' objects."""
    assert "default" not in _field(Bare, field=Field(default_factory=Bare))


def test_a_status_has_no_defaults() -> None:
    """A status would only grow by them."""
    assert "default" not in structural(Inner, defaults=False)["properties"]["size"]


def test_rules_of_a_model_stand_on_its_object() -> None:
    """A model's rules, and those of the field that holds it, are both kept."""

    class Ruled(ApiModel):
        rules = (POSITIVE,)

    found = _field(Annotated[Ruled, Rule("true", "never", bool)])
    assert [rule["message"] for rule in found["x-kubernetes-validations"]] == [
        POSITIVE.message,
        "never",
    ]


def test_computed_fields_are_part_of_the_schema() -> None:
    """What the status shows in addition would be pruned otherwise."""

    class Computed(BaseModel):
        @computed_field(description="The answer.")  # type: ignore[prop-decorator]  # as in the API
        @property
        def answer(self) -> int:
            """Return it."""
            return 42

    assert structural(Computed)["properties"]["answer"] == {
        "type": "integer",
        "description": "The answer.",
    }


def test_amounts_are_integers_or_strings() -> None:
    """`cpu: 2` is as good as `cpu: 500m`."""
    assert _field(Quantity)["x-kubernetes-int-or-string"] is True
