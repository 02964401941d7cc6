"""B25: what pods say by themselves, and when stable says the same."""

import pytest
from unit.core.builders import NOW_S, V2, crash, pods, revision, stable

from rampway.api.conditions import Reason
from rampway.core.observation import Crash, Pod, Revision
from rampway.core.rollout import health
from rampway.core.rollout.health import (
    Danger,
    UnderTraffic,
    crashes_since,
    danger,
    stable_suffers_alike,
)

SINCE_S = NOW_S - 60
OOM = crash(9, reason="OOMKilled", code=137)


def view(
    candidate: Revision,
    other: Revision | None = None,
    crashed: tuple[str, ...] = (),
    since_s: float = SINCE_S,
) -> UnderTraffic:
    """Return what the checks see a minute after the first traffic."""
    return UnderTraffic(candidate, other or stable(), since_s, crashed)


def ended(*ends: Crash, leaving: bool = False) -> Revision:
    """Return a candidate one of whose two pods had containers end."""
    return revision(V2, 1, pods=(*pods(1), *pods(unready=1, crashes=ends, leaving=leaving)))


DANGERS = {
    "all is well": (view(revision(V2)), None),
    "one container crashed": (view(ended(crash()), crashed=("a",)), None),
    "one was killed for its memory": (view(ended(OOM)), Reason.CANDIDATE_OOM),
    "it was killed so before the traffic": (
        view(ended(crash(reason="OOMKilled", code=137, age_s=62))), None,
    ),
    "its pod was being deleted": (view(ended(OOM, leaving=True)), None),
    "two containers crashed": (view(revision(V2), crashed=("a", "b")), Reason.CANDIDATE_CRASHED),
    "killed and crashed: the kernel's word first": (
        view(ended(OOM), crashed=("a", "b")), Reason.CANDIDATE_OOM,
    ),
    "no pod is ready any more": (
        view(revision(V2, 0, pods=pods(unready=2))), Reason.CANDIDATE_NOT_READY,
    ),
    "one is unready, one leaves": (
        view(revision(V2, 0, pods=(*pods(unready=1), Pod("x", leaving=True)))),
        Reason.CANDIDATE_NOT_READY,
    ),
    "all were drained": (view(revision(V2, 0, pods=pods(unready=2, leaving=True))), None),
    "drained, and made anew since": (
        view(revision(V2, 0, pods=(Pod("x", leaving=True), Pod("y", created_s=SINCE_S + 5)))), None,
    ),
    "made anew in the second in which the traffic began": (
        view(revision(V2, 0, pods=(Pod("x", leaving=True), Pod("y", created_s=SINCE_S))),
             since_s=SINCE_S + 0.9), None,
    ),
    "there is no pod at all": (view(revision(V2, 0, pods=())), None),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "reason"), DANGERS.values(), ids=DANGERS.keys())
def test_b25_dangers(seen: UnderTraffic, reason: Reason | None) -> None:
    """B25: each danger is found, and what is not the model's fault is none."""
    found = danger(seen)
    assert (found and found.reason) is reason
    assert found is None or found.at_once


def test_b25_dangers_carry_the_pods_words() -> None:
    """B28: what the kubelet or the server said is in the message."""
    broken = revision(V2, 0, pods=pods(unready=2, trouble="no such feature"))
    for found in (danger(view(broken)), danger(view(broken, crashed=("a", "b", "c")))):
        assert found is not None
        assert found.message.endswith(": no such feature")


def alike(reason: Reason, other: Revision) -> bool:
    """Return whether this stable suffers alike."""
    return stable_suffers_alike(view(revision(V2), other), Danger(reason, "", at_once=True))


def test_b25_stable_suffers_alike() -> None:
    """B25: the same harm in the same time, of the same kind, is not the candidate's doing."""
    killed, twice = ended(OOM), ended(crash(1), crash(2))
    assert alike(Reason.CANDIDATE_OOM, killed)
    assert not alike(Reason.CANDIDATE_OOM, twice)
    assert alike(Reason.CANDIDATE_CRASHED, twice)
    assert not alike(Reason.CANDIDATE_CRASHED, killed)
    assert not alike(Reason.CANDIDATE_CRASHED, ended(crash(1, age_s=70), crash(2, age_s=70)))
    assert alike(Reason.CANDIDATE_NOT_READY, stable(0, pods=pods(unready=4)))
    assert not alike(Reason.CANDIDATE_NOT_READY, stable(1))


def test_crashes_of_the_first_second_count() -> None:
    """Kubelets write whole seconds: an end in the second of the first request counts."""
    same_second = Crash("a", "Error", 1, NOW_S)
    found = revision(V2, 0, pods=pods(unready=1, crashes=(same_second,)))
    assert crashes_since(found, NOW_S + 0.9) == (same_second,)
    assert crashes_since(found, NOW_S + 1.1) == ()


def test_an_orderly_end_is_no_crash() -> None:
    """A container that ended with 0 did not crash."""
    assert crashes_since(ended(crash(code=0)), SINCE_S) == ()


def test_crashes_are_remembered_once_each() -> None:
    """Ids are kept in order, each once, ten at most."""
    seen = tuple(crash(n) for n in range(20))
    first = health.remember((), seen[:2])
    assert health.remember(first, seen[:3]) == tuple(c.container_id for c in seen[:3])
    assert len(health.remember(first, seen)) == 10
