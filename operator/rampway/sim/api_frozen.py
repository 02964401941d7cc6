"""JSON that refuses to be altered, so that everybody may be handed the very same object."""

from typing import Any, NoReturn

from rampway.sim.api_patch import copied


def _refuse(_self: object, *_args: object, **_kwargs: object) -> NoReturn:
    words = "this object is shared with everybody who read it: alter a copy of it instead"
    raise TypeError(words)


class _Shared:
    """What a copy of it can do: be altered."""

    __slots__ = ()

    def __copy__(self) -> Any:
        """Return the same as plain JSON."""
        return copied(self)

    def __deepcopy__(self, _memo: object) -> Any:
        """Return the same as plain JSON."""
        return copied(self)


class Frozen(_Shared, dict[str, Any]):
    """A JSON object whose members stay as they are."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class FrozenList(_Shared, list[Any]):
    """A JSON array whose items stay as they are."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse


_KEPT = frozenset({str, int, float, bool, type(None), Frozen, FrozenList})
"""What is as it shall be; enums, say, are not."""


def frozen(value: Any) -> Any:
    """Return the same JSON, unalterable; parts that are so already are shared, not copied."""
    kind = type(value)
    if kind in _KEPT:
        return value
    if isinstance(value, dict):
        return Frozen({k: v if type(v) in _KEPT else frozen(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return FrozenList([v if type(v) in _KEPT else frozen(v) for v in value])
    return copied(value)  # an enum, say: its text
