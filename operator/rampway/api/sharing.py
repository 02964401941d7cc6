"""What parsed objects have in common is held once: those of a thousand rollouts are kept."""

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel

_SET: dict[frozenset[str], set[str]] = {}
_SHARED: set[int] = set()
"""The ids of what `_SET` holds: it lets none go."""
_M = TypeVar("_M", bound=BaseModel)


def sharing(model: _M) -> _M:
    """Return the model; which of its fields were set it shares with all that are alike.

    Each part of a model has a set for that, a quarter of what an object takes that was parsed, and
    a thousand rollouts are kept. Models are frozen, and a copy has a set of its own: one that
    shares its set was here before, with all that is in it.
    """
    todo: list[object] = [model]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseModel):
            told = one.__pydantic_fields_set__
            if id(told) in _SHARED:
                continue
            shared = _SET.setdefault(frozenset(told), told)
            _SHARED.add(id(shared))
            object.__setattr__(one, "__pydantic_fields_set__", shared)
            todo += one.__dict__.values()
        elif isinstance(one, (tuple, list)):
            todo += one
        elif isinstance(one, dict):
            todo += one.values()
    return model


_PARTS: WeakValueDictionary[tuple[type, bytes], BaseModel] = WeakValueDictionary()


def sharing_parts(spec: _M, written: Mapping[str, Any]) -> _M:
    """Return the spec; a part that another one has word for word becomes one with it.

    Teams give their models the same policies and resources: two thirds of what a spec takes.

    Args:
        spec: What was validated, seen by nobody yet.
        written: From what.
    """
    for name, field in type(spec).model_fields.items():
        part = spec.__dict__[name]
        if isinstance(part, BaseModel):
            text = repr(written.get(field.alias or name)).encode(errors="surrogatepass")
            known = _PARTS.setdefault((type(part), hashlib.sha256(text).digest()), part)
            # Another part of the spec may have a say in it.
            if known == part:
                spec.__dict__[name] = known
    return spec
