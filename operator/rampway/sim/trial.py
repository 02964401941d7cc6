"""One rollout in memory: the core decides as in a cluster, by what pods, route and requests say.

Nothing of a cluster is here but what a decision sees, so hours of a rollout pass in a second and
`kubectl rampway simulate` can try hundreds. For faults and races there is `world.py`.
"""

from copy import copy
from dataclasses import dataclass, field, replace
from random import Random

from rampway.api.checks import Check
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout, parse_rollout
from rampway.api.rollout import StepApproval
from rampway.core import actions
from rampway.core.checks import history, paired
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Scrape
from rampway.core.checks.judged import CheckState, EvidenceState
from rampway.core.decide import decide
from rampway.core.instants import from_wire
from rampway.core.model.policies import Policies
from rampway.core.observation import Defaults, Look, Observation, has_ended
from rampway.sim.answering import Answering, past_of
from rampway.sim.trial_place import BEGAN_S, STABLE, Place, Setting, Tally

AT_ONCE = 40
"""Passes without time going on; more would be a loop."""
BEGINS_S = 30.0
"""Stable serves from the beginning, so a rollout begins with the first passes, or not at all."""
QUIET_S = 5.0
"""Without a direct look the operator looks at the metrics so often."""
HURRY_S = 0.25
"""Where something may have begun, pods are read again after so long (shell/looks.py)."""
COARSE = 0.05
"""Looks come later the longer the present split has lasted, by this part of it: what they find is
at most five percent late, and an hour takes some hundred of them, not thousands."""
RAREST_S = 30.0
"""But no later: what was not scraped for a minute is not known to be well."""


class NotBegun(RuntimeError):  # noqa: N818 - an answer, not a defect
    """The operator begins no rollout; the message says why, as the status does."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a trial ended.

    Attributes:
        phase: Of the rollout; Promoted also where a watch without comparisons follows.
        reason: What its status says, and `message`.
        check: The check that stopped it, else empty.
        took_s: From its begin until it was promoted, rolled back or given up.
        exposed_s: From the candidate's first request until then.
        tally: What it cost.
        stages: Name of each step, and when it began, from the rollout's begin.
    """

    phase: RolloutPhase
    reason: str
    message: str
    check: str
    took_s: float
    exposed_s: float
    tally: Tally
    stages: tuple[tuple[str, float], ...]

    @property
    def promoted(self) -> bool:
        """Whether the candidate became stable, for good."""
        return self.phase is RolloutPhase.PROMOTED

    @property
    def stopped(self) -> bool:
        """Whether a check ended or stopped it."""
        return bool(self.check) and not self.promoted


@dataclass(slots=True)
class Trial:
    """One rollout under way.

    Until the candidate's first request nothing depends on how it answers, and most of the time
    goes into stable's past: trials of several candidates may share their beginning (`beside`).
    """

    setting: Setting
    rng: Random
    place: Place = field(init=False)
    rollout: ModelRollout | None = None
    _deployment: ModelDeployment = field(init=False)
    _evidence: EvidenceState | None = None
    _look: Look | None = None
    _scraped_s: float = 0.0
    _stages: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the spec name a candidate beside the stable that serves."""
        self.place = Place(self.setting, self.rng)
        self._deployment = self.setting.deployment

    def begin(self) -> None:
        """Let time go on until the candidate gets its first requests, if it ever does.

        Raises:
            NotBegun: there is no rollout, and nothing that one would wait for.
        """
        self._decide()
        while not (self._exposed or self._done()):
            if self.rollout is None and self.place.now_s - BEGAN_S >= BEGINS_S:
                raise NotBegun(self._why_not())
            self._go_on()

    def beside(self, candidate: Answering, rng: Random) -> "Trial":
        """Return a trial that has begun like this one, of a candidate with dice of its own."""
        other = copy(self)
        other.rng, other.place = rng, self.place.beside(candidate, rng)
        other._stages = list(self._stages)  # noqa: SLF001 - one of these itself
        return other

    def run(self) -> Ended:
        """Let time go on until the rollout is over, or for as long as the setting allows."""
        if self.rollout is None:
            self.begin()
        while not self._done():
            self._go_on()
        return self._ended()

    def _go_on(self) -> None:
        self.place.go_on(self._pace_s())
        self._see()
        self._decide()

    def _done(self) -> bool:
        return self.place.now_s - BEGAN_S >= self.setting.longest_s or self._over()

    @property
    def _exposed(self) -> bool:
        return self.rollout is not None and bool(self.rollout.status.traffic_since)

    def _over(self) -> bool:
        if self.rollout is None:
            return False
        status, policy = self.rollout.status, self.rollout.spec.policy
        compares = policy.watch is not None and policy.watch.holdback_pct > 0
        promoted = status.phase == RolloutPhase.WATCHING and not compares
        return promoted or has_ended(self.rollout) or status.reason == Reason.STOPPED_BY_CHECK

    def _pace_s(self) -> float:
        """Return how long nothing is looked at."""
        if self.rollout is None or not self._exposed:
            return 1.0
        usual_s = self.setting.look_s if self._direct else QUIET_S
        known, checks = self._evidence, self.rollout.spec.policy.checks
        if self._direct and known is not None and paired.suspicious(checks, known.paired):
            usual_s = HURRY_S
        return max(usual_s, min(RAREST_S, COARSE * (self.place.now_s - self.place.split_s)))

    @property
    def _direct(self) -> bool:
        return self._deployment.spec.metrics.direct_look.enabled

    def _see(self) -> None:
        """Look at the pods, and from time to time at what Prometheus has scraped of them."""
        now_s = self.place.now_s
        due = now_s - self._scraped_s >= self.setting.scrape_s
        if due:
            self._scraped_s = now_s
        scrapes = self.place.scrapes(direct=not due) if due or self._direct else ()
        past = self._past() if due else None
        self._look = Look(now_s, scrapes, answers=self._values(), past=past, foresees=False)

    def _past(self) -> tuple[Scrape, ...] | None:
        """Return stable's past, until it is known or the candidate is under traffic."""
        if self.rollout is None or self._exposed:
            return None
        policy, stable = self.rollout.spec.policy, self.place.revisions()[STABLE]
        space, now_s = self._deployment.namespace, self.place.now_s
        wanted = history.wanted(policy, space, stable, self._evidence, now_s)
        if wanted is None:
            return None
        rate_per_s = self.setting.rate_per_s * len(wanted.pods) / max(1, stable.ready)
        return past_of(self.place.stable, rate_per_s, wanted, now_s, self.rng)

    def _values(self) -> dict[str, Answer]:
        """Return answers within their limits to the queries of all thresholds."""
        checks = self.rollout.spec.policy.checks if self.rollout else ()
        return {c.name: _fine(c, self.place.now_s) for c in checks if c.threshold is not None}

    def _decide(self) -> None:
        for _ in range(AT_ONCE):
            made = decide(self._observed())
            name = self.rollout.name if self.rollout else ""
            self._evidence = made.evidence if made.active and made.active == name else None
            for action in made.actions:
                self._apply(action)
            self._agree()
            if made.requeue_after_s != 0 or self._over():
                return
        raise RuntimeError(f"the rollout wants another pass at once, {AT_ONCE} times over")

    def _observed(self) -> Observation:
        place = self.place
        return Observation(
            now_s=place.now_s,
            deployment=self._deployment,
            defaults=Defaults("server", checkpoint_interval_s=self.setting.longest_s),
            revisions=tuple(place.revisions().values()),
            rollouts=(self.rollout,) if self.rollout else (),
            route=place.route(),
            service=place.service(),
            look=self._look,
            evidence=self._evidence,
            hooks=place.hooks,
            policies=Policies(),
        )

    def _apply(self, action: actions.Action) -> None:
        match action:
            case actions.Create("ModelRollout", manifest):
                self.rollout = parse_rollout(manifest)
            case actions.WriteRollout(_, status) if self.rollout:
                self.rollout = replace(self.rollout, status=status)
                step = status.step.name
                if step and (not self._stages or self._stages[-1][0] != step):
                    self._stages.append((step, self.place.now_s - BEGAN_S))
            case actions.WriteStatus(status):
                self._deployment = replace(self._deployment, status=status)
            case _:
                self.place.apply(action)

    def _agree(self) -> None:
        """Let a person approve at once."""
        rollout = self.rollout
        if rollout is None or rollout.status.reason != Reason.APPROVAL:
            return
        asked = rollout.spec.requests
        given = (*asked.approve, StepApproval(step=rollout.status.step.name))
        wanted = asked.model_copy(update={"approve": given})
        spec = rollout.spec.model_copy(update={"requests": wanted})
        self.rollout = replace(rollout, spec=spec)

    def _ended(self) -> Ended:
        if self.rollout is None:  # the time was over before that was certain
            raise NotBegun(self._why_not())
        status, now_s = self.rollout.status, self.place.now_s
        since_s = from_wire(status.traffic_since)
        phase = RolloutPhase(status.phase)
        return Ended(
            phase=RolloutPhase.PROMOTED if phase is RolloutPhase.WATCHING else phase,
            reason=status.reason,
            message=status.message,
            check=next((c.name for c in status.checks if c.state == CheckState.FAIL), ""),
            took_s=now_s - BEGAN_S,
            exposed_s=0.0 if since_s is None else now_s - since_s,
            tally=self.place.tally,
            stages=tuple(self._stages),
        )

    def _why_not(self) -> str:
        """Return why no rollout began, as the status has it."""
        status = self._deployment.status
        refused = (c.message for c in status.conditions if c.reason == Reason.STEPS_NOT_POSSIBLE)
        return next(refused, status.message)


def _fine(check: Check, at_s: float) -> Answer:
    limits = check.threshold
    value = float((limits.max or limits.min or 0) if limits else 0)
    return Answer(AnswerKind.VALUE, value, at_s=at_s)
