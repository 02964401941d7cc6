"""The gateway of `make bench-scale`: the operator takes its answers for a real gateway's."""

import copy
from typing import Any

from bench.scale import gateway
from bench.scale.api import Api
from bench.scale.gateway import Gateway, Key, answer, split
from bench.scale.objects import manifest

from rampway.api.parse import parse_deployment
from rampway.core.traffic.split import Split
from rampway.routers import gateway_api

KEY = ("team", "m")


def route(candidate: str = "", weight_pct: int = 0, generation: int = 1) -> dict[str, Any]:
    """Return the route that the operator makes, as the API server has it."""
    found = gateway_api.manifest(deployment(), Split(candidate, weight_pct).or_rest())
    found["metadata"]["generation"] = generation
    return found


def deployment() -> Any:
    """Return the ModelDeployment of the route."""
    raw = manifest(KEY, "gateways", 2)
    raw["metadata"] |= {"uid": "u", "generation": 1, "resourceVersion": "1"}
    return parse_deployment(raw)


def test_the_operator_believes_the_answer() -> None:
    """A route that was answered is in force; one that has changed since is not."""
    fresh = route("m-new", 20)
    assert not gateway_api.read(fresh, deployment()).accepted
    answered = {**fresh, "status": answer(fresh, 1.0)}
    seen = gateway_api.read(answered, deployment())
    assert seen.accepted
    assert (seen.split.candidate, seen.split.weight_pct) == ("m-new", 20)
    changed = copy.deepcopy(answered)
    changed["metadata"]["generation"] = 2
    assert not gateway_api.read(changed, deployment()).accepted
    status = answer(changed, 2.0)
    assert gateway_api.read({**changed, "status": status}, deployment()).accepted


def test_an_answered_route_is_left_alone() -> None:
    """There is one write a generation, and none to another Gateway's routes."""
    answered = route()
    answered["status"] = answer(answered, 1.0)
    assert answer(answered, 2.0) is None
    foreign = route()
    foreign["spec"]["parentRefs"] = [{"name": "eg"}]
    assert answer(foreign, 1.0) is None


def test_the_split_is_read_as_percent() -> None:
    """At rest nobody is a candidate; else its share of all weights counts."""
    assert split(route()) == ("", 0)
    assert split(route("m-new", 20)) == ("m-new", 20)
    assert split(route("m-new", 100)) == ("m-new", 100)


def test_changes_of_a_split_are_told_and_dated() -> None:
    """Each change is told once; when the candidate got nothing any more is known."""
    told: list[tuple[Key, str, int]] = []
    now_s = [10.0]
    made = Gateway(Api(None, ""), lambda *change: told.append(change), lambda: now_s[0])  # type: ignore[arg-type]  # sends nothing here
    for found, at_s in ((route(), 10.0), (route("m-new", 20, 2), 20.0),
                        (route("m-new", 20, 2), 25.0), (route(generation=3), 30.0),
                        (route(generation=3), 40.0)):  # fmt: skip
        now_s[0] = at_s
        made._seen(found)
    assert told == [(KEY, "", 0), (KEY, "m-new", 20), (KEY, "", 0)]
    assert made.off_since(KEY, 22.0) == 30.0
    assert made.off_since(KEY, 35.0) is None  # it was off before
    assert made.off_since(("team", "other"), 0.0) is None


def test_a_candidate_with_weight_is_not_off() -> None:
    """A share that changed after the turn but is not 0 is no rollback."""
    made = Gateway(Api(None, ""), lambda *_: None, lambda: 30.0)  # type: ignore[arg-type]  # as above
    made._seen(route("m-new", 10))
    assert made.off_since(KEY, 20.0) is None


def test_routes_of_other_gateways_are_not_followed() -> None:
    """What belongs to the cluster's own gateway is none of the bench's business."""
    made = Gateway(Api(None, ""), lambda *_: None)  # type: ignore[arg-type]  # as above
    foreign = route()
    foreign["spec"]["parentRefs"] = [{"name": "eg"}]
    made._seen(foreign)
    assert made.splits == {}
    assert made._due.empty()


def test_the_gateway_is_of_a_class_of_its_own() -> None:
    """No real controller takes the class; the Gateway lets routes of all namespaces attach."""
    found = {kind.kind: obj for kind, obj in gateway.manifests("gateways", {"a": "b"})}
    assert list(found) == ["Namespace", "GatewayClass", "Gateway"]
    assert found["GatewayClass"]["spec"]["controllerName"] == gateway.CONTROLLER
    spec = found["Gateway"]["spec"]
    assert spec["gatewayClassName"] == found["GatewayClass"]["metadata"]["name"]
    assert spec["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "All"}}
    assert {obj["metadata"]["labels"]["a"] for obj in found.values()} == {"b"}
