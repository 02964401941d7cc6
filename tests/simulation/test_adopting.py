"""A rule that others serve already: they are stable, and the first revision is a rollout (B16)."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from simulation.site import PLACE, Site, begin, route, site
from simulation.stage import NAME, approval, match, mirror, model, policy, quick, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.sim.world import SPACE

BACKENDS = f"/spec/rules/{PLACE}/backendRefs"
NOTE = labels.adopted(NAME)
STEPS = (step("ten", 10, 20), step("half", 50, 20))
OLD: dict[str, Any] = {"group": "", "kind": "Service", "name": "old", "port": 80, "weight": 1}
OTHER = OLD | {"name": "other"}


@dataclass(slots=True)
class Adopting(Site):
    """A stage whose rule is others' until the first revision is promoted."""

    def refs(self) -> list[dict[str, Any]]:
        """Return the rule's backends."""
        found: list[dict[str, Any]] = self.raw()["spec"]["rules"][PLACE]["backendRefs"]
        return found

    def shares(self) -> dict[str, int]:
        """Return the weights of the rule's backends, by Service."""
        return {ref["name"]: ref["weight"] for ref in self.refs()}

    @property
    def note(self) -> Any:
        """What the route tells of how the rule was; None if nothing."""
        text = (self.raw()["metadata"].get("annotations") or {}).get(NOTE)
        return None if text is None else json.loads(text)

    def _watch_shape(self, backends: dict[str, int]) -> None:
        if self.stable and self.phase == "Healthy":
            Site._watch_shape(self, backends)
        assert sum(backends.values()), f"nobody gets anything: {self.summary}"


def adopting(*refs: dict[str, Any], rollout: dict[str, Any] | None = None, **spec: Any) -> Adopting:
    """Return a stage whose rule sends requests to others, under traffic, and begin."""
    made = site()
    stage = Adopting(made.world)
    for name in ("old", "other"):
        owned = {"parentRefs": [{"name": "eg"}], "hostnames": [f"{name}.example"]}
        spec_of_it = {"model": model(9), "replicas": 2, "traffic": {"ownedRoute": owned}}
        stage.world.apply(name, spec_of_it)
    stage.world.run(60)
    stage.world.store.create(kinds.HTTP_ROUTE, route(backendRefs=list(refs or (OLD,))))
    stage.world.run(5)
    stage.send()
    stage.world.run(5)
    begin(stage, rollout or quick(*STEPS), **spec)
    return stage


def accepted(stage: Site) -> tuple[str, str, str]:
    """Return status, reason and message of the condition Accepted."""
    found = {c.type: c for c in stage.world.status(NAME).conditions}["Accepted"]
    return found.status, found.reason, found.message


def test_b16_the_first_revision_is_a_rollout_against_who_serves() -> None:
    """B16: step by step beside them, then the rule is the model's; no request is lost."""
    stage = adopting()
    before = stage.untouched()
    first = stage.desired
    stage.until_step("ten")
    assert stage.shares() == {"old": 90, f"{NAME}-{first}": 10}
    assert stage.note == [OLD]
    assert (accepted(stage)[0], stage.world.condition(NAME, "Ready")) == ("True", "True")
    assert stage.world.condition(NAME, "Promoted") == "Unknown"
    since_s = stage.world.clock()
    stage.run(15)
    assert stage.ledger.share(first, since_s + 2) == pytest.approx(0.1, abs=0.04)
    stage.until_step("half")
    stage.until_phase("Healthy")
    assert stage.stable == first
    assert (stage.shares(), stage.note) == ({NAME: 1}, None)
    assert stage.untouched() == before
    assert [one.status.phase for one in stage.world.rollouts(NAME)] == ["Promoted"]
    second = stage.release(2)
    stage.until_step("ten")
    assert stage.shares() == {NAME: 90, f"{NAME}-{second}": 10}


def test_b16_a_bad_first_revision_leaves_the_rule_byte_for_byte() -> None:
    """B16, B23: two backends with weights and a filter share the rest, and get all of it back."""
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
    refs = [OLD | {"weight": 3, "filters": [header]}, OTHER]
    stage = adopting(*refs)
    before = stage.raw()["spec"]
    first = stage.desired
    stage.until_step("half")
    assert stage.shares() == {"old": 150, "other": 50, f"{NAME}-{first}": 200}
    stage.harmed = True
    for pod in stage.world.cluster.pods(SPACE, first):
        stage.world.cluster.crash(SPACE, pod.name, "OOMKilled")
    stage.until_phase("RolledBack", 30)
    assert stage.raw()["spec"] == before
    assert stage.note is None
    assert "old and other serves" in stage.world.status(NAME).message
    stage.run(60)
    assert (stage.phase, stage.stable) == ("RolledBack", "")
    stage.release(2)  # another one is tried likewise
    stage.until_step("ten")
    stage.until_phase("Healthy")
    assert stage.shares() == {NAME: 1}


def test_b16_checks_that_compare_begin_nothing_until_they_are_gone() -> None:
    """B16: nobody counts what the others answer; it is said, and goes on without those checks."""
    stage = adopting(rollout=policy(*STEPS))
    stage.run(40)
    status, reason, message = accepted(stage)
    assert (status, reason) == ("False", "RouteInUse")
    assert "errors, slow compare with stable, and nobody counts what those others" in message
    assert stage.refs() == [OLD]
    stage.apply(rollout={"policy": quick(*STEPS)})
    stage.until_step("half")
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


def test_b16_a_sync_of_the_old_manifest_is_put_back_and_contested() -> None:
    """B14, B16: the user's manifest applied in mid-rollout sends all to the others, and so on."""
    stage = adopting(rollout=quick(step("half", 50, 300)))
    stage.until_step("half")
    split = stage.refs()
    for _ in range(2):
        stage.write([{"op": "replace", "path": BACKENDS, "value": [OLD]}], "argocd")
        assert stage.until(lambda: stage.refs() == split, 2) <= 2
        stage.run(10)
    stage.write([{"op": "replace", "path": BACKENDS, "value": [OLD]}], "argocd")
    stage.run(10)
    assert stage.refs() == [OLD]
    assert stage.world.status(NAME).reason == "RouteContested"
    stage.ask(abort="it is contested")
    stage.until_phase("RolledBack")
    assert (stage.refs(), stage.note) == ([OLD], None)


def test_b16_others_that_the_user_exchanges_in_mid_rollout_are_the_new_ones() -> None:
    """B16: a rule written anew is taken as it is then: what it was before is forgotten."""
    stage = adopting(rollout=quick(step("half", 50, 60)))
    stage.until_step("half")
    stage.write([{"op": "replace", "path": BACKENDS, "value": [OTHER]}], "somebody")
    stage.run(5)
    assert stage.shares() == {"other": 50, f"{NAME}-{stage.desired}": 50}
    assert stage.note == [OTHER]
    stage.apply(model=model(4))  # superseded
    stage.until(lambda: stage.refs() == [OTHER], 10)


@pytest.mark.parametrize(
    "strategy",
    [
        quick(mirror("shadow", 50, 10), match("testers", 10, x_tester="yes"), step("half", 50, 10)),
        policy(approval("go"), checks=(), strategy="BlueGreen"),
    ],
)
def test_b16_every_strategy_adopts(strategy: dict[str, Any]) -> None:
    """B16: copies, chosen requests and a switch, against whoever serves."""
    stage = adopting(rollout=strategy)
    before = stage.untouched()
    for _ in range(120):
        stage.run(1)
        if stage.world.status(NAME).reason == "WaitingForApproval":
            stage.ask(approve="go")
        if stage.phase == "Healthy":
            break
        assert "old" in stage.shares()
    assert (stage.shares(), stage.note) == ({NAME: 1}, None)
    assert stage.untouched() == before
    assert stage.stable == stage.desired


@pytest.mark.parametrize("at", ["ten", "half", "Promoting"])
def test_b29_killed_in_an_adoption(at: str) -> None:
    """B29: a new operator goes on where the old one was, however far that is."""
    stage = adopting()
    if at == "Promoting":
        stage.until_step("half")
        stage.until(lambda: stage.shares().get("old") in {0, None}, 60)
    else:
        stage.until_step(at)
    stage.world.kill(0.0)
    stage.world.run(20)
    stage.world.start()
    stage.until_phase("Healthy")
    assert (stage.shares(), stage.note, stage.stable) == ({NAME: 1}, None, stage.desired)
    assert len(stage.world.rollouts(NAME)) == 1


@pytest.mark.parametrize("operator", ["present", "absent"])
def test_b34_deleted_in_an_adoption_the_others_have_their_rule_back(operator: str) -> None:
    """B34: the rule is given back as it was, then the model goes."""
    stage = adopting(rollout=quick(step("half", 50, 300)))
    before = [OLD]
    stage.until_step("half")
    failed = stage.ledger.all.failed
    if operator == "absent":
        stage.world.kill()
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.world.run(20)
    if operator == "absent":
        assert stage.refs() != before
        stage.world.start()
    stage.world.run(90)
    assert (stage.refs(), stage.note) == (before, None)
    assert stage.ledger.all.failed == failed
    left = stage.world.store.list(kinds.DEPLOYMENT, SPACE, {labels.DEPLOYMENT: NAME})
    assert left == []


def test_b1_paused_or_scaled_to_zero_nothing_is_adopted_yet() -> None:
    """B7, B38: recorded while paused or without replicas; begun after that."""
    stage = adopting(paused=True)
    stage.run(30)
    assert (stage.phase, stage.refs()) == ("Paused", [OLD])
    stage.apply(paused=False, replicas=0)
    stage.run(30)
    assert (stage.phase, stage.refs()) == ("ScaledToZero", [OLD])
    stage.apply(replicas=2)
    stage.until_step("ten")
    stage.apply(replicas=0)
    stage.run(20)
    assert stage.refs() == [OLD]
    stage.apply(replicas=2)
    stage.until_phase("Healthy")
    assert stage.shares() == {NAME: 1}


def test_b15_b16_b23_a_route_that_moves_onto_a_taken_host_goes_back_to_who_served() -> None:
    """B15, B16, B23: refused in the middle of an adoption, no candidate is left unjudged."""
    stage = adopting()
    owned = {"parentRefs": [{"name": "eg"}], "hostnames": ["annex.example"], "pathPrefix": "/v2"}
    stage.world.apply("numbers", {"model": model(7), "traffic": {"ownedRoute": owned}})
    stage.until_step("ten")
    stage.harmed = True  # the clients go on at the old host
    stage.write([{"op": "replace", "path": "/spec/hostnames", "value": ["annex.example"]}])
    stage.run(3)
    assert accepted(stage)[:2] == ("False", "RouteConflict")
    assert (stage.refs(), stage.note) == ([OLD], None)
    stage.write([{"op": "replace", "path": "/spec/hostnames", "value": ["shop.example"]}])
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired
