"""What a valid policy may nevertheless not do as its author thinks: warnings of `lint`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import promql_parser

from rampway.api.automation import Automation, AutomationLevel
from rampway.api.checks import Check
from rampway.api.counted import Slices
from rampway.api.hooks import HookMoment
from rampway.api.policy import Policy, Strategy, Watch
from rampway.api.steps import Step
from rampway.core.checks import kinds
from rampway.core.checks.counters import Counter
from rampway.core.checks.references import harm_of, is_tolerated, limit_of
from rampway.core.numerals import plain
from rampway.core.rollout import stages
from rampway.core.rollout.stages import Stage

PLACES = frozenset({"candidate", "stable", "name", "namespace"})
"""What a query may have filled in."""
_PLACE = re.compile(r"\{\{(.*?)\}\}")
_BEFORE = {HookMoment.BEFORE_ROLLOUT, HookMoment.BEFORE_STEP, HookMoment.BEFORE_PROMOTION}
_SMALL = 0.05
"""A slice with less of the exposures takes very long to be judged."""


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing to think about.

    Attributes:
        path: Where in the policy.
        level: A note is only something to know, or that was not looked at.
    """

    path: tuple[int | str, ...]
    text: str
    level: Level = Level.WARNING


def about(policy: Policy) -> Iterator[Doubt]:
    """Yield what is doubtful about a policy, whatever the traffic."""
    found = stages.of(policy)
    for index, step in enumerate(policy.steps):
        for doubt in _in_vain(step):
            yield replace(doubt, path=("steps", index, *doubt.path))
    yield from _leap(policy, found)
    yield from _unjudged(policy, found)
    for index, check in enumerate(policy.checks):
        if check.threshold is not None:
            path = ("checks", index, "threshold", "query")
            yield from _query(path, check.threshold.query)
        if check.latency is not None and check.latency.warm_up is not None:
            path = ("checks", index, "latency", "warmUp")
            yield from _cold(path, check.latency.warm_up_requests, found)
        if check.usual is not None:
            if why := never(check, check.usual):
                yield Doubt(("checks", index), why)
            yield from _cut(("checks", index), check, check.usual)
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
            Level.NOTE,
        )


def unused(automation: Automation) -> Iterator[Doubt]:
    """Yield whether a degree of automation names a confidence that it does not ask."""
    unset = Automation.model_fields["confidence"].default
    if automation.level is not AutomationLevel.PARTIAL and automation.confidence != unset:
        yield Doubt(
            ("automation", "confidence"),
            f"confidence {automation.confidence} counts for nothing with level {automation.level}: "
            "only Partial asks it",
        )


def _in_vain(step: Step) -> Iterator[Doubt]:
    """Yield what a step names that counts for nothing in its kind; what is left out is no doubt."""
    if step.automation is not None:
        yield from unused(step.automation)
    held = step.hold != Step.model_fields["hold"].default
    if held and step.approval is not None:
        yield Doubt(
            ("hold",),
            f"step {step.name}: an approval lasts until it is given, and its hold {step.hold} "
            "counts for nothing; put the hold on the step before it",
        )
    if held and step.ramp is not None:
        yield Doubt(
            ("hold",),
            f"step {step.name}: a ramp lasts as long as its over says ({step.ramp.over}), and its "
            f"hold {step.hold} counts for nothing",
        )
    if step.min_requests and step.approval is not None:
        yield Doubt(
            ("minRequests",),
            f"step {step.name}: an approval waits for a person, and its minRequests "
            f"{step.min_requests} count for nothing; put them on the step before it",
        )


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
        yield from _held_back(policy.watch, compared)


def _unchecked(policy: Policy) -> Doubt:
    """Return who judges a candidate without checks."""
    judges = [f"the approval of step {step.name}" for step in policy.steps if step.approval]
    judges += [f"hook {hook.name}" for hook in policy.hooks if hook.when in _BEFORE]
    if judges:
        text = (
            f"no checks: a candidate that does not crash is judged by {' and '.join(judges)} alone"
        )
        return Doubt(("checks",), text, Level.NOTE)
    return Doubt(
        ("checks",), "no checks: every candidate that does not crash is promoted, however bad"
    )


def _held_back(watch: Watch, compared: list[str]) -> Iterator[Doubt]:
    """Yield what the old revision's share in the watch is not good for."""
    share_pct = watch.holdback_pct
    if compared and not share_pct and "on_unpaired" not in watch.model_fields_set:
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


def never(check: Check, usual: float) -> str:
    """Return that the harm to detect is none beside this value, so that nothing ever passes.

    Empty if it is one.
    """
    kind, limit, harm = kinds.of(check), limit_of(check, usual), harm_of(check, usual)
    if check.comparison is None or not is_tolerated(check, limit, harm):
        return ""
    bound = "at least" if kind.fewer else "at most"
    advice = f"tolerate less ({kind.tolerated}), or detect more"
    if not (harm or kind.fewer):
        advice = "many times nothing is nothing: give a larger value, or an ignoreBelow above 0"
    elif not 0 < limit < 1:
        advice = f"it never fails either: tolerate less ({kind.tolerated}), or give another value"
    return (
        f"{check.name} never passes: {bound} {kind.amount(limit)} is no harm, and that of detect "
        f"{check.comparison.detect}, {kind.amount(harm)}, lies within it; {advice}"
    )


def _cut(path: tuple[int | str, ...], check: Check, usual: float) -> Iterator[Doubt]:
    """Yield that the harm to detect is more than there can be, so that the most is detected.

    Where less is harm there is none: no part of what is usual is below nothing.
    """
    kind, limit = kinds.of(check), limit_of(check, usual)
    base = max(usual, kind.tolerance.floor)
    if check.comparison is None or kind.fewer or is_tolerated(check, limit, harm_of(check, usual)):
        return
    asked = check.comparison.detect_ratio * base
    if asked > 1:
        yield Doubt(
            path,
            f"{check.name}: detect {check.comparison.detect} is {kind.amount(asked)}, and there "
            f"cannot be more than {kind.amount(1.0)}: it passes once that is ruled out, whatever "
            f"lies between it and the {kind.amount(limit)} that is no harm; detect less than "
            f"{plain(1 / base)}x",
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
