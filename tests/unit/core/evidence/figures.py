"""The measured figures of docs/reference/evidence.md: `PYTHONPATH=tests python -m` this module.

It takes about three minutes of one core. The seeds are fixed and no two cells share one.
"""
# ruff: noqa: T201 - a program whose purpose is to print

from itertools import count

from unit.core.evidence.montecarlo import (
    HARD,
    events_needed,
    false_alarms,
    least_events,
    one_event,
    poisson,
)

_SEEDS = count(10_001)
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


if __name__ == "__main__":
    hard_cases()
    efficiency()
    late_harm()
