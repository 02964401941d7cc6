"""Where models come from reaches the pods' ConfigMap, and restarts nothing."""

import json

from simulation.stage import NAME, Stage, model, quick, serving, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.sim.world import SPACE


def lineage(stage: Stage, digest: str) -> dict[str, str]:
    """Return what a revision's pods are told of where their model comes from."""
    name = labels.automation_name(labels.revision_name(NAME, digest))
    text = stage.world.store.get(kinds.CONFIG_MAP, SPACE, name)["data"][labels.LINEAGE_KEY]
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def test_b02_an_edit_reaches_the_pods_and_restarts_none() -> None:
    """B2: a changed lineage is written for stable; no pod is made anew, no revision either."""
    stage = serving(info={"lineage": {"commit": "1a"}})
    first = stage.stable
    pods = {pod["metadata"]["uid"] for pod in stage.world.store.list(kinds.POD, SPACE)}
    assert lineage(stage, first) == {"commit": "1a"}
    for wanted in ({"commit": "1a", "dataset": "digits@v7"}, {}):
        stage.apply(info={"lineage": wanted or None})
        stage.until(lambda wanted=wanted: lineage(stage, first) == wanted)  # type: ignore[misc]
    stage.run(30)
    assert {p["metadata"]["uid"] for p in stage.world.store.list(kinds.POD, SPACE)} == pods
    assert stage.stable == first


def test_b02_each_revision_keeps_its_own() -> None:
    """B2: a candidate has its lineage from its first pod on, and stable's stays as it was."""
    stage = serving(info={"lineage": {"commit": "1a"}}, rollout=quick(step("half", 50)))
    first = stage.stable
    stage.apply(model=model(2), info={"lineage": {"commit": "2b"}})
    second = stage.desired
    stage.until(lambda: any(second in d["metadata"]["name"] for d in stage.deployments()))
    assert (lineage(stage, second), lineage(stage, first)) == ({"commit": "2b"}, {"commit": "1a"})
    stage.until(lambda: stage.stable == second)
    assert (lineage(stage, second), lineage(stage, first)) == ({"commit": "2b"}, {"commit": "1a"})
