"""Copies and patches of JSON, as an API server makes them."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import jsonpatch
import jsonpointer
import orjson

from rampway.kube.base import JsonPatch, Obj

T = TypeVar("T")


class BadPatch(Exception):  # noqa: N818 - an answer, not a defect
    """The JSON patch does not apply: a `test` failed, a path is missing, an operation is none."""


def copied(value: T) -> T:
    """Return a deep copy of JSON, by way of its text: many times faster than in Python."""
    return cast("T", orjson.loads(orjson.dumps(value)))


def without_nulls(value: Any) -> Any:
    """Return a copy without the fields that are null: the API server drops them."""
    if isinstance(value, dict):
        return {
            key: item if type(item) is str else without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    return [without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


def patched(obj: Obj, patch: Obj | JsonPatch) -> Obj:
    """Return the object after a merge patch (a dict) or a JSON patch (a list).

    Raises:
        BadPatch: an operation of a JSON patch does not apply.
    """
    if isinstance(patch, dict):
        return cast("Obj", merged(obj, patch))
    result = copied(obj)
    try:
        for operation in patch:
            # A value may be part of what was read, which nobody may alter, nor jsonpatch copy.
            done = [copied(_as_applied(result, operation))]
            result = jsonpatch.apply_patch(result, done, in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as err:
        raise BadPatch(str(err)) from err
    return cast("Obj", without_nulls(result))


def _as_applied(obj: Obj, operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the operation as the API server's library reads it, where it departs from RFC 6902.

    For a member that is missing, `replace` adds it, and `test` for null succeeds.
    """
    if operation.get("op") not in {"replace", "test"}:
        return operation
    parent, name = jsonpointer.JsonPointer(operation.get("path", "")).to_last(obj)
    if not isinstance(parent, dict) or name is None or name in parent:
        return operation
    if operation["op"] == "replace":
        return {**operation, "op": "add"}
    return {"op": "test", "path": "", "value": obj} if operation["value"] is None else operation


def merged(target: Any, patch: Any) -> Any:
    """Return `target` after a JSON merge patch (RFC 7386, section 2)."""
    if not isinstance(patch, dict):
        return copied(patch) if isinstance(patch, list) else patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value if type(value) is str else merged(result.get(key), value)
    return result
