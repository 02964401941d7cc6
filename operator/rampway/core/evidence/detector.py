"""An e-detector: has a rate that was fine so far begun to be beyond a limit?

Without anybody to compare with, a revision is held against a fixed limit. For one interval with n
requests and e events and an alternative rho > 1,

    factor = rho**e * exp(-n * limit * (rho - 1))

has a mean of at most 1 while the rate is at most the limit, for Poisson counts, for events of any
frequency and for parts of events, by E[rho**x] <= 1 + p (rho - 1) <= exp(p (rho - 1)). With 1 / rho
in the place of rho it is the same for rates that are at least the limit. Harm may begin at any
time, so a mixture of such factors begins anew once a period, and all of them are added up: a
Shiryaev-Roberts e-detector (Shin, Ramdas & Rinaldo, arXiv 2203.03532). Stopped at C, its mean time
to a false alarm is at least C periods, and the chance of one within N periods at most N / C. Where
nobody knows how many there will be, the k-th beginning weighs 1 / (k (k + 1)): all together no more
than 1, so the chance of ever reaching C is at most 1 / C, for a few nats that late harm costs.

All of it rests on the limit: a load that changes, or a dependency that fails, is no harm of the
revision's and is called all the same. That is why such answers are marked as unpaired.
"""

import math
from dataclasses import dataclass, replace

from rampway.core.evidence.dispersion import MOST_PER_LOOK
from rampway.core.evidence.mixture import RHOS, WEIGHTS, log_sum


@dataclass(frozen=True, slots=True)
class Detector:
    """What was seen of one revision's events.

    Attributes:
        log_r: By alternative, the logarithm of the sum over all beginnings.
        begun: How many have begun.
        requests: Seen so far.
        events: Seen so far, at most as many as requests.
        waiting: Events beyond the requests of their look: they came after theirs, and count in the
            next one.
        step: Requests and events since the present step of the rollout began.
        part: Of a request: exposures that users count need not be whole.
    """

    log_r: tuple[float, ...] = (-math.inf,) * len(RHOS)
    begun: int = 0
    requests: int = 0
    events: float = 0
    waiting: float = 0
    step: tuple[int, float] = (0, 0.0)
    part: float = 0.0

    def log_e(self) -> float:
        """Return the logarithm of the detector, in nats; harm is called at log(periods / alpha).

        Where it was `endless`, at log(1 / alpha).
        """
        return log_sum(self.log_r)

    def in_new_step(self) -> "Detector":
        """Return the detector at the beginning of a step."""
        return replace(self, step=(0, 0.0))

    def log_in_step(self, limit: float, phi: float, *, fewer: bool = False) -> float:
        """Return the logarithm of what the present step alone has won, in nats.

        Its looks together: it is no e-value at every look, and only delays a pass. Events that wait
        for their requests are harm, too; where fewer are harm they might excuse it.
        """
        requests, events = self.step
        if not fewer:
            events = min(requests, events + max(0, self.waiting))
        won = _won(requests, events, limit, phi, fewer=fewer)
        return log_sum([math.log(w) + gain for w, gain in zip(WEIGHTS, won, strict=True)])

    def after(
        self,
        seen: tuple[float, float],
        limit: float,
        *,
        begun: int,
        phi: float = 1.0,
        endless: bool = False,
        fewer: bool = False,
    ) -> "Detector":
        """Return the detector after one look.

        Tested is H0: p <= limit at every look, with `fewer` p >= limit, p the chance that a request
        comes to an event (Shin, Ramdas & Rinaldo, arXiv 2203.03532). Assumed: independence
        given the past; bursts have phi and MOST_PER_LOOK, which are no theorem.

        Args:
            seen: Requests and events of the look; without a whole request it is none yet.
            limit: The largest rate that is no harm, with `fewer` the smallest; always the same.
            begun: How many periods have begun, this one included; it never falls.
            phi: Over-dispersion known beforehand, at least 1, by which log factors are divided.
            endless: It is not known how many periods there will be.
            fewer: Rarer events are harm.
        """
        exposures, told = seen[0] + self.part, seen[1] + self.waiting
        requests, part = math.floor(exposures), exposures % 1
        if requests <= 0:
            return replace(self, waiting=told, part=part)
        events = min(requests, max(0, told))
        begun = max(begun, self.begun)
        weighs = self._weight(begun, endless=endless)
        log_r = []
        won = _won(requests, events, limit, phi, fewer=fewer)
        for log, gain, weight in zip(self.log_r, won, WEIGHTS, strict=True):
            known = log_sum([log, math.log(weighs * weight)]) if weighs else log
            log_r.append(known + min(MOST_PER_LOOK, gain))
        total = self.requests + requests, self.events + events
        step = self.step[0] + requests, self.step[1] + events
        return Detector(tuple(log_r), begun, *total, told - events, step, part)

    def _weight(self, begun: int, *, endless: bool) -> float:
        """Return what all beginnings since the last look weigh together."""
        if endless:
            return 1 / (self.begun + 1) - 1 / (begun + 1)
        return float(begun - self.begun)


def _won(requests: int, events: float, limit: float, phi: float, *, fewer: bool) -> list[float]:
    """Return what counts add to each alternative, in nats."""
    rhos = [1 / rho if fewer else rho for rho in RHOS]
    return [(events * math.log(rho) - requests * limit * (rho - 1)) / phi for rho in rhos]
