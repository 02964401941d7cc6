"""The same work by others' rules: Kayenta, a z-test, limits as in Argo and Flagger, Lindon & Malek.

Each rule sees, look by look, the requests and events of all runs, and says which call harm.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from bench.evidence.batch import Batch, Floats
from bench.evidence.traffic import Before, binomial
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
RATE = 0.005
"""Events per request of stable."""
REQUESTS = 2000.0
"""Of both, in one look."""
LIMIT = 0.01
"""The fixed limit: twice the usual rate, as "at least 99 % succeed"."""
WRONG_LOOKS = (5, 20, 40, 60, 300)
_ONE_PERCENT, _FIVE_PERCENT = 2.3263, 1.6449
"""Normal quantiles."""


class Rule(Protocol):
    """A way to call harm."""

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:
        """Take in a look; return which runs call harm now."""
        ...


@dataclass
class Ours:
    """The shipped process."""

    batch: Batch

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:
        """Whether E has reached 1/alpha."""
        return self.batch.look(n_c, mine, n_s, other) >= self.batch.bound


@dataclass
class MannWhitney:
    """Kayenta: Mann-Whitney on the rates of all intervals so far, harm at 98 % confidence.

    By the normal approximation with ties and continuity, as its library does.
    """

    mine: list[Floats] = field(default_factory=list)
    other: list[Floats] = field(default_factory=list)
    above: Floats | float = 0.0

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:
        """Whether the candidate's rates rank too high."""
        x, y = mine / n_c, other / n_s
        for old_x, old_y in zip(self.mine, self.other, strict=True):
            self.above = self.above + _wins(x, old_y) + _wins(old_x, y)
        self.above = self.above + _wins(x, y)
        self.mine.append(x)
        self.other.append(y)
        k = len(self.mine)
        ranked = np.sort(np.array(self.mine + self.other), axis=0)
        variance = k * k / 12 * (2 * k + 1 - _ties(ranked) / (2 * k * (2 * k - 1)))
        gap = self.above - k * k / 2 - 0.5
        found: Flags = gap > _ONE_PERCENT * np.sqrt(np.maximum(variance, 1e-12))
        return found


def _wins(x: Floats, y: Floats) -> Floats:
    wins: Floats = (x > y) + 0.5 * (x == y)
    return wins


def _ties(ranked: Floats) -> Floats:
    """Return the sum of t^3 - t over groups of equal values; ranked ascending along axis 0."""
    run = np.ones(ranked.shape[1])
    total = np.zeros(ranked.shape[1])
    for above, below in zip(ranked[1:], ranked[:-1], strict=True):
        same = above == below
        # A group that grows from t to t + 1 gains 3 t (t + 1).
        total += np.where(same, 3 * run * (run + 1), 0)
        run = np.where(same, run + 1, 1)
    return total


@dataclass
class ZTest:
    """A one-sided z-test at 5 % of the totals, at each look."""

    totals: Floats | None = None

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:
        """Whether the candidate's share of the events is too large."""
        self.totals = np.stack([mine, other]) + (0 if self.totals is None else self.totals)
        theta, events = n_c / (n_c + n_s), self.totals.sum(axis=0)
        sd = np.sqrt(np.maximum(events * theta * (1 - theta), 1e-12))
        found: Flags = self.totals[0] - theta * events > _FIVE_PERCENT * sd
        return found


@dataclass
class Limit:
    """A fixed limit on each interval's rate, and how many breaches are forgiven (Argo, Flagger)."""

    forgiven: int
    breaches: Floats | None = None

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:  # noqa: ARG002
        """Whether the limit was broken too often."""
        now = (mine / n_c > LIMIT).astype(float)
        self.breaches = now if self.breaches is None else self.breaches + now
        found: Flags = self.breaches > self.forgiven
        return found


@dataclass
class LindonMalek:
    """The closed form with a Dirichlet prior of concentration k, for a split that never changes."""

    alpha: float
    k: float = 10.0
    totals: Floats | None = None

    def look(self, n_c: float, mine: Floats, n_s: float, other: Floats) -> Flags:
        """Whether the Bayes factor has reached 1/alpha."""
        self.totals = np.stack([mine, other]) + (0 if self.totals is None else self.totals)
        theta = n_c / (n_c + n_s)
        a, b = self.k * theta, self.k * (1 - theta)
        log_factor = _log_beta(a + self.totals[0], b + self.totals[1]) - _log_beta(a, b)
        log_factor -= self.totals[0] * math.log(theta) + self.totals[1] * math.log(1 - theta)
        found: Flags = log_factor >= -math.log(self.alpha)
        return found


def _log_beta(a: Floats | float, b: Floats | float) -> Floats:
    found: Floats = _log_gamma(a) + _log_gamma(b) - _log_gamma(np.asarray(a) + b)
    return found


_log_gamma = np.vectorize(math.lgamma, otypes=[float])


def rules(alpha: float, runs: int, rng: np.random.Generator) -> dict[str, Callable[[], Rule]]:
    """Return the rules by name; each call of one begins anew."""
    halves = binomial(lambda _: (RATE, RATE), [(REQUESTS / 2, REQUESTS / 2)] * 120)
    past = Before(halves).drawn(rng, runs)
    return {
        "rampway": lambda: Ours(Batch.of(runs, alpha, past=past)),
        "lindon_malek": lambda: LindonMalek(alpha),
        "kayenta_mann_whitney_98": MannWhitney,
        "z_test_each_look": ZTest,
        "limit_argo": lambda: Limit(0),
        "limit_flagger_5": lambda: Limit(4),
    }


def first_calls(
    rule: Rule, rng: np.random.Generator, runs: int, *, share: float, harm: float, looks: int
) -> Floats:
    """Return the look, from 1, in which each run first calls harm; infinity for never."""
    n_c, n_s = REQUESTS * share, REQUESTS * (1 - share)
    draw = binomial(lambda _: (harm * RATE, RATE), [(n_c, n_s)] * looks)
    first = np.full(runs, np.inf)
    for look in range(looks):
        called = rule.look(n_c, *_placed(draw(rng, runs, look), n_s))
        first[called & np.isinf(first)] = look + 1
    return first


def _placed(events: tuple[Floats, Floats], n_s: float) -> tuple[Floats, float, Floats]:
    mine, other = events
    return mine, n_s, other


def compared(
    runs: int, looks: int, share: float, alpha: float, seed: int
) -> dict[str, dict[str, float]]:
    """Return, by rule, false alarms within some looks, and how soon harm of 2x is called."""
    seeds = iter(np.random.SeedSequence(seed).spawn(3 * 10))
    found = {}
    for name, begin in rules(alpha, runs, np.random.default_rng(next(seeds))).items():
        calm, harm = (
            first_calls(
                begin(), np.random.default_rng(next(seeds)), runs, share=share, harm=r, looks=looks
            )
            for r in (1.0, 2.0)
        )
        called = harm[np.isfinite(harm)]
        wrong = {f"false_alarms_{k}": float((calm <= k).mean()) for k in WRONG_LOOKS if k <= looks}
        found[name] = wrong | {
            "harm_2x_called": len(called) / runs,
            "harm_2x_median_looks": float(np.median(harm)) if len(called) > runs / 2 else -1.0,
        }
    return found
