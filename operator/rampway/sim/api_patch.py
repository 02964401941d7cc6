"""Copies and patches of JSON, as an API server makes them."""

from typing import Any, TypeVar, cast

import jsonpatch
import jsonpointer

from rampway.kube.base import JsonPatch, Obj

T = TypeVar("T")


class TestFailed(Exception):  # noqa: N818 - an answer, not a defect
    """A `test` operation of a JSON patch found another value."""


class BadPatch(Exception):  # noqa: N818 - as above
    """The JSON patch does not apply, for example to a missing path."""


def copied(value: T) -> T:
    """Return a deep copy; JSON has no cycles, so `copy.deepcopy`'s bookkeeping is left out."""
    return cast("T", _copy(value))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


def without_nulls(value: Any) -> Any:
    """Return a copy without the fields that are null: the API server drops them."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


def patched(obj: Obj, patch: Obj | JsonPatch) -> Obj:
    """Return the object after a merge patch (a dict) or a JSON patch (a list).

    Raises:
        TestFailed: a `test` operation found another value, or none.
        BadPatch: an operation does not apply.
    """
    if isinstance(patch, dict):
        return cast("Obj", merged(obj, patch))
    try:
        return cast("Obj", without_nulls(jsonpatch.apply_patch(obj, patch)))
    except jsonpatch.JsonPatchTestFailed as err:
        raise TestFailed(str(err)) from err
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as err:
        raise BadPatch(str(err)) from err


def merged(target: Any, patch: Any) -> Any:
    """Return `target` after a JSON merge patch (RFC 7386, section 2)."""
    if not isinstance(patch, dict):
        return _copy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
