"""A ModelDeployment is deleted whose pods must not go with it: B34."""

import pytest
from simulation.site import PLACE, SITE, Site, begin, served
from simulation.stage import NAME, Stage, model, quick, serving, step
from simulation.test_tenancy import belongings, everything

from rampway.api import labels
from rampway.kube import kinds
from rampway.sim.world import SPACE

HALF = quick(step("half", 50, 300))
BACKENDS = f"/spec/rules/{PLACE}/backendRefs"
SHADOW = quick({"name": "shadow", "mirror": "50%", "hold": "300s"})
TESTERS = quick(
    {"name": "testers", "match": {"headers": [{"name": "x", "value": "y"}]}, "hold": "300s"}
)


def delete(stage: Stage) -> None:
    """Delete the ModelDeployment."""
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)


def elapse(stage: Stage, seconds: int) -> None:
    """Let time go on without a ModelDeployment to watch; no request may be lost."""
    failed = stage.ledger.all.failed
    total = stage.ledger.all.total
    stage.world.run(seconds)
    assert stage.ledger.all.failed == failed, dict(stage.ledger.reasons)
    assert stage.ledger.all.total > total


def notes(stage: Site) -> dict[str, str]:
    """Return the annotations of the user's route; he wrote none."""
    return dict(stage.raw()["metadata"].get("annotations") or {})


@pytest.mark.parametrize(
    ("rollout", "at"), [(None, ""), (HALF, "half"), (SHADOW, "shadow"), (TESTERS, "testers")]
)
@pytest.mark.parametrize("operator", ["present", "absent", "killed"])
def test_b34_a_users_route_is_put_at_rest_and_goes_on_serving(
    rollout: dict[str, object] | None, at: str, operator: str
) -> None:
    """B34: no pod is taken from a live route; the operator gives the rule back when it can."""
    stage = served(rollout)
    rest = stage.raw()["spec"]
    if at:
        stage.release(2)
        stage.until_step(at)
    assert all("finalizers" not in obj["metadata"] for _, obj in everything(stage))
    split = stage.raw()["spec"]
    if operator != "present":
        stage.world.kill()
    delete(stage)
    elapse(stage, 20)
    if operator != "present":
        assert stage.raw()["spec"] == split  # nobody is there, and nothing goes
        stage.world.start()
    elapse(stage, 90)
    assert stage.raw()["spec"]["rules"][0] == rest["rules"][0]
    assert stage.raw()["spec"]["rules"][2:] == rest["rules"][2:]
    mine, was = stage.raw()["spec"]["rules"][PLACE], rest["rules"][PLACE]
    assert mine | {"backendRefs": []} == was | {"backendRefs": []}
    assert [ref["name"] for ref in mine["backendRefs"]] == [NAME]
    assert stage.owners == []
    assert notes(stage) == {}
    assert stage.world.store.list(kinds.DEPLOYMENT, SPACE)


@pytest.mark.parametrize("how", ["rule", "route", "beside"])
def test_b34_what_no_route_names_any_more_is_deleted(how: str) -> None:
    """B34: the user takes his rule away, by and by or at once: after 30 s everything is gone."""
    stage = served()
    delete(stage)
    elapse(stage, 15)
    old = {"name": "tenant-a", "port": 80, "weight": 1}
    if how == "route":
        stage.world.store.delete(kinds.HTTP_ROUTE, SPACE, SITE)
    if how == "beside":
        ours = {"name": NAME, "port": 80, "weight": 0}
        stage.write([{"op": "replace", "path": BACKENDS, "value": [old, ours]}])
        stage.world.run(60)
        assert belongings(stage, NAME)  # still named, and left as it is
        assert len(stage.raw()["spec"]["rules"][PLACE]["backendRefs"]) == 2
    if how != "route":
        stage.write([{"op": "replace", "path": BACKENDS, "value": [old]}])
    stage.world.run(25)
    assert belongings(stage, NAME)
    stage.world.run(60)
    assert [name for name in belongings(stage, NAME) if "web" not in name] == []


def test_b34_a_namesake_takes_over_what_serves() -> None:
    """B34: applied again (a GitOps tool prunes and restores), the same pods serve on."""
    stage = served(HALF)
    first = stage.stable
    pods = stage.running(first)
    stage.release(2)
    stage.until_step("half")
    delete(stage)
    elapse(stage, 10)
    assert notes(stage) == {}
    begin(stage, HALF)
    stage.run(30)
    assert (stage.phase, stage.stable) == ("Healthy", first)
    assert stage.running(first) == pods
    stage.release(3)
    stage.until_step("half")  # against what served before
    assert notes(stage) == {labels.TERM: str(stage.world.term)}  # B31: stamped anew


def test_b34_the_stamp_stays_while_another_splits_the_route() -> None:
    """B31, B34: the route is guarded for as long as a ModelDeployment names it, and no longer."""
    stage = served(HALF)
    beta = {"op": "replace", "path": f"/spec/rules/{PLACE + 1}/backendRefs",
            "value": [{"name": "numbers", "port": 80, "weight": 1}]}  # fmt: skip
    stage.write([beta])
    ref = {"type": "RouteRef", "routeRef": {"name": SITE, "rule": "beta"}}
    stage.world.apply("numbers", {"model": model(7), "replicas": 1, "traffic": ref})
    stage.run(30)
    assert stage.world.status("numbers").phase == "Healthy"
    delete(stage)
    elapse(stage, 30)
    assert notes(stage) == {labels.TERM: str(stage.world.term)}
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, "numbers")
    elapse(stage, 15)
    assert notes(stage) == {}


@pytest.mark.parametrize("traffic", ["owned", "users"])
def test_b34_orphans_stay_for_good(traffic: str) -> None:
    """B34: with Orphan nothing is ever deleted; the route is put at rest and serves."""
    users = traffic == "users"
    stage: Stage = (served if users else serving)(rollout=HALF, deletionPolicy="Orphan")
    second = stage.release(2)
    stage.until_step("half")
    delete(stage)
    elapse(stage, 300)
    assert stage.backends() == {NAME: 1}
    assert stage.running(second)
    if isinstance(stage, Site):
        refs = [{"name": "tenant-a", "port": 80, "weight": 1}]
        stage.write([{"op": "replace", "path": BACKENDS, "value": refs}])
    stage.world.run(90)  # whether a route names it or not
    assert stage.running(second)


@pytest.mark.parametrize("back", [False, True])
def test_b34_the_policy_may_be_changed_before_the_deletion(back: bool) -> None:
    """B34: Orphan set on what was made under Delete holds for all of it; and back again."""
    stage = serving()
    stage.apply(deletionPolicy="Orphan")
    stage.run(3)
    if back:
        stage.apply(deletionPolicy="Delete")
        stage.run(3)
        stage.harmed = True
    before = belongings(stage, NAME)
    delete(stage)
    if back:
        stage.world.run(60)
        assert belongings(stage, NAME) == []
        return
    elapse(stage, 60)
    assert belongings(stage, NAME) == before


def test_b34_a_site_is_not_touched_once_it_serves_others() -> None:
    """B34: a rule that sends requests to others by now is not given back to the model."""
    stage: Site = served(HALF)
    stage.release(2)
    stage.until_step("half")
    stage.world.kill()
    delete(stage)
    refs = [{"name": "tenant-a", "port": 80, "weight": 9}, {"name": NAME, "port": 80, "weight": 1}]
    stage.write([{"op": "replace", "path": BACKENDS, "value": refs}])
    stage.world.start()
    stage.world.run(60)
    assert stage.raw()["spec"]["rules"][PLACE]["backendRefs"] == refs
    assert notes(stage) == {}
