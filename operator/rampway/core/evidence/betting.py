"""A bounded mean by betting: is the candidate's larger than stable's, by more than is tolerated?

H0: mean_c <= ratio * mean_s + floor, of values in [0, 1]. From each interval the two sample means
m_c and m_s are known, and D = m_c - ratio * m_s - floor has a mean of at most 0 under H0. As D is
at least -(ratio + floor), a bet of a share b < 1 of what is safe,

    factor = 1 + b / (ratio + floor) * D,

is never negative and has a mean of at most 1, so the wealth is an e-process (Waudby-Smith & Ramdas,
arXiv 2010.09686; Ramdas, Grünwald, Vovk & Shafer, arXiv 2210.01948). Several shares at once, each
with an equal part of the capital, are a mixture of such bets and need no tuning.

Nothing is asked of the values but their bounds: they may depend on each other within an interval,
come in bursts, and their means may change with time for both. What an interval may win is bounded,
so with many values in each the mixture of `mixture` (by fractional events) is sooner; with few
values that vary little, this is. `core/checks` takes half of each.
"""

import math
from dataclasses import dataclass

from rampway.core.evidence.mixture import PairCount, Tolerance, log_sum

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Of the largest safe bet."""


@dataclass(frozen=True, slots=True)
class Bets:
    """The capital of a bet on a mean.

    Attributes:
        log_wealth: By member of SHARES, in nats; starts at 0.
    """

    log_wealth: tuple[float, ...] = (0.0,) * len(SHARES)

    def log_e(self) -> float:
        """Return the logarithm of the e-value, in nats; harm is called at log(1/alpha).

        Against H0 of `after`; under it the chance of ever coming so far is at most alpha.
        """
        return log_sum(self.log_wealth) - math.log(len(SHARES))

    def after(self, counts: PairCount, tolerance: Tolerance) -> "Bets":
        """Return the capital after one interval.

        Tested is H0: mean_c <= ratio * mean_s + floor, in every interval, of scaled values
        (Waudby-Smith & Ramdas, arXiv 2010.09686). Assumed: values keep their bounds, and given the
        past the two sample means are unbiased; not that values are independent.

        Args:
            counts: Values and their sums, each value scaled into [0, 1]; an interval without
                values on both sides is no bet.
            tolerance: What is not called harm; the same at every interval.
        """
        if not counts.comparable:
            return self
        mine = counts.candidate_events / counts.candidate_n
        other = counts.stable_events / counts.stable_n
        won = mine - tolerance.ratio * other - tolerance.floor
        most = 1 / (tolerance.ratio + tolerance.floor)
        return Bets(
            tuple(
                wealth + math.log1p(share * most * won)
                for wealth, share in zip(self.log_wealth, SHARES, strict=True)
            )
        )
