"""How often a check that has nobody to compare with passes beside the harm it is to detect (B18).

Against a value, where nobody tells how events come together, and against a past that is drawn anew
for each run. The candidate does just the harm to detect from its first request on. It passes if it
is ever cleared of it before harm is called, with no more events than are no harm, by the rules of
`core.checks.unpaired`, asked at every look.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bench.evidence.batch import RHOS, WEIGHTS, Floats
from bench.evidence.harmless import Alarms
from bench.evidence.reference import BURSTS, PERIOD_LOOKS, RATE, Detectors, held_against
from bench.evidence.reference import Case as Before
from numpy.typing import NDArray

from rampway.core.checks.paired import LEANING, LEANING_LATELY
from rampway.core.checks.references import harm_of, limit_of
from rampway.core.evidence import LOG_BAR, TARGET, UNTOLD_PHI
from rampway.core.evidence.clearance import alternatives, calm
from rampway.core.evidence.dispersion import PRIOR_PHI

MISSED = 1 - TARGET
BEYOND = "rate gamma(.5)"
"""At ten usual events a look, 30 with the harm, counts vary 61 times as much as independent ones:
more than is reckoned with untold."""


@dataclass(frozen=True)
class Case:
    """One condition.

    Attributes:
        before: What the candidate is held against, and how events come together.
        told: Whether the past is known; else its rate is the value.
    """

    before: Before
    told: bool

    @property
    def name(self) -> str:
        """What it is called."""
        past = f"a past of {self.before.intervals} intervals" if self.told else "a value"
        return self.before.name.replace(f"a past of {self.before.intervals} intervals", past)


def cases() -> Iterator[Case]:
    """Yield the conditions that a pass is made for."""
    for fewer in (False, True):
        for traffic in ("", *BURSTS):
            for per_look in (1.0, 10.0):
                if traffic != BEYOND:
                    yield Case(Before(traffic, 0, per_look, fewer=fewer), told=False)
                yield Case(Before(traffic, 240, per_look, fewer=fewer), told=True)
        yield Case(Before(BEYOND, 0, 1.0, fewer=fewer), told=False)


def beyond() -> Iterator[Case]:
    """Yield conditions with larger bursts than it is made for, or a past too short to tell."""
    for fewer in (False, True):
        yield Case(Before(BEYOND, 0, fewer=fewer), told=False)
        for traffic in ("", *BURSTS):
            yield Case(Before(traffic, 6, fewer=fewer), told=True)


@dataclass(frozen=True)
class Held:
    """What the runs are held against, one of each a run, as `references.Held`."""

    limit: Floats
    harm: Floats
    phi: Floats
    calm_phi: Floats


def alarms(case: Case, seed: int, *, runs: int, looks: int) -> Alarms:
    """Return how many of the runs ever pass.

    Args:
        case: The condition.
        seed: Of the random numbers.
        runs: How many.
        looks: In each of them.
    """
    rng = np.random.default_rng(seed)
    passed = _passed(rng, case, _held(rng, case, runs), looks)
    error = math.sqrt(MISSED * (1 - MISSED) / runs)
    return Alarms(case.name, MISSED, float(passed.mean()), error)


def _held(rng: np.random.Generator, case: Case, runs: int) -> Held:
    check = case.before.check
    if case.told:
        limits, phis, usual = held_against(rng, case.before, runs, MISSED)
        harms = np.array([harm_of(check, one) for one in usual])
        return Held(limits, harms, phis, np.array([calm(phi) for phi in phis]))
    value = np.ones(runs)
    limit, harm = limit_of(check, RATE), harm_of(check, RATE)
    return Held(limit * value, harm * value, PRIOR_PHI * value, UNTOLD_PHI * value)


def _passed(rng: np.random.Generator, case: Case, held: Held, looks: int) -> NDArray[np.bool_]:
    """Return which of the runs ever pass."""
    before = case.before
    fewer, n, runs = before.fewer, before.per_look / RATE, len(held.limit)
    harm = harm_of(before.check, RATE)
    traffic = before.draw(harm * n, 0.0)
    terms = np.array(
        [alternatives(h, phi, fewer) for h, phi in zip(held.harm, held.calm_phi, strict=True)]
    )
    detectors, total = Detectors.of(runs), np.zeros(runs)
    alive, passed = np.ones(runs, dtype=bool), np.zeros(runs, dtype=bool)
    rhos = 1 / RHOS if fewer else RHOS
    for look in range(looks):
        mine, _ = traffic(rng, runs, look)
        events = np.minimum(mine, n)
        total += events
        requests = n * (look + 1)
        begun = 1 + look // PERIOD_LOOKS
        log_e = detectors.look(n, events, held.limit, held.phi, begun=begun, fewer=fewer)
        alive &= log_e < math.log(100)
        won = total[:, None] * np.log(rhos) - requests * held.limit[:, None] * (rhos - 1)
        step = np.logaddexp.reduce(np.log(WEIGHTS) + won / held.phi[:, None], axis=1)
        gains = total[:, None] * terms[:, :, 0] - requests * terms[:, :, 1]
        cleared = np.logaddexp.reduce(gains, axis=1) - math.log(terms.shape[1]) >= LOG_BAR
        calm = (log_e < math.log(LEANING)) & (step < math.log(LEANING_LATELY))
        share = total / requests
        kept = share >= held.limit if fewer else share <= held.limit
        passed |= alive & cleared & calm & kept
    return passed
