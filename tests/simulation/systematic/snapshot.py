"""Copies of a whole run, world and operator included, so that what came before is simulated once.

What can change is copied; what nobody can alter is shared between all copies: stored objects,
what is parsed from them, and the values of the pure core.
"""

import io
import pickle
from enum import Enum
from types import FunctionType, MappingProxyType
from typing import Any

from pydantic import BaseModel
from simulation.systematic.events import Event
from simulation.systematic.run import Run

from rampway.sim.api_faults import Call
from rampway.sim.api_frozen import Frozen, FrozenList
from rampway.sim.api_store import Change

PURE = ("rampway.api.", "rampway.core.", "rampway.kube.")
"""Packages whose frozen dataclasses are values: they hold nothing of a world."""
VALUES = (
    *(Frozen, FrozenList, BaseModel, Call, Change, Enum, Event),
    *(FunctionType, MappingProxyType),
)


class Snapshot:
    """A run as it stands between two seconds; each copy of it goes its own way."""

    def __init__(self, run: Run) -> None:
        text = io.BytesIO()
        writer = _Writer(text, protocol=pickle.HIGHEST_PROTOCOL)
        writer.dump(run)
        self._text, self._shared = text.getvalue(), writer.shared

    def run(self) -> Run:
        """Return a copy."""
        reader = _Reader(io.BytesIO(self._text))
        reader.shared = self._shared
        copy = reader.load()
        assert isinstance(copy, Run)
        return copy


class _Writer(pickle.Pickler):
    """Writes all but the values, which are kept as they are."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.shared: dict[int, object] = {}

    def persistent_id(self, obj: object) -> int | None:
        """Return the number of what is shared, None for what is copied."""
        if not _is_value(type(obj)):
            return None
        if isinstance(obj, FunctionType):
            _require_own(obj)
        self.shared[id(obj)] = obj
        return id(obj)


class _Reader(pickle.Unpickler):
    """Reads what a writer wrote."""

    shared: dict[int, object]

    def persistent_load(self, number: int) -> object:
        """Return what is shared."""
        return self.shared[number]


_KNOWN: dict[type, bool] = {}


def _is_value(kind: type) -> bool:
    known = _KNOWN.get(kind)
    if known is None:
        params = getattr(kind, "__dataclass_params__", None)
        frozen = params is not None and params.frozen and kind.__module__.startswith(PURE)
        known = _KNOWN[kind] = frozen or issubclass(kind, VALUES)
    return known


def _require_own(function: FunctionType) -> None:
    """Refuse a function that remembers something of the run that it was made in."""
    for cell in function.__closure__ or ():
        found = cell.cell_contents
        plain = isinstance(found, str | int | float | None)
        if not plain and not _is_value(type(found)):
            seen = f"{function.__qualname__} remembers a {type(found).__name__}"
            raise TypeError(f"{seen}, of which a copy has another one: use functools.partial")
