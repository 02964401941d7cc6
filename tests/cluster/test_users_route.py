"""A rule of the user's own HTTPRoute behind a real Gateway: split, contested, given back."""

import time

import pytest
from cluster.bench import REPLICAS
from cluster.caller import Caller, settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.site import PLACE, REF, ROUTE, Site, shares, untouched
from cluster.subject import Subject, evidence, step

pytestmark = pytest.mark.cluster

WHOLE = {
    "steps": [
        {"name": "shadow", "mirror": "50%", "hold": "3s"},
        {"name": "testers", "match": {"headers": [{"name": "x-tester", "value": "yes"}]},
         "hold": "3s"},
        step(50, "3s"),
    ],
    "checks": [],
    "rollback": {"keepCandidate": "30s"},
}  # fmt: skip
LONG = {"steps": [step(50, "15s")], "checks": [], "rollback": {"keepCandidate": "30s"}}
ENDLESS = {**LONG, "steps": [step(50, "5m")]}
LEFT = "deployments,services,modelrollouts,poddisruptionbudgets"
LET_GO_S = 30.0
"""So long no route names a model before what is left of it is deleted."""


@pytest.fixture
def site(subject: Subject) -> Site:
    """Return the user's route, applied by its user's tool."""
    made = Site(subject)
    made.apply()
    return made


def versions(recorded: Recorder) -> list[dict[str, object]]:
    """Return all that must not change in the route, version by version."""
    return [untouched(c.object) for c in recorded.changes("HTTPRoute", ROUTE) if not c.gone]


def delete(subject: Subject) -> None:
    """Delete the ModelDeployment; nothing holds it."""
    assert "finalizers" not in subject.object()["metadata"]
    words = ("delete", "modeldeployment", subject.name, "-n", subject.namespace, "--timeout=240s")
    subject.bench.kube(*words)


def named(subject: Subject, kinds: str) -> list[str]:
    """Return the names of objects of the model that are there."""
    found = subject.bench.kube.items(kinds, subject.namespace, subject.label())
    return [str(one["metadata"]["name"]) for one in found]


def at_rest(site: Site, spec: object, caller: Caller, within_s: float = 15.0) -> None:
    """Wait until the route is byte for byte what it was; then stable alone answers, none fails."""
    site.subject.until(lambda: site.route()["spec"] == spec, "the route as it was", within_s)
    since_s = settle()
    settle()
    assert len(caller.revisions(since_s)) == 1
    assert not caller.failed()


def test_b14_a_whole_rollout_touches_one_rule(
    subject: Subject, site: Site, calling: Calling, recorded: Recorder
) -> None:
    """B14: copies, headers, weights come and go; all else of the route is the same throughout."""
    before = site.route()
    subject.start("a", WHOLE, traffic=REF)
    with calling() as caller:
        subject.apply("b", WHOLE, traffic=REF)
        subject.promoted(120)
        at_rest(site, before["spec"], caller)
    assert caller.revisions() >= {f"{subject.name}-{subject.stable()}"}
    seen = versions(recorded)
    assert all(one == untouched(before) for one in seen)
    routes = [c.object for c in recorded.changes("HTTPRoute", ROUTE)]
    kinds = {f["type"] for r in routes for f in r["spec"]["rules"][PLACE]["filters"]}
    assert "RequestMirror" in kinds
    added = {r["name"] for one in routes for r in one["spec"]["rules"][3:]}
    assert added == {f"rampway-{subject.name}"}
    assert shares(recorded.changes("HTTPRoute", ROUTE), subject.name) == [0, 50, 100, 0]


def test_b23_a_bad_model_leaves_the_users_rule_as_it_was(
    subject: Subject, site: Site, calling: Calling
) -> None:
    """B14, B23: harm behind the user's route is seen, and stable alone has the rule again."""
    before = site.route()
    policy = evidence(step(50, "1m"))
    first = subject.start("v1", policy, traffic=REF)
    with calling() as caller:
        subject.apply("v3", policy, traffic=REF)
        assert subject.rolled_back(90)["reason"] == "CheckFailed"
        subject.until(lambda: site.route()["spec"] == before["spec"], "the route as it was", 15)
        since_s = settle()
        settle()
    assert caller.revisions(since_s) == {f"{subject.name}-{first}"}


@pytest.mark.parametrize("policy", ["Delete", pytest.param("Orphan", marks=pytest.mark.faults)])
def test_b34_deleted_in_mid_rollout_behind_the_users_route(
    subject: Subject, site: Site, calling: Calling, policy: str
) -> None:
    """B34: the rule is given back, pods serve on; gone 30 s after the route is, Orphan never."""
    spec = site.route()["spec"]
    subject.start("a", ENDLESS, traffic=REF, deletionPolicy=policy)
    with calling() as caller:
        subject.apply("b", ENDLESS, traffic=REF, deletionPolicy=policy)
        subject.in_force(50)
        delete(subject)
        at_rest(site, spec, caller)
    subject.bench.kube("delete", "httproute", ROUTE, "-n", subject.namespace)
    time.sleep(LET_GO_S - 5)
    kept = named(subject, "pods")
    assert len(kept) == 2
    if policy == "Orphan":
        time.sleep(25)
        assert named(subject, "pods") == kept
    else:
        subject.until(lambda: not named(subject, LEFT), "everything of it is gone", 60)


@pytest.mark.alone
@pytest.mark.faults
def test_b34_deleted_behind_the_users_route_without_an_operator(
    subject: Subject, site: Site, calling: Calling
) -> None:
    """B34: no operator: both revisions serve on; the next one to start gives the rule back."""
    spec = site.route()["spec"]
    subject.start("a", ENDLESS, traffic=REF)
    with calling() as caller:
        subject.apply("b", ENDLESS, traffic=REF)
        subject.in_force(50)
        split = site.route()["spec"]
        subject.bench.scale("rampway-operator", 0)
        try:
            delete(subject)
            since_s = settle()
            time.sleep(10)
            assert site.route()["spec"] == split != spec
            assert len(caller.revisions(since_s)) == 2
        finally:
            subject.bench.scale("rampway-operator", REPLICAS)
        at_rest(site, spec, caller, within_s=60)


@pytest.mark.faults
def test_b14_a_manifest_applied_in_a_loop_without_force_is_refused_meanwhile(
    subject: Subject, site: Site, calling: Calling, recorded: Recorder
) -> None:
    """B14: the API server refuses it while the rule is split; the rollout goes its way."""
    before = site.route()
    subject.start("a", LONG, traffic=REF)
    with calling() as caller:
        subject.apply("b", LONG, traffic=REF)
        subject.in_force(50)
        with site.syncing() as done:
            subject.promoted(90)
            at_rest(site, before["spec"], caller)
            time.sleep(3)
    refused = [one for one in done if one.returncode]
    assert refused
    assert all('conflict with "rampway"' in one.stderr for one in refused)
    assert not done[-1].returncode, "at rest both have the same, so nothing is in conflict"
    assert shares(recorded.changes("HTTPRoute", ROUTE), subject.name) == [0, 50, 100, 0]
    assert all(one == untouched(before) for one in versions(recorded))


def test_b14_a_manifest_forced_in_a_loop_holds_the_rollout(
    subject: Subject, site: Site, calling: Calling, recorded: Recorder
) -> None:
    """B14: put back twice; at the third write it holds, names who, and writes no more."""
    before = site.route()
    first = subject.start("a", ENDLESS, traffic=REF)
    with calling() as caller:
        subject.apply("b", ENDLESS, traffic=REF)
        subject.in_force(50)
        with site.syncing("--force-conflicts", every_s=2.0) as done:
            subject.until(lambda: subject.status().get("reason") == "RouteContested", "contested")
            at_rest(site, before["spec"], caller)
            since_s = settle()
            held = recorded.changes("HTTPRoute", ROUTE)[-1].object["metadata"]
            time.sleep(12)
            last = recorded.changes("HTTPRoute", ROUTE)[-1].object["metadata"]
            # Not the version: the Gateway may still write its status.
            assert last["generation"] == held["generation"], "nobody writes any more"
            assert last["annotations"] == held["annotations"]
            status = subject.status()
        assert caller.revisions(since_s) == {f"{subject.name}-{first}"}
        assert status["phase"] == "Holding"
        assert "gitops wrote the rule's backends 3 times" in status["message"]
        assert not any(one.returncode for one in done), [one.stderr for one in done]
        subject.apply("a", ENDLESS, traffic=REF)  # its user gives up
        subject.promoted()
        at_rest(site, before["spec"], caller)
    assert shares(recorded.changes("HTTPRoute", ROUTE), subject.name) == [0, 50, 0, 50, 0, 50, 0]
    assert all(one == untouched(before) for one in versions(recorded))
