"""What the store of the API server in memory does beyond the contract."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest

from rampway.kube.base import Obj
from rampway.kube.errors import Invalid, NotFound
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
)
from rampway.sim.api_patch import BadPatch, merged, patched
from rampway.sim.api_rules import RULES, Refused
from rampway.sim.api_store import Change, Store

START = datetime(2026, 1, 1, tzinfo=UTC)


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time it shows."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it on."""
        self.now += timedelta(seconds=seconds)


def of(name: str, **more: object) -> Obj:
    """Return an object of any kind to create in the default namespace."""
    return {"metadata": {"name": name, "namespace": "default"}} | more


def pod(name: str, node: str | None = "node-0") -> Obj:
    """Return a pod to create, on a node or not."""
    return of(name, spec={"nodeName": node} if node else {})


def names(store: Store) -> list[str]:
    """Return the names of all pods."""
    return [one["metadata"]["name"] for one in store.list(POD)]


def test_two_runs_are_the_same() -> None:
    """The same calls give the same objects, uids and versions: a simulation can be repeated."""

    def run() -> tuple[Change, ...]:
        store = Store(Hand())
        store.create(CONFIG_MAP, of("one"))
        store.patch(CONFIG_MAP, "default", "one", {"data": {"x": "1"}})
        store.create(CONFIG_MAP, of("tried"), dry_run=True)
        store.create(POD, pod("p"))
        store.delete(CONFIG_MAP, "default", "one")
        return store.changes_since(0)

    assert run() == run()
    uids = {change.obj["metadata"]["uid"] for change in run()}
    assert len(uids) == 3


def test_creation_is_stamped_by_the_clock() -> None:
    """The time comes from the clock given."""
    clock = Hand()
    store = Store(clock)
    clock.forward(61)
    made = store.create(CONFIG_MAP, of("one"))
    assert made["metadata"]["creationTimestamp"] == "2026-01-01T00:01:01Z"


def test_changes_are_numbered_and_whole() -> None:
    """Every write is one change, with the object as it was then."""
    store = Store(Hand())
    since = store.revision
    store.create(CONFIG_MAP, of("one", data={"x": "1"}))
    store.patch(CONFIG_MAP, "default", "one", {"data": {"x": "2"}})
    store.patch(CONFIG_MAP, "default", "one", {"data": {"x": "2"}})
    store.create(POD, pod("p"))
    store.delete(CONFIG_MAP, "default", "one")
    changes = store.changes_since(since, CONFIG_MAP)
    assert [(one.type, one.obj["data"]["x"]) for one in changes] == [
        ("ADDED", "1"),
        ("MODIFIED", "2"),
        ("DELETED", "2"),
    ]
    for change in store.changes_since(0):
        assert change.obj["metadata"]["resourceVersion"] == str(change.revision)
    assert [one.revision for one in store.changes_since(since)] == [2, 3, 4, 5]
    assert store.changes_since(store.revision) == ()
    changes[0].obj["data"]["x"] = "changed"
    assert store.changes_since(since, CONFIG_MAP)[0].obj["data"]["x"] == "1"


def test_a_watch_may_lag() -> None:
    """B30: a watch that lags sees a change when it is old enough."""
    clock = Hand()
    store = Store(clock)
    since = store.revision
    store.create(CONFIG_MAP, of("one"))
    clock.forward(4)
    store.create(CONFIG_MAP, of("two"))
    assert len(store.changes_since(since, lag_s=0)) == 2
    assert [one.obj["metadata"]["name"] for one in store.changes_since(since, lag_s=4)] == ["one"]
    assert store.changes_since(since, lag_s=5) == ()
    clock.forward(5)
    assert len(store.changes_since(since, lag_s=5)) == 2


def test_watchers_are_told() -> None:
    """A watcher gets each change with a copy of its own, and may write itself."""
    store = Store(Hand())
    seen: list[Change] = []

    def watcher(change: Change) -> None:
        change.obj["data"] = "changed"
        seen.append(change)
        if change.type == "ADDED" and change.kind == CONFIG_MAP:
            store.create(POD, pod("by-watcher"))

    store.watchers.append(watcher)
    made = store.create(CONFIG_MAP, of("one", data={"x": "1"}))
    assert [(one.type, one.kind) for one in seen] == [("ADDED", CONFIG_MAP), ("ADDED", POD)]
    assert store.get(CONFIG_MAP, "default", "one") == made
    assert made["data"] == {"x": "1"}


def test_a_pod_on_a_node_ends_in_its_time() -> None:
    """A deleted pod on a node is marked, and goes when its grace is over."""
    clock = Hand()
    store = Store(clock, pod_grace_s=30)
    store.create(POD, pod("p"))
    store.delete(POD, "default", "p")
    meta = store.get(POD, "default", "p")["metadata"]
    assert meta["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    assert meta["deletionGracePeriodSeconds"] == 30
    assert meta["generation"] == 2
    clock.forward(10)
    store.delete(POD, "default", "p")
    assert store.settle() == 0
    clock.forward(20)
    assert store.settle() == 1
    assert names(store) == []


def test_a_pod_of_the_same_name_waits_for_the_old_one_to_end() -> None:
    """A kubelet's delete without grace ends a pod at once."""
    store = Store(Hand(), pod_grace_s=30)
    store.create(POD, pod("p"))
    store.delete(POD, "default", "p")
    store.patch(POD, "default", "p", {"status": {"phase": "Failed"}}, subresource="status")
    assert names(store) == ["p"]
    store.delete(POD, "default", "p", grace_s=0)
    assert names(store) == []


def test_without_grace_pods_go_at_once() -> None:
    """Grace is for pods on a node, and only when asked for."""
    store = Store(Hand())
    store.create(POD, pod("p"))
    store.delete(POD, "default", "p")
    graced = Store(Hand(), pod_grace_s=30)
    graced.create(POD, pod("p", node=None))
    graced.delete(POD, "default", "p")
    assert (names(store), names(graced)) == ([], [])


def test_garbage_goes_level_by_level() -> None:
    """A step deletes the dependants of what is gone; settling goes on to their dependants."""
    store = Store(Hand())
    above = store.create(CONFIG_MAP, of("root"))
    for name in ("child", "grandchild"):
        obj = of(name)
        obj["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "ConfigMap"}
            | {key: above["metadata"][key] for key in ("name", "uid")}
        ]
        above = store.create(CONFIG_MAP, obj)
    assert store.settle() == 0
    store.delete(CONFIG_MAP, "default", "root")
    assert len(store.list(CONFIG_MAP)) == 2
    assert store.step() >= 1
    store.settle()
    assert store.list(CONFIG_MAP) == []


def test_an_owner_of_an_unknown_kind_is_let_be() -> None:
    """What the collector cannot look up it leaves alone."""
    store = Store(Hand())
    obj = of("one")
    obj["metadata"]["ownerReferences"] = [
        {"apiVersion": "other.dev/v1", "kind": "Other", "name": "o", "uid": "1"}
    ]
    store.create(CONFIG_MAP, obj)
    assert store.settle() == 0
    assert store.get(CONFIG_MAP, "default", "one")


def test_a_namespace_takes_its_content_along() -> None:
    """What is in a deleted namespace goes with it, and nothing else."""
    store = Store(Hand(), namespaces=("default", "ml"))
    store.create(CONFIG_MAP, of("stays"))
    store.create(CONFIG_MAP, {"metadata": {"name": "goes", "namespace": "ml"}})
    store.delete(NAMESPACE, None, "ml")
    store.settle()
    assert [one["metadata"]["name"] for one in store.list(CONFIG_MAP)] == ["stays"]
    with pytest.raises(NotFound, match="namespaces"):
        store.create(CONFIG_MAP, {"metadata": {"name": "late", "namespace": "ml"}})


def test_more_checks_can_be_plugged_in() -> None:
    """A check sees the new and the old object, may fill in, and its words reach the caller."""
    seen: list[tuple[Obj, Obj | None]] = []

    def check(new: Obj, old: Obj | None) -> None:
        seen.append((new, old))
        new["spec"].setdefault("replicas", 1)
        if new["spec"]["replicas"] > 9:
            raise Refused("spec.replicas: Invalid value: 10: at most 9")

    store = Store(Hand(), checks={MODEL_DEPLOYMENT: [check]})
    made = store.create(MODEL_DEPLOYMENT, of("digits", spec={}))
    assert made["spec"]["replicas"] == 1
    with pytest.raises(Invalid, match=r'422: ModelDeployment "digits" is invalid: spec\.replicas'):
        store.patch(MODEL_DEPLOYMENT, "default", "digits", {"spec": {"replicas": 10}})
    assert store.get(MODEL_DEPLOYMENT, "default", "digits") == made
    assert (seen[0][1], seen[1][1]) == (None, made)
    store.create(SERVICE, of("digits"))
    assert len(seen) == 2


def test_a_check_does_not_reach_into_what_is_stored() -> None:
    """Filling in on a patch alters the new object only, however deep."""

    def count(new: Obj, _old: Obj | None) -> None:
        new["spec"]["deep"]["n"] += 1

    store = Store(Hand(), checks={MODEL_DEPLOYMENT: [count]})
    store.create(MODEL_DEPLOYMENT, of("digits", spec={"deep": {"n": 0}}))
    since = store.revision
    store.patch(MODEL_DEPLOYMENT, "default", "digits", {"metadata": {"labels": {"a": "b"}}})
    store.patch(MODEL_DEPLOYMENT, "default", "digits", [])
    assert [one.obj["spec"]["deep"]["n"] for one in store.changes_since(since - 1)] == [1, 2]


def test_what_a_default_undoes_is_no_write() -> None:
    """Taking away a field that a default puts back changes nothing: no version, no generation."""
    store = Store(Hand())
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}},
    }
    made = store.create(DEPLOYMENT, of("d", spec=spec))
    assert made["spec"]["replicas"] == 1
    assert store.patch(DEPLOYMENT, "default", "d", {"spec": {"replicas": None}}) == made


def test_the_kinds_served_can_be_fewer() -> None:
    """A cluster without Gateway API, or with other rules, can be had."""
    rules = {NAMESPACE: RULES[NAMESPACE], CONFIG_MAP: replace(RULES[CONFIG_MAP], generation=True)}
    store = Store(Hand(), rules=rules)
    assert store.create(CONFIG_MAP, of("one"))["metadata"]["generation"] == 1
    with pytest.raises(NotFound, match="could not find the requested resource"):
        store.list(POD)


def test_a_node_is_created_with_its_status() -> None:
    """A kubelet registers its node with what it has."""
    node = {"metadata": {"name": "node-0"}, "status": {"capacity": {"cpu": "4"}}}
    assert Store(Hand()).create(NODE, node)["status"] == {"capacity": {"cpu": "4"}}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "spec.selector: Required value"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "does not match template"),
        (
            {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}},
            },
            "containers: Required value",
        ),
    ],
)
def test_deployments_that_are_refused(spec: Obj, words: str) -> None:
    """A Deployment that cannot have pods is refused."""
    with pytest.raises(Invalid, match=words):
        Store(Hand()).create(DEPLOYMENT, of("d", spec=spec))


@pytest.mark.parametrize(
    ("kind", "meta"),
    [
        (CONFIG_MAP, {"labels": {"a": "x" * 64}}),
        (CONFIG_MAP, {"labels": {"a/b/c": "x"}}),
        (CONFIG_MAP, {"labels": {"a": 1}}),
        (CONFIG_MAP, {"annotations": {"a": 1}}),
        (CONFIG_MAP, {"annotations": {"a": "x" * 262_144}}),
        (CONFIG_MAP, {"name": "x" * 254}),
        (SERVICE, {"name": "x" * 64}),
        (SERVICE, {"name": "a.b"}),
    ],
)
def test_metadata_that_are_refused(kind: object, meta: Obj) -> None:
    """Names, labels and annotations have the lengths and forms that the API server allows."""
    obj = of("one")
    obj["metadata"] |= meta
    with pytest.raises(Invalid, match=r"422: .* is invalid: metadata\."):
        Store(Hand()).create(SERVICE if kind == SERVICE else CONFIG_MAP, obj)


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_is_rfc_7386s(target: object, patch: object, expected: object) -> None:
    """The fifteen examples of RFC 7386, appendix A."""
    assert merged(target, patch) == expected


def test_a_json_patch_leaves_the_object_alone() -> None:
    """A patch that fails half-way has done nothing to what was given."""
    obj = {"a": {"b": 1}}
    with pytest.raises(BadPatch):
        patched(obj, [{"op": "add", "path": "/a/c", "value": 2}, {"op": "remove", "path": "/x"}])
    assert obj == {"a": {"b": 1}}
    assert patched(obj, [{"op": "add", "path": "/a/c", "value": 2}]) == {"a": {"b": 1, "c": 2}}


def test_what_is_shared_refuses_to_be_altered() -> None:
    """With `shares` readers get the stored object, which cannot be altered in any depth."""
    store = Store(Hand(), shares=True)
    store.create(CONFIG_MAP, of("one", data={"x": "1"}, list=[{"y": 1}]))
    found = store.get(CONFIG_MAP, "default", "one")
    assert found is store.list(CONFIG_MAP)[0] is store.view(CONFIG_MAP)["default", "one"]
    alterations: tuple[Callable[[], object], ...] = (
        lambda: found.update(kind="x"),
        lambda: found["data"].pop("x"),
        lambda: found["metadata"].setdefault("labels", {}),
        lambda: found["list"].append(1),
        found["list"][0].clear,
    )
    for alter in alterations:
        with pytest.raises(TypeError, match="alter a copy of it instead"):
            alter()
    assert store.get(CONFIG_MAP, "default", "one")["data"] == {"x": "1"}
    mine = deepcopy(found)
    mine["list"][0]["y"] = 2
    assert copy(found["list"]) == [{"y": 1}]


def test_what_is_shared_is_json_as_it_was_written() -> None:
    """What a patch leaves alone stays the same object; what it brings becomes plain JSON."""

    class Word(StrEnum):
        NEW = "new"

    store = Store(Hand(), shares=True)
    first = store.create(CONFIG_MAP, of("one", data={"x": "1"}, more=({"y": 1},)))
    given = {"z": [1]}
    second = store.patch(CONFIG_MAP, "default", "one", {"other": given, "word": Word.NEW})
    given["z"].append(2)
    assert second["data"] is first["data"]
    assert second["more"] == [{"y": 1}]
    assert second["other"] == {"z": [1]}
    assert type(second["word"]) is str
    third = store.patch(CONFIG_MAP, "default", "one", [{"op": "add", "path": "/a", "value": given}])
    given["z"].append(3)
    assert third["a"] == {"z": [1, 2]}


def test_whoever_shares_sees_the_same_as_whoever_copies() -> None:
    """The same calls give equal objects and versions, whether they are shared or copied."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}

    def run(*, shares: bool) -> tuple[Change, ...]:
        store = Store(Hand(), shares=shares, pod_grace_s=5)
        store.create(CONFIG_MAP, of("one", data={"x": "1"}))
        store.patch(CONFIG_MAP, "default", "one", {"data": {"x": None, "y": "2"}})
        store.patch(CONFIG_MAP, "default", "one", {"data": {"y": "2"}})
        store.create(DEPLOYMENT, of("d", spec=spec))
        store.patch(DEPLOYMENT, "default", "d", {"status": {"replicas": 1}}, subresource="status")
        path = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
        store.patch(DEPLOYMENT, "default", "d", path)
        store.create(POD, pod("p"))
        store.delete(POD, "default", "p")
        return store.changes_since(0)

    assert run(shares=True) == run(shares=False)
