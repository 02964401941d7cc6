"""How long a policy's steps last at so many requests a second: warnings of `lint --rps`. Pure."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from rampway.api.checks import Check
from rampway.api.policy import Policy
from rampway.cli.doubts import Doubt, Level
from rampway.core import evidence
from rampway.core.checks import kinds, paired, references
from rampway.core.checks.bound import bound_of
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import PairCount
from rampway.core.instants import brief
from rampway.core.rollout import stages
from rampway.core.rollout.stages import FULL_PCT, Stage

_LOOKS = 20
"""Looks that imagined evidence is spread over."""
_FIRST, _MOST = 32, 100_000_000
"""Requests that are tried first, and after which nobody would wait."""
_OF_PAST = "how often harm is usual in stable's past is not known from --rps"


def about(policy: Policy, rps: float | None) -> Iterator[Doubt]:
    """Yield what waits longer than its author thinks; `rps`: requests a second, None if not told.

    A check that no number of requests lets pass is told of without it.
    """
    steps = [list(found) for _, found in groupby(stages.of(policy), lambda stage: stage.name)]
    if rps is not None:
        for index, step in enumerate(steps):
            yield from _step(index, step, rps)
    first = next((step for step in steps if _share_pct(step[0])), None)
    for index, check in enumerate(policy.checks):
        path = ("checks", index)
        if first is None or check.comparison is None:
            continue
        if check.past:
            if rps is not None:
                yield Doubt(path, f"check {check.name}: {_OF_PAST}: not reckoned", Level.NOTE)
        elif kinds.of(check).imagined() is not None:
            yield from _comparison(path, policy, check, first, rps)
        elif rps is not None:
            yield Doubt(path, _uncounted(policy, check, _share_pct(first[0])), Level.NOTE)


def _uncounted(policy: Policy, check: Check, share_pct: int) -> str:
    """Return how many exposures a check of users' counters needs, as far as that is known."""
    what = kinds.of(check).exposures
    text = f"check {check.name}: how many {what} there are is not known from --rps: not reckoned"
    if check.usual is None:
        return text
    needed = requests_needed(policy, check, share_pct, mirrored=False)
    if needed:
        return f"{text}; it passes after about {needed} on the candidate"
    if _is_tolerated(check):  # doubts.py tells it
        return text
    return f"{text}; a hundred million would not let it pass: narrow its bounds, or raise detect"


def lasts_s(policy: Policy, rps: float) -> float:
    """Return about how long a harmless rollout lasts in seconds at so many requests a second.

    Its watch, persons and what cannot be reckoned are left out. Infinite where it never ends.
    """
    found = [stage for stage in stages.of(policy) if stage.approval is None]
    whole_s = sum(stage.hold_s if stage.headers else _lasts_s(stage, rps) for stage in found)
    first = next((stage for stage in found if _share_pct(stage)), None)
    if first is None or math.isinf(whole_s):
        return whole_s
    waits_s = [wait_s for _, _, wait_s in _waits(policy, first, rps)]
    return whole_s + max(0.0, max(waits_s, default=0.0) - _lasts_s(first, rps))


def _waits(policy: Policy, stage: Stage, rps: float) -> Iterator[tuple[Check, int | None, float]]:
    """Yield each comparison with the requests that it needs, and how long they take to come.

    None and infinite where no number of requests lets it pass.
    """
    for check in policy.checks:
        if check.comparison is None or check.past or kinds.of(check).imagined() is None:
            continue
        mirrored = not stage.weight_pct
        needed = requests_needed(policy, check, _share_pct(stage), mirrored=mirrored)
        yield check, needed, math.inf if needed is None else _wait_s(needed, stage, rps)


def hopeless(policy: Policy, rps: float, within_s: float) -> str:
    """Return why evidence takes longer than this to come, empty if it need not.

    The first comparison or `minRequests` of the first stage with requests: later ones have more.
    """
    first = next((s for s in stages.of(policy) if _share_pct(s)), None)
    if first is None:
        return ""
    lacks = [(f"check {check.name}", needed, wait_s) for check, needed, wait_s in
             _waits(policy, first, rps) if needed is not None]  # fmt: skip
    if first.min_requests:
        wait_s = _wait_s(first.min_requests, first, rps)
        lacks.append((f"step {first.name}", first.min_requests, wait_s))
    name, needed, wait_s = max(lacks, key=lambda lack: lack[2], default=("", 0, 0.0))
    if wait_s <= within_s:
        return ""
    return (
        f"at {rps:g} requests/s and {_share_pct(first)} % it takes {long(wait_s)} until {name} has "
        f"the {needed} requests on the candidate that it needs"
    )


def _share_pct(stage: Stage) -> int:
    """Return the share of all requests that a candidate is judged by; of those chosen, none."""
    return 0 if stage.approval is not None else stage.weight_pct or stage.mirror_pct


def _wait_s(requests: int, stage: Stage, rps: float) -> float:
    """Return how long a candidate takes to answer so many requests."""
    per_s = rps * _share_pct(stage) / FULL_PCT
    return requests / per_s if per_s else math.inf if requests else 0.0


def _lasts_s(stage: Stage, rps: float) -> float:
    """Return how long a stage lasts, checks left out."""
    return max(stage.hold_s, _wait_s(stage.min_requests, stage, rps))


def long(duration_s: float) -> str:
    """Return how long something lasts, in words."""
    return "for ever" if math.isinf(duration_s) else f"about {brief(duration_s)}"


def _step(index: int, step: list[Stage], rps: float) -> Iterator[Doubt]:
    """Yield how long a step waits for its `minRequests`, and what cannot be reckoned."""
    first = step[0]
    if first.headers and first.approval is None:
        text = f"step {first.name}: how many requests match is not known from --rps: not reckoned"
        yield Doubt(("steps", index, "match"), text, Level.NOTE)
        return
    planned_s = sum(stage.hold_s for stage in step)
    lasts_s = sum(_lasts_s(stage, rps) for stage in step)
    if lasts_s > planned_s:
        each, since = (" in each of its stages", "from ") if len(step) > 1 else ("", "")
        text = f"step {first.name} lasts {long(lasts_s)}, not {brief(planned_s)}: minRequests "
        text += f"{first.min_requests}{each} at {rps:g} requests/s and {since}{_share_pct(first)} %"
        yield Doubt(("steps", index, "minRequests"), text)


def _comparison(
    path: tuple[int | str, ...], policy: Policy, check: Check, step: list[Stage], rps: float | None
) -> Iterator[Doubt]:
    """Yield how long a comparison waits for its requests, if that is longer than its step."""
    stage = step[0]
    share_pct = _share_pct(stage)
    needed = requests_needed(policy, check, share_pct, mirrored=not stage.weight_pct)
    if needed is None and check.usual is not None and _is_tolerated(check):
        return  # doubts.py tells it
    if needed is None:
        yield Doubt(path, f"check {check.name} would never pass{_in_vain(check)}")
        return
    if rps is None:
        return
    wait_s = _wait_s(needed, stage, rps)
    if wait_s > max(_lasts_s(stage, rps), 1.0):
        yield Doubt(
            path,
            f"check {check.name} passes after about {needed} requests on the candidate: at "
            f"{rps:g} requests/s and {share_pct} % {_stretched(step, wait_s, rps)}; "
            f"traffic, weight or {_eases(check)} would shorten it",
        )


def _in_vain(check: Check) -> str:
    """Return why no number of requests lets a comparison pass."""
    tolerated = kinds.of(check).tolerated
    if paired.wants_proof(check):
        return (
            f" beside a stable without errors: more than what {tolerated} tolerate of nothing is "
            "never ruled out; tolerate something on top, by ignoreBelow"
        )
    detect = check.paired.detect if check.paired else ""
    if check.error_rate and not kinds.of(check).tolerance.floor:
        return (
            f" beside a stable without errors: {detect} as many as none are none; ignore some, by "
            "ignoreBelow above 0%"
        )
    return (
        f": no number of requests tells detect {detect} from what {tolerated} tolerate; raise "
        "detect, or tolerate less"
    )


def _eases(check: Check) -> str:
    """Return the field by which a comparison passes sooner."""
    return "ignoreBelow" if paired.wants_proof(check) else "detect"


def _stretched(step: list[Stage], wait_s: float, rps: float) -> str:
    """Return how long a step lasts whose first stage, mostly its only one, waits so long."""
    stage, *others = step
    planned_s = _lasts_s(stage, rps)
    text = f"lasts {long(wait_s)}, not {brief(planned_s)}"
    if not others:
        return f"step {stage.name} {text}"
    rest_s = sum(_lasts_s(one, rps) for one in others)
    whole = f"{long(wait_s + rest_s)}, not {brief(planned_s + rest_s)}"
    return f"the first of the {len(step)} stages of ramp {stage.name} {text}, and all of it {whole}"


def requests_needed(policy: Policy, check: Check, share_pct: int, *, mirrored: bool) -> int | None:
    """Return about how many requests on a harmless candidate let a comparison pass.

    Beside a stable without errors, or with a tenth of its requests beyond the bound of latency;
    against a value without an event, where harm is more of them, else at the value itself.
    None where no number up to a hundred million does.
    """
    if check.usual is not None:
        return _cleared(check, check.usual)
    low, high = 0, _FIRST
    while not _passes(policy, check, high, share_pct, mirrored=mirrored):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    for _ in range(5):
        middle = (low + high) // 2
        enough = _passes(policy, check, middle, share_pct, mirrored=mirrored)
        low, high = (low, middle) if enough else (middle, high)
    return high + kinds.of(check).warm_up  # of one pod: how many there will be is not known


def _cleared(check: Check, usual: float) -> int | None:
    """Return about how many requests clear a harmless candidate of harm beside a value."""
    kind, (to,) = kinds.of(check), references.held(check, PairedState())
    if _is_tolerated(check):
        return None
    rate = usual if kind.fewer or not kind.whole else 0.0
    needed = evidence.requests_to_clear(0, rate, to.harm, to.calm_phi, fewer=kind.fewer)
    return None if needed is None else needed + kind.warm_up


def _is_tolerated(check: Check) -> bool:
    """Whether the harm to detect beside a value lies within what is none."""
    (to,) = references.held(check, PairedState())
    return references.is_tolerated(check, to.limit, to.harm)


def _passes(policy: Policy, check: Check, number: int, share_pct: int, *, mirrored: bool) -> bool:
    """Whether a comparison had its power after so many requests on a harmless candidate."""
    others = number * FULL_PCT / share_pct if mirrored else number * (FULL_PCT / share_pct - 1)
    kind = kinds.of(check)
    imagined = kind.imagined()
    if imagined is None:
        return False
    state, rate = imagined
    process = state.processes[0]
    for look in range(_LOOKS):
        counts = [round(total * part) for total in (number, others) for part in (1.0, rate)]
        mine, mine_events, other, other_events = (_part(total, look) for total in counts)
        other = max(1, other)
        process = evidence.update(
            process,
            PairCount(mine, mine_events, other, other_events),
            kind.tolerance,
            to_rule_out=paired.wants_proof(check),
        )
    state = replace(state, processes=(process,) * len(state.processes))
    return paired.missing(bound_of(policy), check, state, foresees=False).exposures == 0


def _part(total: int, look: int) -> int:
    """Return what one of the looks has of a total, all together giving all of it."""
    return total * (look + 1) // _LOOKS - total * look // _LOOKS
