"""What a valid policy may nevertheless not do as its author thinks: warnings of `lint`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from rampway.api.checks import Check
from rampway.api.policy import Policy, Strategy
from rampway.core import evidence, paired, podshare, stages
from rampway.core.bound import bound_of
from rampway.core.evidence import BoundPair, EProcess, PairCount
from rampway.core.instants import brief
from rampway.core.paired import PairedState
from rampway.core.stages import FULL_PCT, Stage

PLACES = frozenset({"candidate", "stable", "name", "namespace"})
"""What a query may have filled in."""
_PLACE = re.compile(r"\{\{(.*?)\}\}")
_LOOKS = 20
"""Looks that imagined evidence is spread over."""
_FIRST, _MOST = 32, 100_000_000
"""Requests that are tried first, and after which nobody would wait."""
_TAIL, _TAIL_SHARE = 0.1, 1 / 3
"""Of a check of all latencies: the tail with the most interest in it, and its share (histogram)."""
_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing to think about.

    Attributes:
        path: Where in the policy.
        note: Only something that was not looked at.
    """

    path: tuple[int | str, ...]
    text: str
    note: bool = False


def about(policy: Policy, rps: float | None) -> Iterator[Doubt]:
    """Yield what is doubtful about a policy; `rps`: requests a second, None if not told."""
    found = stages.of(policy)
    yield from _leap(policy, found)
    yield from _unjudged(policy, found)
    for index, check in enumerate(policy.checks):
        if check.threshold is not None:
            path = ("checks", index, "threshold", "query")
            yield from _query(path, check.threshold.query)
        if check.paired is not None:
            yield from _traffic(("checks", index), policy, check, found, rps)


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
        yield Doubt(
            ("checks",), "no checks: every candidate that does not crash is promoted, however bad"
        )
    compared = [check.name for check in policy.checks if check.paired]
    if compared and not any(stage.exposes for stage in found):
        yield Doubt(
            ("steps",),
            f"no step sends the candidate a request, so {', '.join(compared)} cannot judge it "
            "before it has all of them; add a mirror, match or weight",
        )
    watch = policy.watch
    if watch is not None and compared and not watch.holdback_pct:
        yield Doubt(
            ("watch",),
            f"holdback 0%: {', '.join(compared)} compare nothing after promotion; only pods and "
            "thresholds are watched",
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
    wrong = unbalanced(query) or parsed(_PLACE.sub("x", query))
    if wrong:
        yield Doubt(path, f"the query does not parse: {wrong}")
    elif find_spec("promql_parser") is None:
        yield Doubt(
            path,
            "only the brackets of the query were looked at; with `pip install promql-parser` it is "
            "parsed",
            note=True,
        )


def unbalanced(query: str) -> str:
    """Return what is wrong with brackets and quotes, empty if nothing is."""
    open_: list[str] = []
    quote = ""
    skip = False
    for char in query:
        if skip:
            skip = False
        elif quote:
            skip = char == "\\" and quote != "`"
            quote = "" if char == quote else quote
        elif char in "\"'`":
            quote = char
        elif char in _PAIRS:
            open_.append(char)
        elif char in _PAIRS.values() and (not open_ or _PAIRS[open_.pop()] != char):
            return f"{char} closes nothing"
    if quote:
        return f"a string that begins with {quote} does not end"
    return f"{open_[-1]} is not closed" if open_ else ""


def parsed(query: str) -> str:
    """Return what a PromQL parser says against a query; empty without one."""
    if find_spec("promql_parser") is None:
        return ""
    promql_parser = import_module("promql_parser")  # of the user's own choice

    try:
        promql_parser.parse(query)
    except ValueError as err:
        return str(err).strip()
    return ""


def _traffic(
    path: tuple[int | str, ...],
    policy: Policy,
    check: Check,
    found: tuple[Stage, ...],
    rps: float | None,
) -> Iterator[Doubt]:
    """Yield how long a comparison would wait for its requests, if that is longer than its step."""
    stage = next((one for one in found if one.weight_pct or one.mirror_pct), None)
    if stage is None:
        return
    share_pct = stage.weight_pct or stage.mirror_pct
    needed = requests_needed(policy, check, share_pct, mirrored=not stage.weight_pct)
    limits = check.paired
    detect = limits.detect if limits else ""
    if needed is None:
        yield Doubt(
            path,
            f"check {check.name} would never pass: no number of requests tells detect {detect} "
            "from what maxIncrease and ignoreBelow tolerate; raise detect, or tolerate less",
        )
    elif rps is not None:
        per_s = rps * share_pct / FULL_PCT
        wait_s = needed / per_s if per_s else float("inf")
        if wait_s > max(stage.hold_s, 1.0):
            how_long = "for ever" if wait_s == float("inf") else f"about {brief(wait_s)}"
            yield Doubt(
                path,
                f"check {check.name} passes after about {needed} requests on the candidate: at "
                f"{rps:g} requests/s and {share_pct} % step {stage.name} lasts {how_long}, not "
                f"{brief(stage.hold_s)}; traffic, weight or detect would shorten it",
            )


def requests_needed(policy: Policy, check: Check, share_pct: int, *, mirrored: bool) -> int | None:
    """Return about how many requests on a harmless candidate let a comparison pass.

    Beside a stable without errors, or with a tenth of its requests beyond the bound of latency;
    None where no number up to a hundred million does.
    """
    low, high = 0, _FIRST
    while not _passes(policy, check, high, share_pct, mirrored=mirrored):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    for _ in range(5):
        middle = (low + high) // 2
        enough = _passes(policy, check, middle, share_pct, mirrored=mirrored)
        low, high = (low, middle) if enough else (middle, high)
    return high


def _passes(policy: Policy, check: Check, number: int, share_pct: int, *, mirrored: bool) -> bool:
    """Whether a comparison had its power after so many requests on a harmless candidate."""
    others = number * FULL_PCT / share_pct if mirrored else number * (FULL_PCT / share_pct - 1)
    states, rate = 2, 0.0
    bounds: tuple[BoundPair, ...] = ()
    if check.latency is not None:
        quantile = check.latency.quantile
        rate = _TAIL if quantile is None else 1 - quantile
        bounds = (BoundPair(_TAIL_SHARE if quantile is None else 1.0, 0.1, 0.12),)
        states = 1
    process = EProcess()
    for look in range(_LOOKS):
        counts = [round(total * part) for total in (number, others) for part in (1.0, rate)]
        mine, mine_events, other, other_events = (_part(total, look) for total in counts)
        other = max(1, other)
        process = evidence.update(
            process, PairCount(mine, mine_events, other, other_events), paired.tolerance_of(check)
        )
    state = PairedState((process,) * states, bounds)
    return paired.missing(bound_of(policy), check, state) == 0


def _part(total: int, look: int) -> int:
    """Return what one of the looks has of a total, all together giving all of it."""
    return total * (look + 1) // _LOOKS - total * look // _LOOKS
