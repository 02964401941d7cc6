"""The guard against bursts: phi so far, and a cap on what one look may gain.

Real requests fail in bursts (retries, a bad client, a slow disk), and then the binomial law of
the candidate's share promises too much. phi estimates by how much, as a Pearson ratio,

    phi = max(1, (sum (e_c - theta e)^2 + 2 * PRIOR_PHI * v) / (sum e theta (1 - theta) + 2 * v))

over the looks so far that had events, v the mean of e theta (1 - theta) over them: as if
PRIOR_LOOKS = 2 looks before the first had shown PRIOR_PHI = 2. Log factors are divided by phi.
It comes from past looks only, so the e-value stays one wherever it was one before; that it also
holds back bursts is measured (docs/reference/evidence.md), not proved.

Where stable's past is known, the same sums of one half of its pods against the other, interval by
interval, count with those of the looks, and the cap is wider. A past with many failures needs no
prior: it fades as failures are seen in more intervals, up to KNOWN_LOOKS of them. From there on a
phi that is within its own error of 1 is 1; any other counts as half that error larger.
"""

import math
from dataclasses import dataclass

MOST_PER_LOOK = math.log(3)
"""The most that a component may gain in one look, in nats, where no history is known."""
PRIOR_LOOKS = 2.0
PRIOR_PHI = 2.0
FEW_PHI = 5.0
"""The prior of a history that has failures: how a few come together, they do not tell yet."""
KNOWN_LOOKS = 120
"""A past with failures in so many intervals tells how they come together, without a prior."""
MOST_PHI = 16.0
"""A history of worse bursts counts as this bad: stable had an incident, and no candidate's harm
should be put down to it for ever."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is suspected before much is seen: that so many looks had shown so large a phi."""

    looks: float = PRIOR_LOOKS
    phi: float = PRIOR_PHI


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What the looks so far say about bursts.

    Attributes:
        surprise: Sum over looks of (e_c - theta * e)^2.
        variance: Sum over looks of e * theta * (1 - theta): its mean without bursts.
        looks: Looks that had events.
    """

    surprise: float = 0.0
    variance: float = 0.0
    looks: int = 0

    def phi_from(self, prior: "Prior") -> float:
        """Return phi, at least 1, as if earlier looks had shown the prior's."""
        if self.variance <= 0:
            return max(1.0, prior.phi)
        weight = prior.looks * self.variance / self.looks
        return max(1.0, (self.surprise + prior.phi * weight) / (self.variance + weight))

    def plus(self, other: "Dispersion") -> "Dispersion":
        """Return what both say together."""
        return Dispersion(
            self.surprise + other.surprise,
            self.variance + other.variance,
            self.looks + other.looks,
        )

    def seen(self, candidate_events: float, stable_events: float, theta: float) -> "Dispersion":
        """Return the state after one look.

        Args:
            candidate_events: Events of the candidate in this look.
            stable_events: Events of stable in this look.
            theta: Expected share of the candidate in the events, by the rates seen so far and
                not by H0: a steady difference between the revisions is harm, not a burst.
        """
        events = candidate_events + stable_events
        if events == 0:
            return self
        gap = candidate_events - theta * events
        return Dispersion(
            self.surprise + gap * gap,
            self.variance + events * theta * (1 - theta),
            self.looks + 1,
        )


def prior_of(past: Dispersion | None) -> Prior:
    """Return what is suspected beside a past; one with few failures says little of bursts."""
    if past is None or not past.looks:
        return Prior()
    return Prior(PRIOR_LOOKS * max(0.0, 1 - past.looks / KNOWN_LOOKS), FEW_PHI)


def over_dispersion(past: Dispersion | None, since: Dispersion) -> float:
    """Return the phi to divide the next look's log factors by, at least 1.

    Args:
        past: Half of stable's pods against the other half, before; None: not known.
        since: What the looks have shown.
    """
    if past is None:
        return since.phi_from(Prior())
    whole = past.plus(since)
    phi = whole.phi_from(prior_of(past))
    if not past.looks:
        return phi
    error = math.sqrt(2 / whole.looks)  # of a Pearson ratio over so many looks, or more
    if past.looks >= KNOWN_LOOKS and phi <= 1 + error:
        return 1.0
    return phi * (1 + error / 2)
