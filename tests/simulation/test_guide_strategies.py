"""The files of the guide to strategies do what the guide says, in the simulated cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from simulation.stage import BROKEN, NAME, Stage, serving

from rampway.api.policy import Policy
from rampway.core.rollout import stages
from rampway.kube import kinds
from rampway.sim.world import SPACE

GUIDE = Path(__file__).resolve().parents[2] / "docs/guides"
FILES = sorted((GUIDE / "strategies").glob("*.yaml"))
LONG_S = 12_000


def policy_of(path: Path) -> dict[str, Any]:
    """Return the policy of a file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text())["spec"]["rollout"]["policy"]
    return found


def cut_short(found: dict[str, Any]) -> dict[str, Any]:
    """Return a policy without its days and hours."""
    for step in found["steps"]:
        if "hold" in step:
            step |= {"hold": "10s", "minRequests": 0}
        if "ramp" in step:
            step["ramp"]["over"] = "90s"
    if "watch" in found:
        found["watch"]["hold"] = "30s"
    return found


def approve_all(stage: Stage) -> None:
    """Let a person agree to whatever waits for consent."""
    rollout = stage.world.rollouts(NAME)[-1]
    wanted = [s.name for s in stages.of(rollout.spec.policy) if s.approval is not None]
    asked = {"spec": {"requests": {"approve": [{"step": name, "by": "ann"} for name in wanted]}}}
    stage.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, rollout.name, asked)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_good_model_goes_all_the_way(path: Path) -> None:
    """Every file's policy promotes a good model, without one failed request."""
    stage = serving(rollout=cut_short(policy_of(path)), replicas=4)
    candidate = stage.release(2)
    stage.until(lambda: bool(stage.world.rollouts(NAME)))
    approve_all(stage)
    if path.stem == "ab":
        stage.world.cluster.bear(SPACE, NAME, 0.5, {"cookie": "seen=1; group=b"})
    stage.until(lambda: stage.stable == candidate, LONG_S)
    stage.until_phase("Healthy", LONG_S)
    assert not stage.ledger.reasons


JUDGED = [path for path in FILES if policy_of(path).get("checks") != []]


@pytest.mark.parametrize("path", JUDGED, ids=[path.stem for path in JUDGED])
def test_b23_a_bad_model_goes_back(path: Path) -> None:
    """B23: the checks of every file that has some find a model that fails often."""
    stage = serving(rollout=policy_of(path), replicas=4)
    first = stage.stable
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.world.cluster.bear(SPACE, NAME, 0.5, {"cookie": "seen=1; group=b"})
    stage.until_phase("RolledBack", LONG_S)
    assert stage.stable == first


def test_the_guide_has_the_files_policies() -> None:
    """What the page shows is what the files say."""
    page = (GUIDE / "strategies.md").read_text()
    for path in FILES:
        policy = policy_of(path)
        Policy.model_validate(policy)
        assert policy in _blocks(page), path.name


def _blocks(page: str) -> list[Any]:
    return [yaml.safe_load(part.split("```", 1)[0]) for part in page.split("```yaml\n")[1:]]
