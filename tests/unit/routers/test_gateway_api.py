"""The HTTPRoute that we own: conditional patches to its backends alone (B13, B14)."""

from copy import deepcopy
from typing import Any

import pytest
from contract.router_place import NOW_S, SPACE, Gateway, deployment, gateway

from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import JsonPatch, KubeApi, Obj
from rampway.kube.errors import AlreadyExists, Conflict, Transient
from rampway.kube.kinds import HTTP_ROUTE, Kind
from rampway.routers import rules
from rampway.routers.gateway_api import GatewayApiRouter, manifest, read

MINE = deployment(hostnames=["digits.example"], pathPrefix="/v2")


def backends(gate: Gateway) -> list[tuple[str, int]]:
    """Return the route's backends as (name, weight)."""
    (rule,) = gate.route()["spec"]["rules"]
    return [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]]


def test_the_route_that_is_made() -> None:
    """B34: parents, hosts and path of the spec; owned, so that it goes with its owner."""
    made = manifest(MINE, STABLE_ONLY)
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-digits"
    assert made["spec"]["hostnames"] == ["digits.example"]
    assert made["spec"]["parentRefs"] == [{"name": "eg"}, {"name": "in", "namespace": "gw"}]
    (rule,) = made["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v2"}}]
    assert "hostnames" not in manifest(deployment(), STABLE_ONLY)["spec"]


@pytest.mark.parametrize("weight_pct", range(101))
def test_weights_sum_to_100(weight_pct: int) -> None:
    """Stable has the rest of 100; at rest it is alone."""
    refs = rules.backends("digits", Split("digits-2", weight_pct))
    weights = {ref["name"]: ref["weight"] for ref in refs}
    expected = {"digits": 100 - weight_pct, "digits-2": weight_pct} if weight_pct else {"digits": 1}
    assert weights == expected


async def test_b14_only_the_backends_change() -> None:
    """B14: the rest of the route stays byte for byte, defaults of the server included."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, STABLE_ONLY, NOW_S)
    filled = gate.route()["spec"]
    for ref in filled["parentRefs"]:
        ref |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    filled["rules"][0]["timeouts"] = {"request": "9s"}
    gate.api.store.patch(HTTP_ROUTE, SPACE, "digits", {"spec": filled})
    before = gate.route()["spec"]
    await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    after = gate.route()["spec"]
    assert backends(gate) == [("digits", 70), ("digits-2", 30)]
    for spec in (before, after):
        del spec["rules"][0]["backendRefs"]
    assert after == before


SHAPES: dict[str, Any] = {
    "another host": ("hostnames", ["other.example"]),
    "no host": ("hostnames", None),
    "another Gateway": ("parentRefs", [{"name": "eg"}, {"name": "mine"}]),
    "a Gateway less": ("parentRefs", [{"name": "eg"}]),
    "a Gateway more": (
        "parentRefs",
        [{"name": "eg"}, {"name": "in", "namespace": "gw"}, {"name": "x"}],
    ),
    "no rule": ("rules", []),
    "a second rule": ("rules", lambda rule: [rule, rule]),
    "another path": ("rules", lambda rule: [rule | {"matches": [{"path": {"value": "/x"}}]}]),
    "a filter": ("rules", lambda rule: [rule | {"filters": [{"type": "RequestMirror"}]}]),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_b14_what_others_changed_is_seen_and_put_right(name: str) -> None:
    """B14: a route that is not as the spec wants it is told, and the next write mends it."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    key, value = SHAPES[name]
    rule = gate.route()["spec"]["rules"][0]
    changed = value(rule) if callable(value) else value
    gate.api.store.patch(HTTP_ROUTE, SPACE, "digits", {"spec": {key: changed}})
    assert not (await router.observe(MINE)).in_shape
    await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    assert (await router.observe(MINE)).in_shape
    assert backends(gate) == [("digits", 70), ("digits-2", 30)]


async def test_a_changed_spec_changes_the_route() -> None:
    """The spec's new host makes the route out of shape, and the next write follows it."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, STABLE_ONLY, NOW_S)
    moved = deployment(hostnames=["new.example"], pathPrefix="/v2")
    assert not (await router.observe(moved)).in_shape
    await router.set_split(moved, STABLE_ONLY, NOW_S)
    assert gate.route()["spec"]["hostnames"] == ["new.example"]


async def test_b15_b23_taking_traffic_away_changes_no_host() -> None:
    """B15, B23: out of shape or not, the candidate goes first; the shape follows."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    before = gate.route()["spec"]
    moved = deployment(hostnames=["taken.example"])
    await router.set_split(moved, STABLE_ONLY, NOW_S)
    assert backends(gate) == [("digits", 1)]
    assert gate.route()["spec"].get("hostnames") == before.get("hostnames")
    await router.set_split(moved, STABLE_ONLY, NOW_S)
    assert gate.route()["spec"]["hostnames"] == ["taken.example"]


class Meddler(GatewayApiRouter):
    """A router after whose read somebody else writes."""

    def __init__(self, gate: Gateway, foreign: Obj) -> None:
        class Api:
            async def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
                found = await gate.api.get(kind, namespace, name)
                gate.api.store.patch(kind, namespace, name, deepcopy(foreign))
                return found

            async def patch(
                self, kind: Kind, namespace: str | None, name: str, patch: Obj | JsonPatch
            ) -> Obj:
                return await gate.api.patch(kind, namespace, name, patch)

        api: Any = Api()
        checked: KubeApi = api
        super().__init__(checked)


@pytest.mark.parametrize(
    "foreign",
    [
        {"metadata": {"labels": {"team": "a"}}},
        {"spec": {"hostnames": ["other.example"]}},
        {"spec": {"rules": []}},
    ],
)
async def test_b14_a_write_in_between_is_a_conflict(foreign: Obj) -> None:
    """B14, B31: what changed since our read is not overwritten unseen."""
    gate = gateway()
    await GatewayApiRouter(gate.api).set_split(MINE, STABLE_ONLY, NOW_S)
    with pytest.raises(Conflict):
        await Meddler(gate, foreign).set_split(MINE, Split("digits-2", 30), NOW_S)
    rules = gate.route()["spec"]["rules"]
    assert not rules or backends(gate) == [("digits", 1)]


async def test_a_route_that_appeared_in_between_is_no_loss() -> None:
    """Made by somebody between our read and our write: told, for the next pass to read again."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, STABLE_ONLY, NOW_S)
    gate.api.fail_next(AlreadyExists("create HTTPRoute ml/digits: 409"))
    with pytest.raises(AlreadyExists):
        await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    gate.api.fail_next(Transient("503"))
    with pytest.raises(Transient):
        await router.observe(MINE)


async def test_b13_every_gateway_has_to_accept_this_generation() -> None:
    """B13: one missing, one that speaks of an earlier change, or a backend not found holds it."""
    gate = gateway()
    router = GatewayApiRouter(gate.api)
    await router.set_split(MINE, STABLE_ONLY, NOW_S)

    async def message() -> str:
        found = await router.observe(MINE)
        assert found.accepted == (not found.message)
        return found.message

    assert await message() == "2 of 2 Gateways have not answered for the route yet"
    gate.answer(parents=1)
    assert await message() == "1 of 2 Gateways have not answered for the route yet"
    gate.answer()
    assert await message() == ""
    await router.set_split(MINE, Split("digits-2", 30), NOW_S)
    assert await message() == "Gateway eg has not processed the route's latest change yet"
    gate.answer(unresolved="Service digits-2 not found")
    assert await message() == "Gateway eg: ResolvedRefs is False: Service digits-2 not found"


PARENT = {"parentRef": {"name": "eg"}}
SPEC = {"parentRefs": [{"name": "eg"}], "rules": [{"backendRefs": [{"name": "digits"}]}]}


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        (PARENT, "has not processed"),
        (PARENT | {"conditions": [{"type": "Accepted", "status": "True"}]}, "has not processed"),
        (
            PARENT | {"conditions": [{"type": "Accepted", "status": "False", "reason": "NotAllowed",
                                      "observedGeneration": 4}]},
            "Gateway eg: Accepted is False: NotAllowed",
        ),
        ({"conditions": [{"type": "Accepted", "status": "Unknown", "observedGeneration": 4}]},
         "Gateway ?: Accepted is Unknown: no reason given"),
    ],
)  # fmt: skip
def test_b13_conditions_of_any_shape(parent: Obj, words: str) -> None:
    """B13: what a gateway leaves out is not taken for consent."""
    route = {"metadata": {"generation": 4}, "spec": SPEC, "status": {"parents": [parent]}}
    assert words in read(route, deployment()).message


@pytest.mark.parametrize(
    ("refs", "at_rest", "candidate", "weight_pct"),
    [
        ([{"name": "digits"}], True, "", 0),
        (
            [{"name": "digits", "weight": 1}, {"name": "digits-2", "weight": 3}],
            False,
            "digits-2",
            75,
        ),
        (
            [{"name": "digits", "weight": 0}, {"name": "digits-2", "weight": 0}],
            False,
            "digits-2",
            0,
        ),
        ([{"name": "other"}], False, "other", 100),
        ([], False, "", 0),
        (None, False, "", 0),
    ],
)
def test_foreign_backends_are_read_as_they_are(
    refs: list[Obj] | None, at_rest: bool, candidate: str, weight_pct: int
) -> None:
    """B14: shares are of the sum, whatever others wrote; no backend is not at rest."""
    found_rules: list[Obj] = [{"backendRefs": refs}]
    route = {"metadata": {}, "spec": {"rules": found_rules}}
    found = read(route, deployment())
    assert (found.at_rest, found.split.candidate, found.split.weight_pct) == (
        at_rest,
        candidate,
        weight_pct,
    )
