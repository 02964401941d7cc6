"""A rule of the user's own route: found, split, left alone, given back (B14, B15, B16)."""

from copy import deepcopy
from typing import Any

import pytest
from simulation.site import PLACE, REF, RULE, SITE, Site, begin, route, served, site
from simulation.stage import BROKEN, NAME, model, quick, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.routers.door import SETTLE_S
from rampway.sim.world import SPACE

BACKENDS = f"/spec/rules/{PLACE}/backendRefs"
OLD: dict[str, Any] = {"name": "old", "port": 80, "weight": 1}
TESTER = {"name": "testers", "match": {"headers": [{"name": "x-tester", "value": "yes"}]}}


def accepted(stage: Site, name: str = NAME) -> tuple[str, str, str]:
    """Return status, reason and message of the condition Accepted."""
    found = {c.type: c for c in stage.world.status(name).conditions}["Accepted"]
    return found.status, found.reason, found.message


# B14


def test_b14_a_rollout_on_the_users_rule_touches_its_backends_alone() -> None:
    """B14: promoted or rolled back, filters, matches, other rules and hosts stay byte for byte."""
    stage = served()
    before, first = stage.untouched(), stage.stable
    stage.world.api.calls.clear()
    stage.release(2)
    weights = set()
    while stage.phase != "Healthy" or stage.stable == first:
        stage.run(1)
        weights.add(stage.weight_pct)
        assert stage.untouched() == before
    assert weights == {0, 10, 50, 100}
    calls = [c for c in stage.world.api.calls if c.kind is kinds.HTTP_ROUTE and c.writes]
    writes = [[op["path"] for op in call.body] for call in calls]
    assert {first for first, *_ in writes} == {"/metadata/resourceVersion"}
    assert [rest for _, *rest in writes] == [[BACKENDS]] * 4 + [["/metadata/managedFields"]]
    stage.harmed = True
    stage.release(3, BROKEN)
    stage.until_phase("RolledBack")
    assert stage.untouched() == before
    (backend,) = stage.raw()["spec"]["rules"][PLACE]["backendRefs"]
    assert (backend["name"], backend["port"]) == (NAME, 80)


def test_b14_a_mirror_and_headers_come_and_go() -> None:
    """B14: a mirror step adds one filter, a match step one rule; neither leaves anything behind."""
    mirror = {"name": "shadow", "mirror": "50%", "hold": "10s"}
    stage = served(quick(mirror, TESTER | {"hold": "10s"}, step("half", 50, 10)))
    before = stage.untouched()
    second = stage.release(2)
    stage.until_step("shadow")
    filters = stage.raw()["spec"]["rules"][PLACE]["filters"]
    assert [f["type"] for f in filters] == ["URLRewrite", "RequestMirror"]
    assert filters[1]["requestMirror"]["backendRef"]["name"] == f"{NAME}-{second}"
    stage.until_step("testers")
    added = stage.raw()["spec"]["rules"][-1]
    assert added["matches"][0]["headers"][0]["name"] == "x-tester"
    assert (added["filters"], added["timeouts"]) == (
        before["spec"]["rules"][PLACE]["filters"],
        {"request": "9s"},
    )
    stage.until_step("half")
    stage.until(lambda: stage.untouched() == before, int(SETTLE_S) + 2)
    stage.until_phase("Healthy")
    assert stage.untouched() == before


def test_b14_a_foreign_write_to_the_users_rule_is_put_back_within_2_s() -> None:
    """B14: a sync sends everything to stable; told by its event, the weight is back in 2 s."""
    stage = served(quick(step("half", 50, 60)))
    stage.release(2)
    stage.until_step("half")
    git = route()["spec"]["rules"][PLACE]["backendRefs"]
    stage.write([{"op": "replace", "path": BACKENDS, "value": git}])
    assert stage.weight_pct == 0
    assert stage.until(lambda: stage.weight_pct == 50, 2) <= 2


def test_b14_another_rules_change_is_the_users_and_stays() -> None:
    """B14: what is changed elsewhere in the route in mid-rollout is there at its end."""
    stage = served(quick(step("half", 50, 20)))
    stage.release(2)
    stage.until_step("half")
    stage.write([{"op": "replace", "path": "/spec/hostnames", "value": ["new.example"]},
                 {"op": "remove", "path": "/spec/rules/0"}])  # fmt: skip
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired
    spec = stage.raw()["spec"]
    assert spec["hostnames"] == ["new.example"]
    assert [rule["name"] for rule in spec["rules"]] == [RULE, "beta"]
    assert [ref["name"] for ref in spec["rules"][0]["backendRefs"]] == [NAME]


def test_b31_the_users_route_bears_the_term_before_it_is_split() -> None:
    """B31: a new leader stamps the user's route too, so that a deposed one's late write fails."""
    stage = served(quick(step("half", 50, 60)))
    stage.release(2)
    stage.until_step("half")
    notes = stage.raw()["metadata"].get("annotations")
    assert notes == {labels.TERM: str(stage.world.term)}
    stage.world.kill(0.0)
    stage.world.start()
    stage.apply(paused=True)
    stage.run(5)
    assert stage.raw()["metadata"].get("annotations") == {labels.TERM: str(stage.world.term)}


def test_b14_at_rest_the_rules_belong_to_nobody_else_than_their_writers() -> None:
    """B14: after a rollout, or after a rollback, a manifest applied without force is not refused.

    The ownership is given back also where the operator ended between that and the write before.
    """
    stage = served(quick(step("half", 50, 20)))
    stage.release(2)
    stage.until_step("half")
    assert stage.owners == ["rampway"]
    stage.until_phase("Healthy")
    assert stage.owners == []
    refs = stage.raw()["spec"]["rules"][PLACE]["backendRefs"]
    stage.write([{"op": "replace", "path": f"{BACKENDS}/0/weight", "value": 7}], "rampway")
    stage.run(2)
    assert stage.owners == []
    assert [ref["name"] for ref in refs] == [NAME]


def sync(stage: Site) -> None:
    """Apply the user's manifest once more, as a GitOps tool does."""
    git = route()["spec"]["rules"][PLACE]["backendRefs"]
    stage.write([{"op": "replace", "path": BACKENDS, "value": git}], "argocd-controller")


def test_b14_a_rule_that_is_contested_holds_the_rollout_and_names_who() -> None:
    """B14: at the third foreign write in 10 minutes it holds, says who, and fights no more."""
    stage = served(quick(step("half", 50, 120)))
    first = stage.stable
    second = stage.release(2)
    stage.until_step("half")
    for _ in range(2):
        sync(stage)
        assert stage.until(lambda: stage.weight_pct == 50, 2) <= 2
        stage.run(20)
    sync(stage)
    stage.run(5)
    status = stage.world.status(NAME)
    assert (status.phase, status.reason) == ("Holding", "RouteContested")
    assert "argocd-controller wrote the rule's backends 3 times" in status.message
    assert (stage.weight_pct, stage.stable) == (0, first)
    stage.world.kill(0.0)
    stage.world.start()  # it is not forgotten
    writes = len([c for c in stage.world.api.calls if c.kind is kinds.HTTP_ROUTE and c.writes])
    sync(stage)
    stage.run(300)
    assert stage.world.status(NAME).reason == "RouteContested"
    assert stage.world.rollouts(NAME)[-1].status.step.in_force_since == ""
    calls = [c for c in stage.world.api.calls if c.kind is kinds.HTTP_ROUTE and c.writes]
    assert [c for c in calls[writes:] if isinstance(c.body, list)] == []
    stage.until_phase("Healthy", 600)  # it has learnt to leave them alone
    assert stage.stable == second


def test_b14_a_contested_rule_does_not_shield_a_bad_candidate() -> None:
    """B14, B23: what a foreign write leaves to a candidate that crashes is taken away."""
    stage = served(quick(step("half", 50, 300)), rate_per_s=20.0)
    second = stage.release(2)
    stage.until_step("half")
    for weight in (49, 48, 47):
        refs = stage.raw()["spec"]["rules"][PLACE]["backendRefs"]
        refs[0]["weight"], refs[1]["weight"] = 100 - weight, weight
        stage.write([{"op": "replace", "path": BACKENDS, "value": refs}], "somebody-else")
        stage.run(3)
    assert stage.world.status(NAME).reason == "RouteContested"
    assert stage.weight_pct == 47
    stage.harmed = True
    for pod in stage.world.cluster.pods(SPACE, second):
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.run(3)
    assert stage.weight_pct == 0
    stage.until_phase("RolledBack", 20)


def test_b14_what_others_write_elsewhere_is_no_contest() -> None:
    """B14: changes of other rules, and our own lowering and raising, are not counted."""
    stage = served(quick(step("half", 50, 120)))
    stage.release(2)
    stage.until_step("half")
    for n in range(5):
        path = "/spec/rules/0/backendRefs/0/weight"
        stage.write([{"op": "replace", "path": path, "value": n + 2}], "web-team")
        stage.run(2)
    assert stage.world.rollouts(NAME)[-1].status.foreign_writes == ()
    assert stage.world.status(NAME).reason == "StepRunning"


# The rule has to be there.


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (None, "HTTPRoute default/site does not exist; apply it, with `name: predict`"),
        ([], "no rule of the name predict; its rules: none"),
        (["web", ""], "no rule of the name predict; its rules: web, #2 (no name)"),
        ([RULE, "web", RULE], "2 rules of the name predict; its rules: predict, web, predict"),
    ],
    ids=["no-route", "no-rules", "no-such-rule", "two"],
)
def test_a_rule_that_is_not_there_is_told(rules: list[str] | None, words: str) -> None:
    """A wrong routeRef says what is there and what to do, and works once it is put right."""
    stage = site()
    if rules is not None:
        found = route()
        refs = found["spec"]["rules"][PLACE]["backendRefs"]
        every = [{"backendRefs": refs} | ({"name": name} if name else {}) for name in rules]
        found["spec"]["rules"] = every
        stage.world.store.create(kinds.HTTP_ROUTE, found)
    begin(stage)
    stage.run(5)
    status, reason, message = accepted(stage)
    assert (status, reason, stage.phase) == ("False", "RouteNotFound", "Refused")
    assert words in message
    assert f"Service {NAME}, port 80, as its only backend" in message
    assert stage.deployments() == []
    if rules is None:
        stage.world.store.create(kinds.HTTP_ROUTE, route())
    else:
        good = route()["spec"]["rules"]
        stage.write([{"op": "replace", "path": "/spec/rules", "value": good}])
    stage.run(2)  # told by the route's event, not by the clock
    assert stage.deployments()
    stage.until_phase("Healthy", 60)
    assert accepted(stage)[0] == "True"


def test_a_route_that_goes_leaves_stable_up() -> None:
    """The user deletes his route: stable is kept whole, it is told, and goes on when it is back."""
    stage = served()
    stage.harmed = True
    stage.world.store.delete(kinds.HTTP_ROUTE, SPACE, SITE)
    stage.run(3)
    assert accepted(stage)[1] == "RouteNotFound"
    assert stage.ready(stage.stable) == 2
    stage.world.store.create(kinds.HTTP_ROUTE, route())
    stage.run(5)
    assert stage.phase == "Healthy"


def test_the_only_rule_needs_no_name() -> None:
    """Without `rule` the route's one rule is meant, also while we have one of our own beside it."""
    stage = site()
    found = route()
    del found["spec"]["rules"][PLACE]["name"]
    found["spec"]["rules"] = [found["spec"]["rules"][PLACE]]
    stage.world.store.create(kinds.HTTP_ROUTE, found)
    ref = {"type": "RouteRef", "routeRef": {"name": SITE}}
    begin(stage, quick(TESTER | {"hold": "10s"}, step("half", 50, 10)), traffic=ref)
    stage.until_phase("Healthy", 60)
    stage.run(10)
    before = stage.raw()["spec"]
    stage.send()
    stage.release(2)
    stage.until_step("testers")
    assert len(stage.raw()["spec"]["rules"]) == 2
    stage.until_phase("Healthy")
    (rule,) = stage.raw()["spec"]["rules"]
    assert rule["matches"] == before["rules"][0]["matches"]
    assert stage.stable == stage.desired


# A step that the route has no room for.

TENANTS = [{"headers": [{"name": "X-Tester", "value": "maybe"}]}]
MATCHES = f"/spec/rules/{PLACE}/matches"


def test_b14_a_header_that_the_users_rule_has_begins_no_rollout_and_is_told() -> None:
    """B14: a match names a header once: said before anything begins; it goes on by itself."""
    stage = served(quick(TESTER | {"hold": "10s"}, step("half", 50, 10)))
    first = stage.stable
    good = stage.raw()["spec"]["rules"][PLACE]["matches"]
    stage.harmed = True  # the clients of this test bear no such header
    stage.write([{"op": "replace", "path": MATCHES, "value": TENANTS}])
    stage.run(2)
    status, reason, message = accepted(stage)
    assert (status, reason, stage.phase) == ("False", "StepsNotPossible", "Healthy")
    assert "step testers chooses requests by header x-tester, which the route's own" in message
    stage.release(2)
    stage.run(20)
    assert (stage.phase, stage.stable, len(stage.deployments())) == ("Refused", first, 1)
    stage.write([{"op": "replace", "path": MATCHES, "value": good}])
    stage.run(2)
    assert accepted(stage)[0] == "True"
    stage.until_step("testers", 60)


def test_b14_a_header_that_the_users_rule_gets_in_mid_rollout_holds_it() -> None:
    """B14: our rule goes, the step waits and says why; once there is room it goes on."""
    stage = served(quick(TESTER | {"hold": "60s"}, step("half", 50, 10)))
    good = stage.raw()["spec"]["rules"][PLACE]["matches"]
    second = stage.release(2)
    stage.until_step("testers")
    stage.harmed = True
    stage.write([{"op": "replace", "path": MATCHES, "value": TENANTS}])
    stage.run(5)
    status = stage.world.status(NAME)
    assert (status.phase, status.reason) == ("Holding", "StepsNotPossible")
    assert stage.world.condition(NAME, "Stalled") == "True"
    assert len(stage.raw()["spec"]["rules"]) == 3
    stage.write([{"op": "replace", "path": MATCHES, "value": good}])
    stage.until_phase("Healthy")
    assert stage.stable == second


def test_b14_a_route_without_room_for_a_rule_begins_no_rollout() -> None:
    """B14: a route has 16 rules at most; ours among them does not count against itself."""
    stage = served(quick(TESTER | {"hold": "10s"}))
    more = {"matches": [{"headers": [{"name": "n", "value": "1"}]}],
            "backendRefs": [{"name": "tenant-a", "port": 80}]}  # fmt: skip
    for n in range(13):
        assert accepted(stage)[0] == "True"
        extra = {"op": "add", "path": "/spec/rules/-", "value": more | {"name": f"more-{n}"}}
        stage.write([extra])
        stage.run(2)
    assert accepted(stage)[1] == "StepsNotPossible"
    assert "adds a rule to the route, which has 16 already" in accepted(stage)[2]
    stage.write([{"op": "remove", "path": "/spec/rules/15"}])
    stage.run(2)
    stage.release(2)
    stage.until_step("testers")
    stage.run(5)
    assert len(stage.raw()["spec"]["rules"]) == 16
    assert stage.world.status(NAME).reason != "StepsNotPossible"


# B15


def test_b15_two_on_one_rule() -> None:
    """B15: the second on a rule is refused, names the first, and touches neither rule nor pods."""
    stage = served()
    before = stage.raw()
    wanted: dict[str, Any] = {"model": model(7), "replicas": 1, "traffic": REF}
    stage.world.apply("numbers", wanted)
    stage.run(30)
    status, reason, message = accepted(stage, "numbers")
    assert (status, reason) == ("False", "RouteConflict")
    assert f"ModelDeployment {SPACE}/{NAME} has this rule already" in message
    assert stage.raw() == before
    assert not stage.world.store.list(kinds.DEPLOYMENT, SPACE, {labels.DEPLOYMENT: "numbers"})
    other = deepcopy(REF) | {"routeRef": {"name": SITE, "rule": "beta"}}
    stage.world.apply("letters", wanted | {"traffic": other})
    stage.run(5)
    assert accepted(stage, "letters")[1] == "RouteInUse"  # another rule is nobody's business


# B16


def test_b16_a_rule_with_live_backends_keeps_them_until_a_person_hands_over() -> None:
    """B16: others that serve by the rule go on; the model comes up beside them, and is told."""
    stage = site()
    new = {"name": NAME, "port": 80, "weight": 1}
    stage.world.store.create(kinds.HTTP_ROUTE, route(backendRefs=[OLD]))
    begin(stage)
    before = stage.raw()
    stage.run(40)
    status, reason, message = accepted(stage)
    assert (status, reason) == ("False", "RouteInUse")
    assert "the rule sends requests to old, and is left as it is" in message
    assert f"Service {NAME} answers: make it the rule's only backend" in message
    assert stage.raw()["spec"] == before["spec"]
    assert stage.raw()["metadata"] == before["metadata"] | {
        key: stage.raw()["metadata"][key] for key in ("resourceVersion",)
    }
    assert stage.ready(stage.desired) == 2
    assert stage.stable == ""
    both = [OLD | {"weight": 90}, new | {"weight": 10}]
    stage.write([{"op": "replace", "path": BACKENDS, "value": both}])  # by weights, by himself
    stage.run(5)
    assert accepted(stage)[1] == "RouteInUse"
    assert stage.raw()["spec"]["rules"][PLACE]["backendRefs"] == both
    stage.write([{"op": "replace", "path": BACKENDS, "value": [new]}])
    stage.run(5)
    stage.send()
    assert (stage.phase, accepted(stage)[0]) == ("Healthy", "True")
    assert stage.stable == stage.desired
    stage.release(2)
    stage.until_step("ten")  # the next one is a rollout


def test_b16_a_rule_that_was_handed_over_is_not_taken_back_by_a_write() -> None:
    """B14, B16: once the rule is ours, others' backends in it are a foreign write."""
    stage = served()
    stage.harmed = True
    stage.write([{"op": "replace", "path": BACKENDS, "value": [OLD]}])
    stage.run(2)
    assert stage.backends() == {NAME: 1}
    assert accepted(stage)[0] == "True"
