"""The tables of docs/reference/evidence.md: `PYTHONPATH=tests python -m bench.evidence.tables`.

It takes about ten minutes of one core. The seeds are fixed and no two cells share one.
"""
# ruff: noqa: T201 - a program whose purpose is to print

import math
from itertools import count

from bench.evidence.runs import events_needed, false_alarms
from bench.evidence.traffic import (
    HARD,
    Before,
    bursts,
    least_events,
    one_event,
    poisson,
    slow,
    unsteady,
)

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    log_e,
    start,
    update,
    with_past,
)

_SEEDS = count(10_001)
_PAST_SEEDS = count(20_001)
_SHARES = (0.5, 0.2, 0.05)


def hard_cases() -> None:
    """Print false alarms under hard traffic, and what the guard costs."""
    print("False alarms within 300 looks at alpha = .05, 5000 runs a cell;")
    print("last column: events to detect r = 2 when all is well")
    print("share  events  guard " + "".join(f"{name:>21}" for name in [*HARD, "Poisson", "events"]))
    for share in _SHARES:
        for per_arm in (0.5, 2.0, 5.0):
            for guarded in (False, True):
                _hard_row(share, per_arm, guarded=guarded)


def _hard_row(share: float, per_arm: float, *, guarded: bool) -> None:
    mine, other = 2 * per_arm * share, 2 * per_arm * (1 - share)
    traffics = [*(hard(mine, other) for hard in HARD.values()), poisson(mine, other)]
    alarms = [false_alarms(next(_SEEDS), t, share, guarded=guarded) for t in traffics]
    harm = poisson(2 * mine, other)
    needed = events_needed(next(_SEEDS), harm, share, guarded=guarded)
    cells = "".join(f"{rate:21.3f}" for rate in alarms)
    name = "yes" if guarded else "no"
    print(f"{share:5} {2 * per_arm:7.0f} {name:>6}{cells}{needed:21.0f}", flush=True)


def efficiency() -> None:
    """Print which share of the bound log(1/alpha)/KL is reached."""
    print("\nShare of log(1/alpha)/KL reached, one event a look: plain mixture / with the guard")
    for share in (0.5, 0.2, 0.1, 0.05):
        for alpha in (0.05, 0.01):
            cells = [_efficiency(share, ratio, alpha) for ratio in (1.5, 2.0, 5.0, 20.0)]
            print(f"share {share:4}  alpha {alpha:4}  r = 1.5, 2, 5, 20:  {'  '.join(cells)}")


def _efficiency(share: float, ratio: float, alpha: float) -> str:
    traffic, least = one_event(share, ratio), least_events(share, ratio, alpha)
    both = (
        least / events_needed(next(_SEEDS), traffic, share, guarded=guarded, alpha=alpha)
        for guarded in (False, True)
    )
    return "/".join(f"{x:.2f}" for x in both)


def late_harm() -> None:
    """Print what harm needs that begins after many harmless events."""
    print("\nHarm after harmless events, one a look: multiples of log(1/alpha)/KL needed,")
    print("alpha = .05: plain mixture / with the guard")
    for begin in (1000, 4000):
        for share in _SHARES:
            for ratio in (2.0, 5.0):
                print(f"after {begin}  share {share:4}  r {ratio:2.0f}:  "
                      f"{_late(share, ratio, begin)}", flush=True)  # fmt: skip


def _late(share: float, ratio: float, begin: int) -> str:
    traffic, least = one_event(share, ratio, begin), least_events(share, ratio, 0.05)
    both = (
        events_needed(next(_SEEDS), traffic, share, guarded=guarded, begin=begin, runs=1000) / least
        for guarded in (False, True)
    )
    return " / ".join(f"{x:.1f}" for x in both)


def hard_cases_with_a_past() -> None:
    """Print the same with 120 intervals of stable's past, each as long as a look."""
    print("\nThe same with a past of 120 intervals, and with fewer; 3000 runs a cell")
    for share in _SHARES:
        for events in (1.0, 10.0):
            _past_row(share, events, 120)
    for intervals in (60, 30):
        _past_row(0.5, 1.0, intervals)


def _past_row(share: float, events: float, intervals: int) -> None:
    mine, other, half = events * share, events * (1 - share), events / 2
    alarms = [
        false_alarms(
            next(_PAST_SEEDS),
            hard(mine, other),
            share,
            before=Before(hard(half, half), intervals),
            runs=3000,
        )
        for hard in [*HARD.values(), poisson]
    ]
    before = Before(poisson(half, half), intervals)
    needed = events_needed(
        next(_PAST_SEEDS), poisson(2 * mine, other), share, guarded=True, before=before, runs=1000
    )
    cells = "".join(f"{rate:21.3f}" for rate in alarms)
    print(f"{share:5} {events:7.0f} {intervals:6}{cells}{needed:21.0f}", flush=True)


def longer_bursts() -> None:
    """Print false alarms where rates stay for 15 looks, and the past has as long intervals."""
    print("\nRates gamma(2) that stay for 15 looks, 50 %, alpha = .05: without / with a past")
    for events in (1.0, 4.0, 10.0):
        half = 15 * events / 2
        past = Before(unsteady(half, half, 2))
        both = (
            false_alarms(next(_PAST_SEEDS), slow(events / 2, events / 2), 0.5, before=before)
            for before in (None, past)
        )
        print(f"{events:4.0f} events a look:  " + " / ".join(f"{rate:.3f}" for rate in both))


def rare_bursts() -> None:
    """Print false alarms of bursts so rare that the past may show none."""
    print("\nBursts of 20 in 600 looks at 50 %, alpha = .01: without a past, with 120 intervals")
    print("of 5 looks, with 120 of 15; by events a look")
    for events in (0.003, 0.03, 0.1, 0.3):
        traffic = bursts(events / 2, events / 2, 20)
        pasts = [None, *(Before(bursts(m * events / 2, m * events / 2, 20)) for m in (5, 15))]
        cells = (
            false_alarms(
                next(_PAST_SEEDS), traffic, 0.5, before=p, alpha=0.01, looks=600, runs=3000
            )
            for p in pasts
        )
        print(f"{events:6}:  " + "  ".join(f"{rate:.3f}" for rate in cells), flush=True)


def total_failure() -> None:
    """Print after how many looks a total failure is called that begins after calm ones."""
    print("\nLooks to call a total failure at alpha = .01, ten of fifty requests a look")
    print("calm looks before: none known, clean, single failures, bursts of 5, an incident")
    pasts = [None, Dispersion(), Dispersion(25, 25, 100), Dispersion(225, 25, 20),
             Dispersion(2500, 25, 20)]  # fmt: skip
    for calm in (0, 12, 60, 600, 3600):
        print(f"{calm:5}:  " + "  ".join(str(_looks_needed(past, calm)) for past in pasts))


def _looks_needed(past: Dispersion | None, calm: int) -> int:
    bound, tolerance = math.log(100), Tolerance(1.1, 0.01)
    process: EProcess = start() if past is None else with_past(start(), past, bound)
    for _ in range(calm):
        process = update(process, PairCount(10, 0, 40, 0), tolerance)
    looks = 0
    while log_e(process) < bound:
        looks += 1
        process = update(process, PairCount(10, 10, 40, 0), tolerance)
    return looks


if __name__ == "__main__":
    hard_cases()
    efficiency()
    late_harm()
    hard_cases_with_a_past()
    longer_bursts()
    rare_bursts()
    total_failure()
