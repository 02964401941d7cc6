"""How many requests are missing until harm would surely have been seen (B18), told at each look.

To search for the number takes milliseconds, and a check that waits is asked at every look. So it is
searched once and then counted down, until what it was reckoned from has changed by a tenth or
half of it has come. Whether any are missing is reckoned at each look: the countdown only tells.
"""

import math
from dataclasses import replace
from functools import lru_cache

from rampway.core.evidence.forecast import Exposure, Plan
from rampway.core.evidence.mixture import Tolerance
from rampway.core.evidence.power import has_power, plan_of
from rampway.core.evidence.process import Countdown, EProcess
from rampway.core.evidence.totals import Segment

_GRID, _ROUNDING = 0.025, 1e-9
_STALE = 4
"""So many steps of the grid, a tenth, may what a countdown was reckoned from have changed."""
_MUCH = 1.25
_NOTHING = 1e-9
_FINEST = 1 / 16
"""Part of the traffic so far: a number is not told more finely."""
_HALVINGS = 3
_MOST_TIMES = 2.0**20
"""Traffic this many times as long as the present segment's is called out of reach."""


def requests_missing(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    *,
    fewer: bool = False,
    foresees: bool = True,
) -> int | None:
    """Return about how many more candidate requests at the present split reach the target.

    `fewer`: rarer events are harm, so the process has stable where else the candidate is.

    0 when it is reached, and when stable is so bad that nothing could be worse than what is
    tolerated. None when no number of requests is known to do: the present segment has no traffic
    on one side yet, or the harm to detect is (nearly) within the tolerance; and unless it
    `foresees`, whenever the target is not reached.
    """
    plan, now = plan_of(process, tolerance, detect, fewer=fewer), process.segments[-1]
    if _is_reached(_coarse(plan, detect), log_bound):
        return 0
    if not (foresees and now.looks):
        return None
    told = _told(process, plan, detect, log_bound)
    if told.more is None:
        return None
    left = told.left(now)
    return math.ceil(left * now.stable_n / now.candidate_n) if fewer else left


def counting_down(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    *,
    fewer: bool = False,
) -> EProcess:
    """Return the process with a countdown for `requests_missing`, reckoned anew where it has to be.

    Arguments as there.
    """
    if not process.segments[-1].looks:
        return process
    plan = plan_of(process, tolerance, detect, fewer=fewer)
    if process.countdown is None and _is_reached(_coarse(plan, detect), log_bound):
        return process
    told = _told(process, plan, detect, log_bound)
    return process if told is process.countdown else replace(process, countdown=told)


def _told(process: EProcess, plan: Plan, detect: float, log_bound: float) -> Countdown:
    """Return the countdown that the process has, or a new one if that does not hold any more."""
    now, told = process.segments[-1], process.countdown
    facts = _facts(plan, now, log_bound)
    if told is not None and not _is_stale(told, facts, now):
        return told
    guess = told.left(now) if told and told.more else now.candidate_n
    return Countdown(_searched(_coarse(plan, detect), log_bound, guess), now.candidate_n, facts)


def _is_stale(told: Countdown, facts: tuple[int, ...], now: Segment) -> bool:
    """Whether the number has to be searched anew.

    Also when half of it has come, or as many requests as before it: what the rest may be wrong by
    is then as small again.
    """
    if max(abs(a - b) for a, b in zip(facts, told.reckoned_from, strict=True)) > _STALE:
        return True
    times = now.candidate_n / told.since_n
    if told.more is None:
        return times > _MUCH
    left = told.left(now)
    return not left or times > _MUCH or (2 * left < told.more and times > 1 + _FINEST)


def _facts(plan: Plan, now: Segment, log_bound: float) -> tuple[int, ...]:
    """Return what a number of missing requests follows from, in steps of the grid."""
    tolerance = plan.tolerance
    facts = (
        plan.candidate_rate,
        tolerance.ratio * plan.stable_rate + tolerance.floor,
        plan.phi,
        now.stable_n / now.candidate_n,
        now.looks / now.candidate_n,
        log_bound,
    )
    return tuple([round(math.log(max(_NOTHING, fact)) / _GRID) for fact in facts])


def _searched(plan: Plan, log_bound: float, guess: float) -> int | None:
    """Return how many more requests reach the target, which is not reached; None: no number.

    `guess`: where the search begins.
    """
    *older, newest = plan.exposures
    so_far = newest.candidate_n
    least = _FINEST * so_far

    def reached(more: float) -> bool:
        longer = newest.times(1 + more / so_far)
        return has_power(replace(plan, exposures=(*older, longer)), log_bound)

    high = max(guess, least)
    while high > least and reached(high / 2):
        high /= 2
    while not reached(high):
        high *= 2
        if high > _MOST_TIMES * so_far:
            return None
    low = high / 2
    for _ in range(_HALVINGS if high > least else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return math.ceil(max(high, least))


@lru_cache(maxsize=16384)  # a plan changes when its traffic has grown by a fortieth
def _is_reached(plan: Plan, log_bound: float) -> bool:
    tolerance = plan.tolerance
    nothing_worse = tolerance.ratio * plan.stable_rate + tolerance.floor >= 1
    return bool(plan.exposures) and (nothing_worse or has_power(plan, log_bound))


def _coarse(plan: Plan, detect: float) -> Plan:
    """Return the plan on a grid of 2.5 %, on the careful side: it is asked for at every look."""
    harm, floor = plan.candidate_rate, detect * plan.tolerance.floor
    return replace(
        plan,
        exposures=tuple(
            Exposure(_down(e.candidate_n), _down(e.stable_n), _down(e.looks))
            for e in plan.exposures
        ),
        candidate_rate=harm if harm in {floor, 1.0} else _down(harm),
        stable_rate=_down(plan.stable_rate),
        phi=1 / _down(1 / plan.phi),
    )


def _down(x: float) -> float:
    """Return the largest number of the grid that is not above x, 0 or more."""
    return math.exp(_GRID * math.floor(math.log(x) / _GRID + _ROUNDING)) if x else 0.0
