"""What the pods themselves say about a candidate under traffic (B25): no metrics needed."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from rampway.api.conditions import Reason
from rampway.core.checks.judged import CheckResult
from rampway.core.observation import Crash, Revision

TOO_MANY = 2
"""So many crashed containers are no accident (B25)."""


@dataclass(frozen=True, slots=True)
class Danger:
    """A reason to put traffic back.

    Attributes:
        at_once: All traffic returns now, as stable has a ready pod (B24: errors, readiness);
            otherwise only as much as stable's ready pods can carry.
    """

    reason: Reason
    message: str
    at_once: bool


def of_check(failed: CheckResult) -> Danger:
    """Return a failed check as a danger."""
    reason = Reason.UNPAIRED_CHECK_FAILED if failed.unpaired else Reason.CHECK_FAILED
    return Danger(reason, f"check {failed.name}: {failed.message}", failed.at_once)


@dataclass(frozen=True, slots=True)
class UnderTraffic:
    """What the checks of pods see: both revisions since the candidate got its first request.

    Attributes:
        since_s: When the candidate's share last rose from zero.
        crashed: Ids of the candidate's containers that crashed since, also those gone by now.
    """

    candidate: Revision
    stable: Revision
    since_s: float
    crashed: tuple[str, ...]


def crashes_since(revision: Revision, since_s: float) -> tuple[Crash, ...]:
    """Return the crashes of a revision's containers after an instant, pods that leave excepted.

    Kubelets write whole seconds, so the instant's own second counts.
    """
    return tuple(
        crash
        for pod in revision.pods
        if not pod.leaving
        for crash in pod.crashes
        if crash.finished_at_s >= math.floor(since_s) and crash.exit_code != 0
    )


def remember(crashed: tuple[str, ...], seen: tuple[Crash, ...]) -> tuple[str, ...]:
    """Return the ids of all crashes so far, each once; ten are enough to know."""
    return tuple(dict.fromkeys([*crashed, *(c.container_id for c in seen)]))[:10]


def out_of_memory(view: UnderTraffic) -> Danger | None:
    """A container of the candidate was killed for its memory."""
    for crash in crashes_since(view.candidate, view.since_s):
        if crash.out_of_memory:
            return Danger(
                Reason.CANDIDATE_OOM,
                f"a container of the candidate {view.candidate.name} was killed for using more "
                "memory than its limit; raise spec.server.resources.limits.memory or shrink the "
                "model",
                at_once=True,
            )
    return None


def crashed_twice(view: UnderTraffic) -> Danger | None:
    """Two containers of the candidate ended with an error."""
    if len(view.crashed) < TOO_MANY:
        return None
    words = view.candidate.trouble
    return Danger(
        Reason.CANDIDATE_CRASHED,
        f"containers of the candidate {view.candidate.name} crashed {len(view.crashed)} times "
        f"under traffic{': ' + words if words else ''}",
        at_once=True,
    )


def lost_last_ready_pod(view: UnderTraffic) -> Danger | None:
    """No pod of the candidate is ready, and not because they were drained or deleted."""
    if view.candidate.ready or not view.candidate.pods:
        return None
    # What is left are pods that leave and pods made since to replace them: a drain, no defect.
    # Objects are dated in whole seconds, so the instant's own second counts.
    since_s = math.floor(view.since_s)
    if all(pod.leaving or pod.created_s >= since_s for pod in view.candidate.pods):
        return None
    words = view.candidate.trouble
    return Danger(
        Reason.CANDIDATE_NOT_READY,
        f"no pod of the candidate {view.candidate.name} is ready any more"
        f"{': ' + words if words else ''}",
        at_once=True,
    )


CHAIN: tuple[Callable[[UnderTraffic], Danger | None], ...] = (
    out_of_memory,  # the kernel's verdict needs no second opinion
    crashed_twice,  # one crash may be an accident
    lost_last_ready_pod,  # nothing is left to send requests to
)


def danger(view: UnderTraffic) -> Danger | None:
    """Return the first danger that the candidate's pods show."""
    return next((found for check in CHAIN if (found := check(view))), None)


def stable_suffers_alike(view: UnderTraffic, found: Danger) -> bool:
    """Whether stable shows the same in the same time, so that the candidate is not the cause."""
    crashes = crashes_since(view.stable, view.since_s)
    if found.reason is Reason.CANDIDATE_OOM:
        return any(crash.out_of_memory for crash in crashes)
    if found.reason is Reason.CANDIDATE_CRASHED:
        return len(crashes) >= TOO_MANY
    return view.stable.ready == 0
