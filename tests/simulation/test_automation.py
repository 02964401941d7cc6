"""Degrees of automation reach the pods' ConfigMap at the right moment, and restart nothing."""

from simulation.stage import NAME, Stage, quick, serving, step

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


def test_an_edit_reaches_the_pods_and_restarts_none() -> None:
    """A changed degree is written for stable; no pod is made anew, no revision either (B2)."""
    stage = serving()
    first = stage.stable
    pods = {pod["metadata"]["uid"] for pod in stage.world.store.list(kinds.POD, SPACE)}
    assert degree(stage, first) == ""
    stage.apply(automation={"level": "Partial", "confidence": "95%"})
    stage.until(lambda: degree(stage, first) == "Partial 0.95")
    stage.apply(automation={"level": "Full"})
    stage.until(lambda: degree(stage, first) == "Full")
    assert {p["metadata"]["uid"] for p in stage.world.store.list(kinds.POD, SPACE)} == pods


def test_steps_raise_the_candidates_degree_and_promotion_ends_it() -> None:
    """Off before its first pod, then Assist, then what the spec says; stable hears none of it."""
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
