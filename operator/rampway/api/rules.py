"""Rules on fields, written once and kept twice: by pydantic here, by CEL at the API server.

Both speak the same sentence, so that a file refused offline is refused by the cluster, and the
other way round. The generator (schema.py) finds the rules in pydantic's JSON schema.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
TEXT_EXPECTED = "text_expected"
"""Type of pydantic's error where a string of a certain form belongs, and something else stands."""
BROKEN = "rule_broken"
"""Type of pydantic's error where a rule does not hold."""

Path = tuple[int | str, ...]


def broken(text: str, at: Path = ()) -> PydanticCustomError:
    """Return the error of a rule: a sentence, and the part of the value that breaks it."""
    return PydanticCustomError(BROKEN, "{text}", {"text": text, "at": at})


@dataclass(frozen=True)
class Rule:
    """One rule of a field or a model: an annotation, or an item of a model's `rules`."""

    cel: str
    """The rule as CEL; `self` is the value with its defaults filled in."""
    message: str
    """What is wrong and what is expected, in a sentence for the person who wrote it."""
    holds: Callable[[Any], bool]
    """The same in Python, on a value whose fields have been parsed."""
    seen: Callable[[Any], str] = lambda _: ""
    """What breaks it, where the path does not say: names and places. CEL has no words for it."""
    at: Callable[[Any], Path] = lambda _: ()
    """The part of the value that breaks it, where that is not all of it. CEL names the whole."""

    def schema(self) -> dict[str, str]:
        """Return the rule as an item of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.message}

    def check(self, value: Any) -> Any:
        """Return the value, or raise ValueError with the rule's sentence and place."""
        if not self.holds(value):
            seen = self.seen(value)
            text = f"{self.message}; seen: {seen}" if seen else self.message
            raise broken(text, self.at(value))
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(schema)
        return found | {VALIDATIONS: [*found.get(VALIDATIONS, []), self.schema()]}


@dataclass(frozen=True)
class Form:
    """The form of a string: a pattern for programs, and a sentence for people."""

    pattern: str
    """A regular expression that Python, RE2 and ECMA read alike, from ^ to $."""
    expected: str
    """What a good value looks like, with an example."""
    advice: Callable[[object], str] = lambda _: ""
    """What to write instead of what was seen, empty if nobody knows."""

    @property
    def rule(self) -> Rule:
        """The form as a rule."""
        return Rule(
            cel=f"self.matches(r'{self.pattern}')",
            message=f"expected {self.expected}",
            holds=lambda text: bool(re.fullmatch(self.pattern, text)),
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._text, handler(source))

    def _text(self, value: Any) -> Any:
        """Return a string of this form as it is; anything else is told of the form.

        Before all else: that something is no string, or too long, says less.
        """
        if not (isinstance(value, str) and self.rule.holds(value)):
            kind = BROKEN if isinstance(value, str) else TEXT_EXPECTED
            about = {"text": self.rule.message, "advice": self.advice(value)}
            raise PydanticCustomError(kind, "{text}", about)
        return value

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = self.rule.__get_pydantic_json_schema__(schema, handler)
        return found | {"pattern": self.pattern}


@dataclass(frozen=True)
class UniqueItems:
    """A list without order or repetition: by its items, or by the items' field `key`."""

    key: str = ""

    def check(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return the items, or raise ValueError with the first one that is there twice."""
        seen = set()
        for index, item in enumerate(items):
            name = getattr(item, self.key) if self.key else item
            if name in seen:
                at = (index, self.key) if self.key else (index,)
                raise broken(f"Duplicate value: {name!r} is there twice", at)
            seen.add(name)
        return items

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kind = {LIST_TYPE: "map", LIST_KEYS: [self.key]} if self.key else {LIST_TYPE: "set"}
        return handler(schema) | kind


def matches(value: str, pattern: str) -> str:
    """Return CEL that is true when the expression `value` has the form of `pattern`.

    A rule that computes with a string guards itself with this: a malformed one has its own
    message already, and a failed conversion would only add noise.
    """
    return f"{value}.matches(r'{pattern}')"
