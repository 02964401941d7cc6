"""What a valid policy may nevertheless not do as its author thinks: warnings of `lint`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser

from rampway.api.automation import Automation
from rampway.api.checks import OnFailure
from rampway.api.counted import Slices
from rampway.api.hooks import HookMoment
from rampway.api.policy import Policy, Strategy
from rampway.api.succession import OnNewRevision, Rollout
from rampway.cli.words import duration
from rampway.core.checks import kinds
from rampway.core.checks.counters import Counter
from rampway.core.rollout import stages
from rampway.core.rollout.reactions import reaction
from rampway.core.rollout.stages import Stage
from rampway.core.traffic import podshare

PLACES = frozenset({"candidate", "stable", "name", "namespace"})
"""What a query may have filled in."""
_PLACE = re.compile(r"\{\{(.*?)\}\}")
_BEFORE = {HookMoment.BEFORE_ROLLOUT, HookMoment.BEFORE_STEP, HookMoment.BEFORE_PROMOTION}
_FASTEST_START_S = 5.0
"""No pod of a model server is ready sooner."""
_SMALL = 0.05
"""A slice with less of the exposures takes very long to be judged."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing to think about.

    Attributes:
        path: Where in the policy.
        note: Only something to know, or that was not looked at.
    """

    path: tuple[int | str, ...]
    text: str
    note: bool = False


def about(policy: Policy) -> Iterator[Doubt]:
    """Yield what is doubtful about a policy, whatever the traffic."""
    found = stages.of(policy)
    yield from _leap(policy, found)
    yield from _unjudged(policy, found)
    for index, check in enumerate(policy.checks):
        if check.threshold is not None:
            path = ("checks", index, "threshold", "query")
            yield from _query(path, check.threshold.query)
        if check.latency is not None and check.latency.warm_up is not None:
            path = ("checks", index, "latency", "warmUp")
            yield from _cold(path, check.latency.warm_up_requests, found)
        counted = check.counts or check.mean
        if counted is not None and counted.slices is not None:
            path = ("checks", index, "counts" if check.counts else "mean", "slices")
            yield from _slices(path, counted.slices, kinds.of(check).counters)


def unconfined(policy: Policy) -> Iterator[Doubt]:
    """Yield what a source that confines nothing does to queries of a user's own."""
    asked = [check.name for check in policy.checks if check.threshold]
    if asked:
        yield Doubt(
            ("checks",),
            f"{', '.join(asked)}: a query of your own is asked of a MetricSource, of a "
            "ClusterMetricSource with namespaceEnforcement, or of a Prometheus listed with "
            "open: true; without any of these nothing is rolled out (MetricSourceRefused)",
            note=True,
        )


def too_soon(rollout: Rollout) -> Iterator[Doubt]:
    """Yield whether every candidate would be given up before it can be ready."""
    if rollout.progress_deadline_s < _FASTEST_START_S:
        yield Doubt(
            ("progressDeadline",),
            f"progressDeadline {rollout.progress_deadline}: no pod starts as fast, so every "
            "candidate is given up",
        )


def while_queued(rollout: Rollout, policy: Policy) -> Iterator[Doubt]:
    """Yield what a newer revision, also one that mends the last, may have to wait for."""
    if rollout.on_new_revision is not OnNewRevision.QUEUE:
        return
    asks = [f"the approval of step {step.name}" for step in policy.steps if step.approval]
    pauses = (c.name for c in policy.checks if reaction(policy, c.name) is OnFailure.PAUSE)
    asks += [f"a person, should check {name} fail" for name in pauses]
    if asks:
        yield Doubt(
            ("onNewRevision",),
            f"onNewRevision Queue: a newer revision, also an urgent one, waits for "
            f"{' and '.join(asks)} of the rollout under way; `kubectl rampway abort` frees it",
        )
    watched_s = policy.watch.hold_s if policy.watch else 0.0
    least_s = watched_s + sum(stage.hold_s for stage in stages.of(policy))
    watch = ", its watch included" if watched_s else ""
    yield Doubt(
        ("onNewRevision",),
        f"onNewRevision Queue: a rollout takes {duration(least_s)} at least{watch}, and so long a "
        "newer revision may have to wait",
        note=True,
    )


def of_degrees(policy: Policy, after: Automation) -> Iterator[Doubt]:
    """Yield whether a promotion gives answers a degree that the last step did not have."""
    found = stages.of(policy)
    last = found[-1] if found else None
    if last and last.automation and last.automation.told != after.told:
        yield Doubt(
            ("steps",),
            f"step {last.name} ends with automation {last.automation.told}, and once promoted the "
            f"model has {after.told} (spec.automation), which that step did not try",
        )


def without_gateway(policy: Policy, replicas: int) -> Iterator[Doubt]:
    """Yield what numbers of pods cannot give of a policy (`traffic.type: Replicas`)."""
    words = podshare.objection(policy, replicas)
    if words:
        yield Doubt(("steps",), f"no rollout begins: {words}")
        return
    for stage in podshare.by_pods(policy, replicas, replicas):
        if stage.approval is None and stage.asked_pct != stage.weight_pct:
            text = f"step {stage.name} asks for {stage.asked_pct} %, and {stage.pods} candidate pod"
            many = "s" if (stage.pods or 0) > 1 else ""
            text += f"{many} beside {replicas} of stable get {stage.weight_pct} %"
            yield Doubt(("steps",), text)
    held_pct = policy.watch.holdback_pct if policy.watch else 0
    if held_pct and not podshare.within(held_pct, replicas, replicas):
        text = f"holdback {held_pct}%: numbers of pods keep none of it back; only pods and"
        yield Doubt(("watch",), f"{text} thresholds are watched")


def _leap(policy: Policy, found: tuple[Stage, ...]) -> Iterator[Doubt]:
    """Yield whether everybody's answers come from a candidate that had answered nobody."""
    if policy.strategy is Strategy.BLUE_GREEN:
        return  # one switch is what it is
    if not any(stage.weight_pct or stage.headers for stage in found):
        last = policy.steps[-1]
        what = f"after step {last.name} the candidate" if policy.steps else "the candidate"
        yield Doubt(
            ("steps",),
            f"{what} goes from answering nobody to 100 %: add a step with weight or match, or say "
            "strategy: BlueGreen if one switch is meant",
        )


def _unjudged(policy: Policy, found: tuple[Stage, ...]) -> Iterator[Doubt]:
    if not policy.checks:
        yield _unchecked(policy)
    judged = [check.name for check in policy.checks if check.comparison]
    compared = [check.name for check in policy.checks if check.paired]
    if judged and not any(stage.exposes for stage in found):
        yield Doubt(
            ("steps",),
            f"no step sends the candidate a request, so {', '.join(judged)} cannot judge it "
            "before it has all of them; add a mirror, match or weight",
        )
    if policy.watch is not None:
        yield from _held_back(policy.watch.holdback_pct, compared)


def _unchecked(policy: Policy) -> Doubt:
    """Return who judges a candidate without checks."""
    judges = [f"the approval of step {step.name}" for step in policy.steps if step.approval]
    judges += [f"hook {hook.name}" for hook in policy.hooks if hook.when in _BEFORE]
    if judges:
        text = (
            f"no checks: a candidate that does not crash is judged by {' and '.join(judges)} alone"
        )
        return Doubt(("checks",), text, note=True)
    return Doubt(
        ("checks",), "no checks: every candidate that does not crash is promoted, however bad"
    )


def _held_back(share_pct: int, compared: list[str]) -> Iterator[Doubt]:
    """Yield what the old revision's share in the watch is not good for."""
    if compared and not share_pct:
        yield Doubt(
            ("watch",),
            f"holdback 0%: after promotion {', '.join(compared)} are held against what stable "
            "showed before (unpaired), and only told unless the watch says onUnpaired",
        )
    if share_pct and not compared:
        yield Doubt(
            ("watch", "holdback"),
            f"holdback {share_pct}%: no check compares anything with the old revision, which "
            "answers these requests for nothing; add errorRate or latency, or leave holdback out",
        )


def _slices(
    path: tuple[int | str, ...], asked: Slices, counters: tuple[Counter, ...]
) -> Iterator[Doubt]:
    """Yield which slices there will not be, and which are waited for in vain."""
    fixed = sorted({str(one) for one in counters if asked.by in dict(one.labels)})
    if fixed:
        text = f"by: {asked.by} has one value only in {', '.join(fixed)}; take slices by another"
        yield Doubt((*path, "by"), text)
    if asked.least_share < _SMALL:
        size = f"one with {asked.wait_for} of the exposures" if asked.least_share else "any"
        text = f"a rollout waits for slices as small as {size}, for many times as long as the whole"
        yield Doubt(
            (*path, "waitFor"),
            f"waitFor {asked.wait_for}: {text} takes; also those it does not wait for fail the "
            "check by harm",
        )


def _cold(path: tuple[int | str, ...], requests: int, found: tuple[Stage, ...]) -> Iterator[Doubt]:
    """Yield which steps ask for no more requests than are left out."""
    short = [stage for stage in found if stage.exposes and 0 < stage.min_requests <= requests]
    if short:
        yield Doubt(
            path,
            f"warmUp leaves out each pod's first {requests} requests, and step {short[0].name} "
            f"asks for {short[0].min_requests} of all its pods: it waits until more have been "
            "compared",
        )


def _query(path: tuple[int | str, ...], query: str) -> Iterator[Doubt]:
    """Yield what is odd about a user's PromQL."""
    places = [found.strip() for found in _PLACE.findall(query)]
    for place in sorted(set(places) - PLACES):
        known = ", ".join(sorted(PLACES))
        yield Doubt(path, f"{{{{ {place} }}}} is not filled in; known are {known}")
    if not {"candidate", "stable"} & set(places):
        yield Doubt(
            path,
            "the query does not mention {{ candidate }}: it says the same of every candidate, and "
            "of what has nothing to do with it",
        )
    try:
        promql_parser.parse(_PLACE.sub("x", query))
    except ValueError as err:
        yield Doubt(path, f"the query does not parse: {str(err).strip()}")
