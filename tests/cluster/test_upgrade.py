"""The operator is replaced by another version of itself under twenty models that serve."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from cluster.bench import Bench, Obj
from cluster.between import pointed
from cluster.caller import calling, settle
from cluster.subject import Subject, identities

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

MODELS = 20
RATE_PER_S = 40.0
OTHER_VERSION = {
    "RAMPWAY_MODEL_SERVER_IMAGE": "rampway.local/model-server:of-the-next-version",
    "RAMPWAY_RESYNC_INTERVAL_S": "5",
}
"""What another version would come with: another default server, which nobody could pull here."""


def shapes(bench: Bench, namespace: str) -> dict[str, Obj]:
    """Return the specs of everything that requests pass through, by kind and name."""
    kinds = "deployments,services,httproutes,poddisruptionbudgets"
    found = bench.kube.items(kinds, namespace)
    return {f"{one['kind']} {one['metadata']['name']}": one["spec"] for one in found}


def taken_up(models: Sequence[Subject], note: str) -> None:
    """Change what makes no revision, and wait until the operator has seen that of each model."""
    changed = [
        one.manifest("a", info={"version": "a", "lineage": {"seen": note}}) for one in models
    ]
    models[0].bench.kube.apply(*changed)
    for one in models:
        one.until(lambda one=one: one.status().get("phase") == "Healthy", f"{one.name} {note}")  # type: ignore[misc]  # mypy knows no defaults of lambdas


@pytest.mark.faults
def test_b03_b33_an_upgrade_under_twenty_models(
    bench: Bench, subject: Subject, tmp_path: Path
) -> None:
    """B3, B33: there and back: no pod is restarted, no object changed, and no request fails."""
    models = [subject.sibling(f"{number}") for number in range(MODELS)]
    bench.kube.apply(*(one.manifest("a") for one in models))
    for one in models:
        one.promoted(180)
    pods = identities(bench.kube.items("pods", subject.namespace))
    before = shapes(bench, subject.namespace)
    names = [one.name for one in models]
    with calling(bench, names, tmp_path / "answers", subject.tell, RATE_PER_S) as caller:
        with pointed(bench, OTHER_VERSION, {}):
            taken_up(models, "under the other version")
        taken_up(models, "under the first version again")
        settle()
    assert identities(bench.kube.items("pods", subject.namespace)) == pods
    assert len(pods) == MODELS
    assert shapes(bench, subject.namespace) == before
    assert caller.failed() == []
    assert len(caller.revisions()) == MODELS
    assert bench.kube.items("modelrollouts", subject.namespace) == []
