"""B12: whose pods an autoscaler on the ModelDeployment measures."""

import pytest
from unit.core.builders import (
    NAME,
    V1,
    V2,
    course,
    observation,
    pods,
    revision,
    stable,
    stepping,
)

from rampway.api.conditions import Reason
from rampway.api.steps import HeaderMatch
from rampway.core.model.standing import Standing, project
from rampway.core.pods import scale
from rampway.core.rollout.course import Outcome
from rampway.core.traffic.split import Split

CANDIDATE = f"{NAME}-{V2}"
SPLITS = {
    "at rest": (Split(), ""),
    "copies only": (Split(CANDIDATE, mirror_pct=100), ""),
    "a weight": (Split(CANDIDATE, 10), V2),
    "a header": (Split(CANDIDATE, headers=(HeaderMatch(name="a", value="b"),)), V2),
    "everything": (Split(CANDIDATE, 100), V2),
}


@pytest.mark.parametrize(("split", "beside"), SPLITS.values(), ids=SPLITS.keys())
def test_b12_a_candidate_counts_while_its_answers_do(split: Split, beside: str) -> None:
    """Copies would look like twice the load; a share left out like less of it."""
    seen = course(stepping())
    found = project(seen.obs, Standing.rolling(seen, Outcome(seen.status, split)))
    hashes = ",".join(sorted({V1, beside} - {""}))
    assert found.selector == f"rampway.dev/deployment={NAME},rampway.dev/revision in ({hashes})"
    assert found.replicas == 4  # in the measure of spec.replicas


MIRRORED = (
    {"name": "shadow", "mirror": "100%", "hold": "60s"},
    {"name": "half", "weight": "50%", "hold": "600s"},
)


@pytest.mark.parametrize(("held_s", "counts"), [(0.0, False), (59.0, False), (61.0, True)])
def test_b12_after_copies_a_minute_goes_by(held_s: float, counts: bool) -> None:
    """What is measured of the candidate's pods is copies for so long, not load."""
    seen = course(stepping(1, held_s=held_s), weight_pct=50, steps=list(MIRRORED))
    assert scale.counts(seen, Split(CANDIDATE, 50)) is counts


def test_b12_in_the_watch_the_old_revision_counts_while_it_has_a_share() -> None:
    """There the roles are swapped: the share is stable's predecessor's."""
    seen = course(
        {"phase": "Watching", "reason": "Watching"}, candidate=revision(V2, promoted_at_s=1.8e9)
    )
    for weight_pct in (0, 10):
        outcome = Outcome(seen.status, Split(f"{NAME}-{V1}", weight_pct).or_rest())
        found = project(seen.obs, Standing.watching(seen, outcome))
        assert (V1 in found.selector) is bool(weight_pct)
        assert V2 in found.selector


def test_b12_a_first_revision_can_be_scaled_before_it_serves() -> None:
    """Without a stable revision the spec's own is meant."""
    obs = observation(2, revisions=(revision(V2),))
    found = project(obs, Standing.pending(Reason.FIRST_REVISION, "0 of 4"))
    assert (V2 in found.selector, found.replicas) == (True, 4)


def test_b12_pods_that_leave_are_no_replicas() -> None:
    """A drained pod has a successor already."""
    base = stable(3, pods=pods(ready=3, unready=1, leaving=True))
    assert scale.pods(observation(revisions=(base,))) == 3
