"""What a comparison says to a person who does not know e-values."""

import math
from collections.abc import Sequence
from dataclasses import replace

from rampway.api.policy import Check
from rampway.core.checks import kinds
from rampway.core.checks.bound import Bound
from rampway.core.checks.judged import EvidenceState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.paired import LEANING, is_small, is_untellable, wants_proof
from rampway.core.checks.slices import Part, parts
from rampway.core.instants import brief
from rampway.core.numerals import plain

MOST_NAMED = 3
"""Of slices that are only listed."""
LEAST_RATE_PER_S = 0.01
"""Slower traffic than this is called none: a time told from it would be a joke."""
MUCH_MORE = 1.25
"""So many times as large a least ratio since the split changed is told by itself."""
APART = 0.1
"""Part by which the ratio may differ from what a reader reckons from the counts, unsaid."""
SAME_TIMES = "; compared at the same times"


def harm(bound: Bound, check: Check, state: PairedState) -> str:
    """Return what was seen, for a check that shows harm, and in which slice."""
    whole, *rest = parts(check, state)
    part, index = _foremost([whole, *rest])
    told = _surely(part, index)
    worst = [one for one in rest if one.log_e() >= math.log(LEANING)]
    if part is whole and worst:
        told += f"; most of it {_told(*_foremost([max(worst, key=Part.log_e)]))}"
    return f"{told}; a false alarm at this point has a chance under {bound}"


def at_present(requests: int, state: EvidenceState) -> str:
    """Return how long so many more requests take to come to the candidate; empty: not known."""
    return _lasting(requests, state.rate_per_s, "at the present rate")


def lasting(exposures: int, part: Part, state: EvidenceState) -> str:
    """Return how long so many more take that a part of a check compares; empty: not known.

    Of users' counters the rate is the mean since the weight is in force: they are told once a
    scrape, so at most looks none are new.
    """
    if not part.kind.counters:
        return at_present(exposures, state)
    now = part.state.processes[0].segments[-1]
    number = now.stable_n if part.kind.fewer else now.candidate_n
    counted_s = state.seen_s - state.cutoff_s - part.kind.lag_s
    rate_per_s = number / counted_s if counted_s > 0 else 0.0
    return _lasting(exposures, rate_per_s, "at their mean rate under this weight")


def _lasting(number: int, rate_per_s: float, which: str) -> str:
    return f", {brief(number / rate_per_s)} {which}" if rate_per_s >= LEAST_RATE_PER_S else ""


def _surely(part: Part, index: int) -> str:
    """Return what a process has counted, and how many times as often it happens at least.

    Of the present split of the traffic alone where that is surely more: harm that began with it is
    hidden in what was counted before.
    """
    when, least = "", part.kind.interval(part.state.processes[index]).low
    now = _since_split(part, index)
    if now is not None:
        since = now.kind.interval(now.state.processes[index]).low
        if since > max(1.0, MUCH_MORE * least):
            when, part, least = "since the split of the traffic changed, ", now, since
    told = when + _told(part, index)
    if least <= 1:
        return told
    if part.kind.times(part.state.processes[index]) is None:
        return f"{told}: at least {plain(least)} times as {part.kind.often}"
    return f"{told} (at least {plain(least)})"


def _since_split(part: Part, index: int) -> Part | None:
    """Return a part with what a process has seen of the present split, None if that is all."""
    process = part.state.processes[index]
    if sum(bool(segment.looks) for segment in process.segments) < 2:  # noqa: PLR2004 - one is all
        return None
    now = replace(process, segments=process.segments[-1:])
    processes = [*part.state.processes]
    processes[index] = now
    return replace(part, state=replace(part.state, processes=tuple(processes)))


def why_unforeseen(check: Check, part: Part) -> str:
    """Return why nobody can say how many more requests a part of a check needs."""
    kind, limits = part.kind, check.paired
    decisive = part.state.processes[: None if wants_proof(check) else kind.decisive()]
    where = f" in {kind.place}" if kind.place else ""
    if any(not process.segments[-1].looks for process in decisive):
        return f"cannot yet tell how many more {kind.exposures} are needed{where}"
    if wants_proof(check):
        return f"at the rates so far no number of {kind.exposures}{where} rules {beyond(check)} out"
    detect = limits.detect if limits else ""
    return (
        f"no number of {kind.exposures} at this split{where} would tell detect {detect} from "
        f"what {kind.tolerated} tolerate; raise detect, or tolerate less"
    )


def beyond(check: Check) -> str:
    """Return which harm a check is to rule out."""
    return f"harm beyond {kinds.of(check).tolerated}"


def proved(check: Check, state: PairedState) -> str:
    """Return that harm is ruled out, and how many times as often it happens at most."""
    whole, *_ = parts(check, state)
    part, index = _foremost([whole])
    kind, process = part.kind, part.state.processes[index]
    most = kind.interval(process).high
    if not kind.tolerance.floor:
        most = min(most, kind.tolerance.ratio)  # more is what was ruled out
    limit = f": at most {plain(most)} times as {kind.often}" if most < math.inf else ""
    return f"{beyond(check)} is ruled out{limit}"


def passed(check: Check, state: PairedState) -> str:
    """Return why a check passes although it has seen more than is tolerated; empty if it has not.

    What it passes by is that harm of the size of `detect` would have shown (B18).
    """
    part, *_ = parts(check, state)
    kind, limits = part.kind, check.paired
    index = max(range(kind.decisive()), key=lambda one: _contribution(part, one))
    more, less = part.state.processes[index].total.rates
    if limits is None or more <= kind.tolerance.ratio * less + kind.tolerance.floor:
        return ""
    return (
        f"; more than {kind.tolerated} tolerate, but harm as large as detect {limits.detect} would "
        "have shown"
    )


def seen(check: Check, state: PairedState) -> str:
    """Return what was counted, by what tells most in the whole, and of the slices the worst."""
    whole, *rest = parts(check, state)
    text = _told(*_foremost([whole]))
    if rest:
        worst = max(rest, key=Part.log_e)
        text += f"; of {len(rest)} slices the worst, {_told(*_foremost([worst]))}"
    asked = whole.kind.slices
    if asked is None:
        return text
    small = [part for part in rest if is_small(whole, part)]
    if small:
        text += f"; under {asked.wait_for} and not waited for: {_some(small)}"
    untold = [part for part in rest if part not in small and is_untellable(check, part)]
    if untold:
        text += f"; too few events to be waited for: {_some(untold)}"
    if state.others:
        text += f"; {state.others} more of {asked.by} count in the whole only"
    return text


def _some(found: Sequence[Part]) -> str:
    """Return the places of some parts."""
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(part.kind.place for part in found[:MOST_NAMED]) + more


def _told(part: Part, index: int) -> str:
    """Return what a process of a part has counted, and how many times as often it happens.

    Where the counts suggest another number they were not counted at the same times, and it is said.
    """
    kind, process = part.kind, part.state.processes[index]
    times, counted = kind.times(process), kind.counted_times(process)
    where = f"in {kind.place}: " if kind.place else ""
    text = where + kind.counted(part.state, index)
    if times is None:
        return text
    apart = counted is not None and abs(counted - times) > APART * max(counted, times)
    return f"{text}{SAME_TIMES if apart else ':'} {times:.1f} times as {kind.often}"


def _foremost(found: Sequence[Part]) -> tuple[Part, int]:
    """Return which process of some parts tells most."""
    return max(
        ((part, index) for part in found for index in range(len(part.weighed))),
        key=lambda one: _contribution(*one),
    )


def _contribution(part: Part, index: int) -> float:
    share, process = part.weighed[index]
    return process.log_e() + math.log(share)
