"""What the API server does to an object between taking it in and storing it; pure functions."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import Conflict, Invalid, message_of
from rampway.kube.kinds import Kind
from rampway.kube.objects import typed
from rampway.sim.api_patch import without_nulls
from rampway.sim.api_rules import Rules

_SYSTEM_FIELDS = frozenset({
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
})  # fmt: skip
"""Fields of the metadata that writers cannot change."""


def stamp(at: datetime) -> str:
    """Return an instant as metadata spell it, to the second."""
    return f"{at.astimezone(UTC).isoformat(timespec='seconds')[:-6]}Z"


def instant(text: str) -> datetime:
    """Return the instant that metadata name."""
    return datetime.fromisoformat(text)


def newborn(kind: Kind, rules: Rules, obj: Obj, uid: str, at: datetime) -> Obj:
    """Return a new object as stored: the system's fields set, its status the first one."""
    new: Obj = typed(kind, without_nulls(obj))
    own = {key: new["metadata"][key] for key in ("name", "namespace") if key in new["metadata"]}
    new["metadata"] = own | _users(new["metadata"])
    new["metadata"] |= {"uid": uid, "creationTimestamp": stamp(at)}
    if rules.generation:
        new["metadata"]["generation"] = 1
    if rules.status and kind != kinds.NODE:  # a kubelet registers its node with its status
        new.pop("status", None)
    if rules.first_status is not None:
        new["status"] = dict(rules.first_status)
    return new


def allowed(rules: Rules, old: Obj, new: Obj, subresource: str | None) -> Obj:
    """Return the new object with no other change than this way of writing may make."""
    if subresource == "status":
        return _with_status(old, new)
    kept = {key: value for key, value in old["metadata"].items() if key in _SYSTEM_FIELDS}
    result = new | {"metadata": kept | _users(new["metadata"])}
    return _with_status(result, old) if rules.status else result


def generation(rules: Rules, old: Obj, new: Obj) -> dict[str, int]:
    """Return the metadata's generation after a change, or nothing for kinds that have none."""
    if not rules.generation:
        return {}
    changed = _counted(rules, new) != _counted(rules, old)
    return {"generation": old["metadata"]["generation"] + changed}


def managed(kind: Kind, old: Obj, new: Obj, manager: str, at: datetime) -> dict[str, Any]:
    """Return who owns a route's rules, or a ModelDeployment's spec, after a change of them.

    Of other kinds nothing is kept here; nor are parts of a field of the spec, which have owners of
    their own at a real API server.
    """
    before, after = (obj.get("spec") or {} for obj in (old, new))
    fields = {"rules"} if kind == kinds.HTTP_ROUTE else {*before, *after}
    changed = {f"f:{name}" for name in fields if before.get(name) != after.get(name)}
    if kind not in {kinds.HTTP_ROUTE, kinds.MODEL_DEPLOYMENT} or not changed:
        return {}
    entries = [_without(entry, changed) for entry in old["metadata"].get("managedFields") or []]
    mine = {name for entry in entries if entry.get("manager") == manager for name in _owned(entry)}
    others = [one for one in entries if one.get("manager") != manager and _owned(one)]
    fresh = {
        "manager": manager,
        "operation": "Update",
        "time": stamp(at),
        "fieldsV1": {"f:spec": {name: {} for name in sorted(mine | changed)}},
    }
    return {"managedFields": [*others, fresh]}


def _owned(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return found


def _without(entry: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    kept = {name: owned for name, owned in _owned(entry).items() if name not in names}
    return {**entry, "fieldsV1": {"f:spec": kept}}


def dying(old: Obj, at: datetime, grace_s: float) -> Obj:
    """Return the object as marked for deletion in `grace_s` seconds."""
    meta = old["metadata"] | {
        "deletionTimestamp": stamp(at + timedelta(seconds=grace_s)),
        "deletionGracePeriodSeconds": int(grace_s),
    }
    if "generation" in meta:
        meta["generation"] += 1
    return old | {"metadata": meta}


def ready_to_go(obj: Obj) -> bool:
    """Whether an object marked for deletion has nothing left to wait for."""
    meta = obj["metadata"]
    waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return "deletionTimestamp" in meta and not waits


def require_same(target: str, old: Obj, new: Obj) -> None:
    """Refuse a patch that names another object, or an older version of this one."""
    meta, old_meta = new.setdefault("metadata", {}), old["metadata"]
    for field in ("apiVersion", "kind"):
        if new.get(field) != old[field]:
            raise Invalid(message_of("patch", target, 400, f"{field} cannot be changed"))
    for field in ("name", "namespace"):
        if meta.get(field) != old_meta.get(field):
            raise Invalid(message_of("patch", target, 400, f"metadata.{field} cannot be changed"))
    for field in ("uid", "resourceVersion"):
        seen, held = meta.get(field), old_meta[field]
        if seen and seen != held:
            words = f"the object has been modified: {field} is {held}, the patch names {seen}"
            raise Conflict(message_of("patch", target, 409, words))


def _users(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if key not in _SYSTEM_FIELDS}


def _with_status(obj: Obj, source: Obj) -> Obj:
    rest = {key: value for key, value in obj.items() if key != "status"}
    return rest | ({"status": source["status"]} if "status" in source else {})


def _counted(rules: Rules, obj: Obj) -> tuple[Obj, Any]:
    content = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    notes = obj["metadata"].get("annotations") or {}
    return content, notes if rules.counts_annotations else None
