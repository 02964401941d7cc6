"""What an API server stores and how: versions, owners, deletion; synchronous and without faults.

Simulated controllers (a kubelet, a Deployment controller) write here; the code under test writes
through `rampway.sim.apiserver.MemoryApi`, which adds faults and a log.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, cast

import orjson

from rampway.kube import kinds
from rampway.kube.base import JsonPatch, Labels, Obj
from rampway.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, message_of
from rampway.kube.kinds import Kind
from rampway.kube.objects import describe, has_test, named
from rampway.sim import api_collect, api_meta
from rampway.sim.api_frozen import frozen
from rampway.sim.api_meta import allowed, dying, generation, newborn, ready_to_go, require_same
from rampway.sim.api_patch import BadPatch, copied, patched
from rampway.sim.api_rules import RULES, Check, Refused, Rules, check_metadata

Clock = Callable[[], datetime]
"""The present instant, aware of its zone."""
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


def _has(obj: Obj, wanted: Labels) -> bool:
    have = obj["metadata"].get("labels") or {}
    return all(
        have.get(key) == value if isinstance(value, str) else have.get(key) in value
        for key, value in wanted.items()
    )


def _notes(obj: Obj) -> tuple[object, object]:
    return obj["metadata"].get("labels"), obj["metadata"].get("annotations")


@lru_cache(maxsize=4096)
def _require_path(kind: Kind, namespace: str | None, name: str = "") -> None:
    """Refuse what has no path at the API server."""
    kind.path(namespace, name)


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch: the object as it was after the write, or last before it went."""

    revision: int
    type: ChangeType
    kind: Kind
    obj: Obj
    at: datetime


class Store:
    """Objects in memory, each replaced and never altered, so that changes may share them.

    `rules`: the kinds served. `checks`: more of them per kind, for schemas. `pod_grace_s`: how
    long a deleted pod that is on a node stays. `shares`: what is read is not a copy but the stored
    object, which refuses to be altered: for a world that has no time for copies. A namespace must
    be there before what is in it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        namespaces: Iterable[str] = ("default",),
        rules: Mapping[Kind, Rules] = RULES,
        checks: Mapping[Kind, Iterable[Check]] | None = None,
        pod_grace_s: float = 0.0,
        shares: bool = False,
    ) -> None:
        self.clock = clock
        self.shares = shares
        self.watchers: list[Callable[[Change], None]] = []
        self._changes: list[Change] = []
        self._rules = rules
        self._checks = {kind: tuple(more) for kind, more in (checks or {}).items()}
        self._pod_grace_s = pod_grace_s
        self._objects: dict[Kind, dict[tuple[str, str], Obj]] = {kind: {} for kind in rules}
        self._texts: dict[Kind, dict[tuple[str, str], bytes]] = {kind: {} for kind in rules}
        self._uids = 0
        for name in namespaces:
            self.create(kinds.NAMESPACE, {"metadata": {"name": name}})

    @property
    def revision(self) -> int:
        """The version of the last write; `changes_since` it gives what follows."""
        return len(self._changes)

    def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
        """Return a copy of one object, or raise `NotFound`."""
        self._held("get", kind, namespace, name)
        return self._copy(kind, (namespace or "", name))

    def list(
        self, kind: Kind, namespace: str | None = None, labels: Labels | None = None
    ) -> list[Obj]:
        """Return copies of all objects with these labels, in order of namespace and name."""
        _require_path(kind, namespace)
        held = self._served("list", kind, describe(kind, namespace, ""))
        found = [
            key
            for key, obj in held.items()
            if namespace in {None, key[0]} and _has(obj, labels or {})
        ]
        return [self._copy(kind, key) for key in sorted(found)]

    def create(self, kind: Kind, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Store a new object and return a copy of it; with `dry_run`, check it only."""
        namespace, name = named(kind, obj)
        target = describe(kind, namespace, name)
        held = self._served("create", kind, target)
        if namespace and ("", namespace) not in self._objects[kinds.NAMESPACE]:
            words = f'namespaces "{namespace}" not found'
            raise NotFound(message_of("create", target, 404, words))
        if (namespace or "", name) in held:
            words = f'{kind.plural} "{name}" already exists'
            raise AlreadyExists(message_of("create", target, 409, words))
        uid = f"00000000-0000-4000-8000-{self._uids + 1:012d}"
        new = newborn(kind, self._rules[kind], obj, uid, self.clock())
        self._check("create", kind, new, None)
        if dry_run:
            return copied(new)
        self._uids += 1
        return self._given(self._record(kind, new, "ADDED"))

    def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Obj | JsonPatch,
        *,
        subresource: str | None = None,
        manager: str = "somebody",
    ) -> Obj:
        """Change an object as `KubeApi.patch` says; what changes nothing is no write."""
        old, target = self._held("patch", kind, namespace, name), describe(kind, namespace, name)
        if subresource is not None and (subresource != "status" or not self._rules[kind].status):
            words = "the server could not find the requested resource"
            raise NotFound(message_of("patch", f"{target}/{subresource}", 404, words))
        try:
            new = patched(old, patch)
        except BadPatch as err:
            error = Conflict if isinstance(patch, list) and has_test(patch) else Invalid
            raise error(message_of("patch", target, 422, str(err))) from err
        require_same(target, old, new)
        rules = self._rules[kind]
        new = allowed(rules, old, new, subresource)
        if kind in self._checks:
            new = copied(new)  # checks may fill in
        if new != old:
            self._check("patch", kind, new, old)
        if new == old:
            return self._given(old)
        if subresource is None:
            counted = generation(rules, old, new)
            owners = api_meta.managed(kind, old, new, manager, self.clock())
            new["metadata"] = new["metadata"] | counted | owners
        return self._given(self._record(kind, new, "DELETED" if ready_to_go(new) else "MODIFIED"))

    def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        grace_s: float | None = None,
    ) -> None:
        """Delete an object; finalizers, and for pods on a node a time of grace, hold it back.

        `grace_s=0` is what a kubelet says when the containers have ended.
        """
        old = self._held("delete", kind, namespace, name)
        for key, wanted in (("uid", uid), ("resourceVersion", version)):
            if wanted is not None and wanted != old["metadata"][key]:
                words = f"the object's {key} is {old['metadata'][key]}, the precondition's {wanted}"
                raise Conflict(message_of("delete", describe(kind, namespace, name), 409, words))
        if grace_s is None:
            on_node = kind == kinds.POD and (old.get("spec") or {}).get("nodeName")
            grace_s = self._pod_grace_s if on_node else 0.0
        if not grace_s and not old["metadata"].get("finalizers"):
            self._record(kind, old, "DELETED")
        elif "deletionTimestamp" not in old["metadata"]:
            self._record(kind, dying(old, self.clock(), grace_s), "MODIFIED")

    def step(self) -> int:
        """Do one round of garbage collection and of ending pods; return the number of changes."""
        before = self.revision
        for kind, obj in list(api_collect.over(self._objects, self.clock())):
            self.delete(kind, obj["metadata"]["namespace"], obj["metadata"]["name"], grace_s=0)
        for kind, obj in list(api_collect.orphans(self._objects)):
            self.delete(kind, obj["metadata"].get("namespace"), obj["metadata"]["name"])
        for kind, obj, alive in list(api_collect.half_orphans(self._objects)):
            meta = obj["metadata"]
            refs: Obj = {"metadata": {"ownerReferences": alive}}
            self.patch(kind, meta.get("namespace"), meta["name"], refs)
        return self.revision - before

    def settle(self) -> int:
        """Step until nothing changes; return the number of changes."""
        before = self.revision
        while self.step():
            pass
        return self.revision - before

    def changes_since(
        self, revision: int, kind: Kind | None = None, *, lag_s: float = 0.0
    ) -> tuple[Change, ...]:
        """Return the changes after a revision that a watch lagging `lag_s` seconds has seen."""
        return tuple(
            replace(change, obj=copied(change.obj))
            for change in self.seen_since(revision, lag_s=lag_s)
            if kind in {None, change.kind}
        )

    def seen_since(self, revision: int, *, lag_s: float = 0.0) -> Sequence[Change]:
        """Return the same without copying: for readers that alter nothing."""
        changes = self._changes[revision:]
        if not lag_s:
            return changes
        seen_until = self.clock() - timedelta(seconds=lag_s)
        return [change for change in changes if change.at <= seen_until]

    def view(self, kind: Kind) -> Mapping[tuple[str, str], Obj]:
        """Return the stored objects by namespace and name: for readers that alter nothing."""
        return self._objects[kind]

    def _given(self, stored: Obj) -> Obj:
        return stored if self.shares else copied(stored)

    def _copy(self, kind: Kind, key: tuple[str, str]) -> Obj:
        """Return a copy of a stored object, from its text: it is read more often than written."""
        if self.shares:
            return self._objects[kind][key]
        text = self._texts[kind].get(key)
        if text is None:
            text = self._texts[kind][key] = orjson.dumps(self._objects[kind][key])
        return cast("Obj", orjson.loads(text))

    def _served(self, verb: str, kind: Kind, target: str) -> dict[tuple[str, str], Obj]:
        if kind not in self._objects:
            words = "the server could not find the requested resource"
            raise NotFound(message_of(verb, target, 404, words))
        return self._objects[kind]

    def _held(self, verb: str, kind: Kind, namespace: str | None, name: str) -> Obj:
        _require_path(kind, namespace, name)
        target = describe(kind, namespace, name)
        found = self._served(verb, kind, target).get((namespace or "", name))
        if found is None:
            words = f'{kind.plural} "{name}" not found'
            raise NotFound(message_of(verb, target, 404, words))
        return found

    def _check(self, verb: str, kind: Kind, new: Obj, old: Obj | None) -> None:
        try:
            if old is None or _notes(new) != _notes(old):
                check_metadata(kind, new["metadata"])
            for check in (*self._rules[kind].checks, *self._checks.get(kind, ())):
                check(new, old)
        except Refused as err:
            name = new["metadata"]["name"]
            target = describe(kind, new["metadata"].get("namespace"), name)
            words = f'{kind.kind} "{name}" is invalid: {err}'
            raise Invalid(message_of(verb, target, 422, words)) from err

    def _record(self, kind: Kind, obj: Obj, change: ChangeType) -> Obj:
        """Store or drop the object under the next version, and tell the watchers."""
        meta = obj["metadata"]
        revision = self.revision + 1
        stored: Obj = obj | {"metadata": meta | {"resourceVersion": str(revision)}}
        stored = frozen(stored) if self.shares else copied(stored)
        key = (meta.get("namespace", ""), meta["name"])
        self._texts[kind].pop(key, None)
        if change == "DELETED":
            del self._objects[kind][key]
        else:
            self._objects[kind][key] = stored
        event = Change(revision, change, kind, stored, self.clock())
        self._changes.append(event)
        for watcher in self.watchers:
            watcher(replace(event, obj=copied(stored)))
        return stored
