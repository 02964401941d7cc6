"""Neighbours, rights and ends: B15, B34, B35, B37."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from simulation.site import PLACE, SITE, Site, route, served, site
from simulation.stage import BROKEN, NAME, Stage, model, policy, quick, serving, step

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

OTHER = "numbers"
ROOT = Path(__file__).parents[2]


def route_to(host: str = "", path: str = "/", gateway: str = "eg") -> dict[str, Any]:
    """Return the traffic of a ModelDeployment."""
    hosts = [host] if host else []
    owned = {"parentRefs": [{"name": gateway}], "hostnames": hosts, "pathPrefix": path}
    return {"ownedRoute": owned}


def belongings(stage: Stage, name: str) -> list[str]:
    """Return what there is of a ModelDeployment besides itself."""
    return [
        f"{kind.kind} {obj['metadata']['name']}"
        for kind, obj in everything(stage)
        if kind is not kinds.MODEL_DEPLOYMENT and obj["metadata"]["name"].split("-")[0] == name
    ]


def everything(stage: Stage) -> Iterator[tuple[kinds.Kind, Obj]]:
    """Yield all objects that belong to a ModelDeployment, and the ModelDeployments."""
    for kind in (
        kinds.MODEL_DEPLOYMENT,
        kinds.MODEL_ROLLOUT,
        kinds.DEPLOYMENT,
        kinds.POD,
        kinds.SERVICE,
        kinds.ENDPOINT_SLICE,
        kinds.CONFIG_MAP,
        kinds.POD_DISRUPTION_BUDGET,
        kinds.HTTP_ROUTE,
    ):
        for obj in stage.world.store.list(kind):
            yield kind, obj


def neighbour(stage: Stage, traffic: Mapping[str, Any]) -> None:
    """Apply a second ModelDeployment."""
    wanted = {"model": model(7), "replicas": 1, "traffic": traffic}
    stage.world.apply(OTHER, wanted | {"rollout": {"policy": quick()}})


# B15


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (route_to(), route_to()),
        (route_to("digits.example"), route_to("digits.example")),
        (route_to("digits.example", "/models"), route_to("digits.example", "/models")),
    ],
    ids=["all-hosts", "host", "host-and-path"],
)
def test_b15_the_second_on_a_host_is_refused_and_touches_nothing(
    mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """The second on one host and path is refused by condition, names the first, makes nothing."""
    stage = serving(traffic=mine)
    route = stage.route()
    neighbour(stage, theirs)
    stage.run(90)
    status = stage.world.status(OTHER)
    assert status.phase == "Refused"
    assert stage.world.condition(OTHER, "Accepted") == "False"
    assert stage.world.condition(OTHER, "Stalled") == "True"
    assert f"{SPACE}/{NAME}" in status.message
    assert belongings(stage, OTHER) == []
    assert stage.route() == route
    assert stage.phase == "Healthy"
    assert stage.world.condition(NAME, "Accepted") == "True"


@pytest.mark.parametrize(
    "theirs",
    [
        route_to("other.example", "/models"),
        route_to("digits.example", "/other"),
        route_to("digits.example", "/models", "another-gateway"),
    ],
    ids=["host", "path", "gateway"],
)
def test_b15_neighbours_that_do_not_collide_are_accepted(theirs: dict[str, Any]) -> None:
    """Another host, path or Gateway is nobody's business."""
    stage = serving(traffic=route_to("digits.example", "/models"))
    neighbour(stage, theirs)
    stage.run(30)
    assert stage.world.status(OTHER).phase == "Healthy"
    assert stage.phase == "Healthy"


def test_b15_the_second_is_accepted_once_the_first_is_gone() -> None:
    """When the first is deleted the second takes the host, without a change of its own."""
    stage = serving()
    neighbour(stage, route_to())
    stage.run(20)
    assert stage.world.status(OTHER).phase == "Refused"
    stage.world.cluster.send(SPACE, NAME, 0)
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.world.run(45)
    assert stage.world.status(OTHER).phase == "Healthy"
    assert stage.world.condition(OTHER, "Accepted") == "True"
    assert stage.world.condition(OTHER, "Stalled") == "False"


def test_b15_the_second_is_accepted_once_it_moves_away() -> None:
    """The second names another host: it comes up."""
    stage = serving()
    neighbour(stage, route_to())
    stage.run(20)
    stage.world.apply(OTHER, {"traffic": route_to("other.example")})
    stage.run(30)
    assert stage.world.status(OTHER).phase == "Healthy"


def test_b15_who_moves_onto_a_taken_host_is_refused_however_old() -> None:
    """The older one changes its host to one that the younger serves: the younger keeps it."""
    stage = serving(traffic=route_to("digits.example"))
    neighbour(stage, route_to("other.example"))
    stage.run(30)
    assert stage.world.status(OTHER).phase == "Healthy"
    route = stage.route()
    stage.apply(traffic=route_to("other.example"))
    stage.run(90)
    assert stage.world.condition(NAME, "Accepted") == "False"
    assert stage.world.condition(OTHER, "Accepted") == "True"
    assert f"{SPACE}/{OTHER}" in stage.world.status(NAME).message
    assert stage.route() == route
    stage.world.apply(OTHER, {"paused": True})  # another generation: it is asked again
    stage.run(90)
    assert stage.world.condition(NAME, "Accepted") == "False"
    assert stage.world.condition(OTHER, "Accepted") == "True"


def test_b15_b23_a_refusal_in_mid_rollout_does_not_shield_a_bad_candidate() -> None:
    """A rollout whose owner moves onto a taken host gives its candidate's traffic back."""
    half = policy({"name": "half", "weight": "50%", "hold": "300s"})
    stage = serving(rollout=half, traffic=route_to("digits.example"))
    neighbour(stage, route_to("other.example"))
    stage.run(20)
    stage.release(2)
    stage.until_step("half")
    stage.apply(traffic=route_to("other.example"))
    stage.run(3)
    assert stage.world.condition(NAME, "Accepted") == "False"
    assert stage.weight_pct == 0
    assert stage.route()["spec"]["hostnames"] == ["digits.example"]
    stage.apply(traffic=route_to("digits.example"))
    stage.until_step("half", 60)


def test_b15_two_at_the_same_time_are_one_accepted_and_one_refused() -> None:
    """Two applied in the same second: exactly one of them gets the host, for good."""
    stage = serving(traffic=route_to("first.example"))
    neighbour(stage, route_to())
    wanted = {"model": model(8), "replicas": 1, "traffic": route_to()}
    stage.world.apply("zeros", wanted | {"rollout": {"policy": quick()}})
    stage.run(120)
    accepted = [stage.world.condition(name, "Accepted") for name in (OTHER, "zeros")]
    assert accepted == ["True", "False"]
    assert belongings(stage, "zeros") == []


def test_b15_a_holder_with_a_bad_query_keeps_its_host() -> None:
    """Accepted is False for another reason too; that does not give the host to a newcomer."""
    bad = {"name": "revenue", "threshold": {"query": "up", "min": "3"}}
    stage = serving(rollout=policy(step("half", 50, 300), checks=(bad,)))
    twice = Answer(AnswerKind.SEVERAL_SERIES, message="2 series")
    stage.world.source.answers = {"up": twice}
    stage.release(2)
    stage.run(30)
    assert stage.world.condition(NAME, "Accepted") == "False"
    neighbour(stage, route_to())
    stage.run(60)
    assert stage.world.status(OTHER).phase == "Refused"
    assert belongings(stage, OTHER) == []


TAKEN = route_to("shop.example", "/v2")
"""What the rule of the user's route answers for."""


def second(stage: Stage, **changes: Any) -> dict[str, Any]:
    """Apply another route of the user's, for OTHER; `changes` are of its rule. Return traffic."""
    found = route(backendRefs=[{"name": OTHER, "port": 80, "weight": 1}], **changes)
    found["metadata"]["name"] = "annex"
    stage.world.store.create(kinds.HTTP_ROUTE, found)
    return {"type": "RouteRef", "routeRef": {"name": "annex", "rule": "predict"}}


def accepted(stage: Stage) -> dict[str, str]:
    """Return of both whether they are accepted; who is not names the other."""
    found = {name: stage.world.condition(name, "Accepted") for name in (NAME, OTHER)}
    for name, other in ((NAME, OTHER), (OTHER, NAME)):
        if found[name] == "False":
            status = stage.world.status(name)
            assert status.reason == "RouteConflict"
            assert f"ModelDeployment {SPACE}/{other}" in status.message
    return found


@pytest.mark.parametrize("theirs", ["owned", "users"])
def test_b15_the_second_on_the_host_of_a_users_rule_is_refused(theirs: str) -> None:
    """B15: equal host and match by the user's own route count as those of an owned one do."""
    stage = served()
    before = stage.raw()
    neighbour(stage, TAKEN if theirs == "owned" else second(stage))
    stage.run(60)
    assert accepted(stage) == {NAME: "True", OTHER: "False"}
    assert belongings(stage, OTHER) == []
    assert stage.raw() == before


def test_b15_a_users_rule_on_the_host_of_an_owned_route_is_refused() -> None:
    """B15: so it is with the user's rule that comes second; elsewhere it is accepted."""
    stage = serving(traffic=TAKEN)
    neighbour(stage, second(stage))
    stage.run(60)
    assert accepted(stage) == {NAME: "True", OTHER: "False"}
    assert belongings(stage, OTHER) == []
    hosts = [{"op": "replace", "path": "/spec/hostnames", "value": ["annex.example"]}]
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, "annex", hosts)
    stage.run(30)
    assert accepted(stage) == {NAME: "True", OTHER: "True"}
    assert stage.world.status(OTHER).phase == "Healthy"


@pytest.mark.parametrize(
    "match",
    [
        {"path": {"type": "Exact", "value": "/v2"}},
        {"path": {"type": "PathPrefix", "value": "/v2/models"}},
        {"path": {"type": "PathPrefix", "value": "/v2"}, "method": "POST"},
    ],
    ids=["exact", "longer", "method"],
)
def test_b15_a_users_rule_with_another_match_is_accepted(match: dict[str, Any]) -> None:
    """B15: what the Gateway API tells apart is nobody's business."""
    stage = served()
    neighbour(stage, second(stage, matches=[match]))
    stage.run(30)
    assert accepted(stage) == {NAME: "True", OTHER: "True"}


def test_b15_b23_a_users_route_that_moves_onto_a_taken_host_is_refused_however_old() -> None:
    """B15, B23: hosts of a route change in mid-rollout: its candidate's traffic is given back."""
    stage: Site = served(quick(step("half", 50, 300)))
    neighbour(stage, route_to("other.example", "/v2"))
    stage.run(30)
    stage.release(2)
    stage.until_step("half")
    stage.harmed = True
    stage.write([{"op": "replace", "path": "/spec/hostnames", "value": ["other.example"]}])
    stage.run(3)
    assert accepted(stage) == {NAME: "False", OTHER: "True"}
    assert stage.weight_pct == 0
    stage.write([{"op": "replace", "path": "/spec/hostnames", "value": ["shop.example"]}])
    stage.until_step("half", 60)
    assert accepted(stage) == {NAME: "True", OTHER: "True"}


def test_b15_two_users_rules_at_the_same_time_are_one_accepted_and_one_refused() -> None:
    """B15: two rules of one route with an equal match, applied at once: the older name has it."""
    stage = site()
    found = route(backendRefs=[{"name": OTHER, "port": 80, "weight": 1}])
    twin = found["spec"]["rules"][PLACE] | {
        "name": "twin",
        "backendRefs": [{"name": "zeros", "port": 80, "weight": 1}],
    }
    found["spec"]["rules"].append(twin)
    stage.world.store.create(kinds.HTTP_ROUTE, found)
    for name, rule in (("zeros", "twin"), (OTHER, "predict")):
        ref = {"type": "RouteRef", "routeRef": {"name": SITE, "rule": rule}}
        stage.world.apply(name, {"model": model(7), "replicas": 1, "traffic": ref})
    stage.world.run(60)
    assert stage.world.condition(OTHER, "Accepted") == "True"
    assert stage.world.condition("zeros", "Accepted") == "False"
    assert belongings(stage, "zeros") == []


# B34


@pytest.mark.parametrize("at", ["rest", "rollout", "rollback"])
@pytest.mark.parametrize("operator", ["absent", "present"])
def test_b34_deletion_takes_everything_by_owner_references(at: str, operator: str) -> None:
    """Everything goes with the ModelDeployment, with no operator running and with one."""
    stage = serving()
    stage.harmed = True
    if at == "rollout":
        stage.release(2)
        stage.until_step("half")
    elif at == "rollback":
        stage.release(2, BROKEN)
        stage.until_phase("RolledBack")
    assert len(belongings(stage, NAME)) >= 7
    assert all("finalizers" not in obj["metadata"] for _, obj in everything(stage))
    if operator == "absent":
        stage.world.kill()
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.world.run(60)
    assert [f"{k.kind} {o['metadata']['name']}" for k, o in everything(stage)] == []


def test_b34_a_namesake_does_not_inherit() -> None:
    """Deleted and applied again under the same name: a first apply, nothing of the old one."""
    stage = serving()
    stage.release(2)
    stage.until_phase("Healthy")
    stage.harmed = True
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.apply(model=model(1), replicas=2, rollout={"policy": policy()})
    # The garbage collector has not come by yet: everything of the old one is still there.
    stage.world.reconciler.touch((SPACE, NAME), "ModelDeployment", NAME, "")
    asyncio.run(stage.world.reconciler.reconcile((SPACE, NAME)))
    assert stage.phase == "Pending"
    stage.until_phase("Healthy")
    stage.run(60)
    assert stage.stable == stage.desired
    assert stage.world.rollouts(NAME) == []
    assert len(stage.deployments()) == 1


# B35


def test_b35_without_the_operator_traffic_stays_as_it_is() -> None:
    """The operator is removed in mid-rollout: pods, weights and answers stay as they are."""
    stage = serving(rollout=quick(step("ten", 10), step("half", 50, 60)))
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.run(3)
    before = {h: stage.running(h) for h in (first, second)}
    backends = stage.backends()
    stage.world.kill()
    stage.run(600)
    assert {h: stage.running(h) for h in (first, second)} == before
    assert stage.backends() == backends
    assert 0.4 < stage.ledger.share(second, stage.world.clock() - 300) < 0.6


def test_b35_nothing_of_a_model_belongs_to_the_operator() -> None:
    """Owners are the ModelDeployment, or what it owns: no object goes with the operator."""
    stage = serving()
    stage.release(2)
    stage.until_step("half")
    allowed = {"ModelDeployment", "Deployment", "Service"}
    found = {(kind.kind, obj["metadata"]["name"]): obj for kind, obj in everything(stage)}
    for (kind, name), obj in found.items():
        if kind == "ModelDeployment":
            continue
        (owner,) = obj["metadata"]["ownerReferences"]
        assert owner["kind"] in allowed, f"{kind} {name} is owned by {owner}"
        assert found[owner["kind"], owner["name"]]["metadata"]["uid"] == owner["uid"]


# B37


def granted() -> set[tuple[str, str]]:
    """Return what the operator's role grants, as verb and resource; `status` apart."""
    text = (ROOT / "manifests/operator/rbac.yaml").read_text()
    rules = [
        rule
        for obj in yaml.safe_load_all(text)
        if obj["kind"] in {"ClusterRole", "Role"}
        for rule in obj["rules"]
    ]
    return {
        (verb, f"{resource}.{group}" if group else resource)
        for rule in rules
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }


def used(stage: Stage) -> set[tuple[str, str]]:
    """Return what the operator did at the API server, in the same form."""
    found = set()
    for call in stage.world.api.calls:
        resource = call.kind.plural + (f"/{call.subresource}" if call.subresource else "")
        group = call.kind.group
        found.add((call.verb, f"{resource}.{group}" if group else resource))
    return found


def test_b37_the_operator_does_what_its_role_grants_and_nothing_else() -> None:
    """A life with promotion, rollback and cleaning up needs no right beyond the role's."""
    stage = serving(rollout=policy(step("half", 50)))
    for number in range(2, 10):
        stage.release(number)
        stage.until_phase("Healthy")
    stage.harmed = True
    stage.release(10, BROKEN)
    stage.until_phase("RolledBack")
    stage.release(11, Behaviour(image_pull_error="no such image"))
    stage.run(30)
    did = used(stage)
    assert did <= granted()
    assert ("patch", "httproutes.gateway.networking.k8s.io") in did
    assert ("delete", "deployments.apps") in did
    assert not any("secret" in resource or "*" in resource for _, resource in did | granted())
    assert not any("*" in verb for verb, _ in granted())


def test_b37_model_pods_are_restricted_by_default() -> None:
    """The pods of a plain spec meet every demand of the restricted Pod Security Standard."""
    stage = serving()
    pods = stage.world.store.list(kinds.POD, SPACE)
    assert len(pods) == 2
    for pod in pods:
        spec = pod["spec"]
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        kinds_of = {key for volume in spec["volumes"] for key in volume} - {"name"}
        assert kinds_of <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not context.get("privileged")
            assert context["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in container["ports"])
