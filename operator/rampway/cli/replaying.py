"""A past rollout judged again: what Prometheus kept of it, and another policy's checks."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rampway.api import labels
from rampway.api.conditions import Act
from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.core.checks import history, judging, kinds
from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.history import MOST_PODS, MOST_STEPS, PAST_S, Past
from rampway.core.checks.judged import CheckState, Contest, EvidenceState, Judged
from rampway.core.checks.queries import fill
from rampway.core.instants import from_wire
from rampway.core.observation import Look
from rampway.metrics.base import MetricSource, RevisionKey

PIECE_S = 600.0
"""Prometheus answers so much at a time within its deadline."""
BEFORE_S = 120.0
"""The newest scrape of every pod before the rollout lies within."""
MAKING_S = 10.0
"""A candidate's pods may be made so long before the rollout's begin is on record."""
LOOK_S = 1.0
TAIL_S = 30.0
"""What a candidate answered before its traffic was taken away is scraped so long after at most."""
ASK_S = 15.0
"""Users' queries are asked again after so long."""
LATE_S = 120.0
"""A history that begins so long after the candidate's first request lacks its beginning."""
_STEP = re.compile(r"step (\d+)/\d+ ([^:]+): *(.*)")


class NoHistory(Exception):  # noqa: N818 - a state of the world, not a defect
    """Prometheus has nothing, or not enough, of the rollout; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A stage that was begun.

    Attributes:
        mirrored: The candidate got copies of requests only.
    """

    index: int
    step: str
    at_s: float
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A rollout as it was.

    Attributes:
        names: Of candidate and stable.
        stages: In order.
        began_s: What a process that started later has counted is all of this rollout.
        since_s: The candidate's first request.
        until_s: When it was promoted, or its traffic was taken away.
        tail_s: What is scraped so long after that still tells of it.
    """

    namespace: str
    names: tuple[str, str]
    stages: tuple[Begun, ...]
    began_s: float
    since_s: float
    until_s: float
    tail_s: float = 0.0

    @property
    def keys(self) -> list[RevisionKey]:
        """Both revisions as the series name them."""
        return [RevisionKey(self.namespace, name) for name in self.names]


@dataclass(frozen=True, slots=True)
class Failure:
    """The first time that a check fails; seconds since the candidate's first request."""

    check: str
    at_s: float
    step: str
    message: str


@dataclass(slots=True)
class Verdict:
    """What the checks of a policy make of a rollout.

    Attributes:
        failures: The first failure of each check that fails, earliest first.
        passed: By step, how long after its begin all checks passed; None: not before its end.
        last: What the checks said at the end.
        lacking: What is missing of the history, in sentences.
    """

    failures: list[Failure] = field(default_factory=list)
    passed: dict[str, float | None] = field(default_factory=dict)
    last: Judged | None = None
    lacking: list[str] = field(default_factory=list)


def recorded(rollout: ModelRollout, now_s: float) -> Recorded:
    """Return what its status tells of a rollout.

    Raises:
        NoHistory: its candidate never got a request, or its steps are not on record any more.
    """
    spec, status = rollout.spec, rollout.status
    since_s = from_wire(status.traffic_since)
    if since_s is None:
        raise NoHistory(f"{rollout.name}: its candidate never got a request: nothing to judge")
    stages = [
        Begun(int(found[1]) - 1, found[2], at_s, mirrored=found[3].startswith("mirror"))
        for made in status.decisions
        if made.action == Act.STEP_STARTED
        and (found := _STEP.match(made.message))
        and (at_s := from_wire(made.at)) is not None
    ]
    if not stages:
        raise NoHistory(f"{rollout.name}: its status does not tell any more when its steps began")
    over = {Act.PROMOTED, Act.ROLLING_BACK}
    made_s = [from_wire(d.at) for d in status.decisions if d.action in over]
    ends_s = [at_s for at_s in made_s if at_s is not None and at_s >= stages[-1].at_s]
    until_s = min(ends_s, default=from_wire(status.ended_at) or now_s)
    tail_s = 0.0 if status.phase in {"Promoted", "Watching"} else TAIL_S
    names = [
        labels.revision_name(spec.deployment, one.revision) for one in (spec.candidate, spec.stable)
    ]
    began_s = (from_wire(status.started_at) or since_s) - MAKING_S
    return Recorded(
        rollout.namespace, (names[0], names[1]), tuple(stages), began_s, since_s, until_s, tail_s
    )


async def scrapes(source: MetricSource, policy: Policy, what: Recorded) -> tuple[Scrape, ...]:
    """Return all that Prometheus has of both revisions, in pieces.

    Raises:
        NoHistory: it has nothing of one of them.
        MetricsUnavailable: it does not answer.
    """
    counters = kinds.counters(policy.checks)
    found: list[Scrape] = []
    at_s = what.since_s - BEFORE_S
    while at_s < what.until_s + what.tail_s:
        end_s = min(at_s + PIECE_S, what.until_s + what.tail_s)
        found += await source.scrapes(what.keys, at_s, end_s)
        if counters:
            found += await source.scrapes(what.keys, at_s, end_s, counters=counters)
        at_s = end_s
    for role, name in zip(("candidate", "stable"), what.names, strict=True):
        if not any(scrape.revision == name for scrape in found):
            raise NoHistory(
                f"Prometheus has no scrape of the {role} {name} from that time: the history is "
                "gone (its retention), or it is another Prometheus than the rollout's"
            )
    return tuple(found)


async def past(
    source: MetricSource, policy: Policy, what: Recorded, found: Sequence[Scrape]
) -> tuple[Scrape, ...]:
    """Return stable's past before the rollout, as the operator reads it."""
    mine = [
        s for s in found if s.revision == what.names[1] and s.at_s <= what.since_s and s.outcomes
    ]
    pods = {s.pod: s.started_at_s for s in mine}
    oldest = sorted(pods, key=lambda pod: (pods[pod], pod))[:MOST_PODS]
    if len(oldest) < history.fewest_pods(policy.checks):
        return ()
    since_s = max([what.since_s - PAST_S, *(pods[pod] for pod in oldest[: history.HALVES])])
    step_s = max(5.0, math.ceil((what.since_s - since_s) / MOST_STEPS))
    timed = any(kind.timed for kind in kinds.compared(policy.checks))
    wanted = Past(what.namespace, what.names[1], tuple(oldest), since_s, step_s, timed)
    users = history.of_users(policy.checks)
    of_users = await source.past(replace(wanted, counters=users), what.since_s) if users else ()
    return (*await source.past(wanted, what.since_s), *of_users)


async def replay(source: MetricSource, policy: Policy, what: Recorded) -> Verdict:
    """Judge a rollout by the checks of a policy, over what Prometheus kept of it.

    The steps are those that were: other shares would have made other counts.
    """
    found = await scrapes(source, policy, what)
    before = await past(source, policy, what, found)
    verdict = Verdict(passed={begun.step: None for begun in what.stages})
    began_s = min(s.at_s for s in found)
    if began_s > what.since_s + LATE_S:
        verdict.lacking.append("the beginning of the rollout is gone from Prometheus's history")
    state = EvidenceState(0.0, start_ledger(what.began_s))
    told: dict[str, Answer] = {}
    unread: tuple[Scrape, ...] = ()  # until both revisions have counted
    asked_s = -math.inf
    for look in _looks(found, before):
        if look.at_s - asked_s >= ASK_S:
            asked_s, told = look.at_s, await _answers(source, policy, what, look.at_s)
        seen = replace(look, answers=told, scrapes=(*unread, *look.scrapes))
        judged = judging.judge(policy, state, seen, _contest(what, look.at_s), look.at_s)
        state, verdict.last = judged.state or state, judged
        unread = () if state.seen_s == look.at_s else seen.scrapes
        _note(verdict, judged, what, look.at_s)
    return verdict


def _looks(found: Sequence[Scrape], before: tuple[Scrape, ...]) -> Iterator[Look]:
    """Yield a look for each second that has scrapes; the first one brings stable's past.

    Only of the last one is it told what the checks still wait for, which takes longer.
    """
    seconds: dict[float, list[Scrape]] = {}
    for scrape in sorted(found, key=lambda s: s.at_s):
        seconds.setdefault(math.ceil(scrape.at_s / LOOK_S) * LOOK_S, []).append(scrape)
    past: tuple[Scrape, ...] | None = before
    last_s = max(seconds)
    for at_s, mine in sorted(seconds.items()):
        yield Look(at_s, tuple(mine), past=past, foresees=at_s == last_s)
        past = None


def _stage(what: Recorded, at_s: float) -> Begun | None:
    """Return the stage at an instant."""
    return next((begun for begun in reversed(what.stages) if begun.at_s <= at_s), None)


def _contest(what: Recorded, at_s: float) -> Contest:
    stage = _stage(what, at_s)
    traffic_s = what.since_s if at_s >= what.since_s else None
    if stage is None:
        return Contest(*what.names, None, traffic_s, 0)
    return Contest(*what.names, stage.at_s, traffic_s, stage.index, mirrored=stage.mirrored)


async def _answers(
    source: MetricSource, policy: Policy, what: Recorded, at_s: float
) -> dict[str, Answer]:
    names = {"candidate": what.names[0], "stable": what.names[1], "namespace": what.namespace}
    names["name"] = what.names[0].rsplit("-", 1)[0]
    texts = {c.name: fill(c.threshold.query, names) for c in policy.checks if c.threshold}
    found = await source.queries(sorted(set(texts.values())), at_s) if texts else {}
    return {name: found[text] for name, text in texts.items()}


def _note(verdict: Verdict, judged: Judged, what: Recorded, at_s: float) -> None:
    stage = _stage(what, at_s)
    if stage is None:
        return
    known = {failure.check for failure in verdict.failures}
    for result in judged.results:
        if result.state is CheckState.FAIL and result.name not in known:
            after_s = at_s - what.since_s
            verdict.failures.append(Failure(result.name, after_s, stage.step, result.message))
    fine = all(result.state is CheckState.PASS for result in judged.results)
    if fine and verdict.passed[stage.step] is None:
        verdict.passed[stage.step] = at_s - stage.at_s


def as_data(verdict: Verdict) -> dict[str, Any]:
    """Return it for programs; seconds since the candidate's first request, or a step's begin."""
    return {
        "failures": [
            {"check": f.check, "afterSeconds": f.at_s, "step": f.step, "message": f.message}
            for f in verdict.failures
        ],
        "stepsPassedAfterSeconds": verdict.passed,
        "checks": [
            {"name": r.name, "state": r.state.value, "message": r.message}
            for r in (verdict.last.results if verdict.last else ())
        ],
        "lacking": verdict.lacking,
    }
