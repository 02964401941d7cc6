"""Degrees of automation reach the pods' ConfigMap at the right moment, and restart nothing."""

from simulation.stage import NAME, Stage, policy, quick, serving, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.errors import NotFound
from rampway.sim.world import SPACE


def degree(stage: Stage, digest: str) -> str:
    """Return what a revision's pods are told, empty if nothing."""
    name = labels.automation_name(labels.revision_name(NAME, digest))
    try:
        found: str = stage.world.store.get(kinds.CONFIG_MAP, SPACE, name)["data"]["automation"]
    except NotFound:
        return ""
    return found


def in_status(stage: Stage, digest: str) -> str:
    """Return the degree that the ModelDeployment's status names for a revision, empty if none."""
    status = stage.world.status(NAME)
    named = [one for one in (status.stable, status.candidate) if one and one.revision == digest]
    return named[0].automation if named else ""


def test_b02_b42_an_edit_reaches_the_pods_and_restarts_none() -> None:
    """B2, B42: a changed degree is written for stable; no pod is made anew, no revision either."""
    stage = serving()
    first = stage.stable
    pods = {pod["metadata"]["uid"] for pod in stage.world.store.list(kinds.POD, SPACE)}
    assert degree(stage, first) == ""
    stage.apply(automation={"level": "Partial", "confidence": "95%"})
    stage.until(lambda: degree(stage, first) == in_status(stage, first) == "Partial 0.95")
    stage.apply(automation={"level": "Full"})
    stage.until(lambda: degree(stage, first) == in_status(stage, first) == "Full")
    assert {p["metadata"]["uid"] for p in stage.world.store.list(kinds.POD, SPACE)} == pods


def test_b42_steps_raise_the_candidates_degree_and_promotion_ends_it() -> None:
    """B42: Off before its first pod, then Assist, then the spec's; stable hears none of it."""
    off = step("off", 10) | {"automation": {"level": "Off"}}
    assist = step("assist", 50) | {"automation": {"level": "Assist"}}
    stage = serving(rollout=quick(off, assist))
    first = stage.stable
    candidate = stage.release(2)
    seen: list[str] = []
    while stage.stable == first:
        stage.run(1)
        now = degree(stage, candidate)
        if not seen or now != seen[-1]:
            seen.append(now)
        assert degree(stage, first) == ""
        if any(d["metadata"]["name"].endswith(candidate) for d in stage.deployments()):
            assert now
    assert [word for word in seen if word][:2] == ["Off", "Assist"]
    stage.until(lambda: degree(stage, candidate) == "Full")


def test_b42_the_status_follows_the_steps() -> None:
    """B42: it names what each revision's pods are told, two seconds after they are, not before."""
    off = step("off", 10) | {"automation": {"level": "Off"}}
    sure = step("sure", 50) | {"automation": {"level": "Partial", "confidence": "95%"}}
    stage = serving(rollout=quick(off, sure), automation={"level": "Assist"})
    first, candidate = stage.stable, stage.release(2)
    seen: list[str] = []
    told = [""]
    while stage.stable == first:
        assert in_status(stage, first) == "Assist"
        stage.run(1)
        now = in_status(stage, candidate)
        told.append(degree(stage, candidate))
        assert now in {"", *told[-3:]}
        seen += [now] if now and now not in seen[-1:] else []
    assert seen[:2] == ["Off", "Partial 0.95"]
    stage.until(lambda: in_status(stage, candidate) == degree(stage, candidate) == "Assist")


def test_b42_in_the_watch_both_have_the_specs_degree() -> None:
    """B42: the old revision answers its share under the degree that was edited meanwhile."""
    watch = {"hold": "60s", "holdback": "10%"}
    stage = serving(rollout=policy(step("half", 50), checks=(), watch=watch))
    first, second = stage.stable, stage.release(2)
    stage.until_phase("Watching", 400)
    stage.apply(automation={"level": "Off"})
    stage.until(lambda: degree(stage, first) == degree(stage, second) == "Off")
    assert stage.world.status(NAME).phase == "Watching"
    stage.run(2)
    assert in_status(stage, second) == "Off"
