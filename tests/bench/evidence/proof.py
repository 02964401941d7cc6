"""How often harm is called ruled out that is not: a candidate at the limit of what is tolerated."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from bench.evidence.harmless import Alarms
from bench.evidence.traffic import HARD, Traffic, poisson

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    requests_to_rule_out,
    update,
)
from rampway.core.evidence.harmless import MISTAKEN

TOLERANCE = Tolerance(1.1, 0.005)
RATE = 0.01
"""Of stable's requests; of the candidate's just what is tolerated."""
SPLITS = ((500, 500), (100, 400), (50, 1000))
PAST = 120
LOOKS = 60


@dataclass(frozen=True)
class Case:
    """Requests of candidate and stable in a look, how failures come, and what is known of that."""

    name: str
    split: tuple[int, int]
    known: bool


def cases() -> Iterator[Case]:
    """Yield all cases."""
    for kind in ("independent", *HARD):
        for split in SPLITS:
            for known in (False, True):
                yield Case(kind, split, known)


def _traffic(case: Case, mine: float, other: float) -> Traffic:
    return HARD[case.name](mine, other) if case.name in HARD else poisson(mine, other)


def wrongly_proved(case: Case, seed: int, *, runs: int) -> Alarms:
    """Return how many of the runs ever rule the harm out that is there."""
    rng = np.random.default_rng(seed)
    (n_c, n_s), limit = case.split, TOLERANCE.ratio * RATE + TOLERANCE.floor
    draw = partial(_traffic(case, n_c * limit, n_s * RATE), rng, runs)
    halves = partial(_traffic(case, n_s * RATE / 2, n_s * RATE / 2), rng, runs)
    before = [halves(look) for look in range(PAST if case.known else 0)]
    during = [draw(look) for look in range(LOOKS)]
    wrong = 0
    for run in range(runs):
        past = Dispersion()
        for one, other in before:
            past = past.seen(one[run], other[run], 0.5)
        process = EProcess(past=past if before else None)
        for mine, other in during:
            events = min(n_c, mine[run]), min(n_s, other[run])
            counts = PairCount(n_c, float(events[0]), n_s, float(events[1]))
            process = update(process, counts, TOLERANCE, to_rule_out=True)
            if requests_to_rule_out(process, TOLERANCE) == 0:
                wrong += 1
                break
    past_told = "a past" if case.known else "no past"
    name = f"{case.name}, {past_told}, {n_c} and {n_s} requests a look"
    error = math.sqrt(MISTAKEN * (1 - MISTAKEN) / runs)
    return Alarms(name, MISTAKEN, wrong / runs, error)
