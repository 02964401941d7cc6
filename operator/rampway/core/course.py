"""What a pass over a rollout works with, and what it comes to: data, no rules."""

from dataclasses import dataclass, field, replace

from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.api.rollout import Decision, ModelRolloutStatus
from rampway.core import capacity
from rampway.core.instants import from_wire, to_wire
from rampway.core.judged import Judged
from rampway.core.observation import Observation, Revision

MAX_DECISIONS = 40
ACTOR = "rampway"


@dataclass(frozen=True, slots=True)
class Course:
    """One pass over one rollout.

    Attributes:
        candidate: The revision being rolled out; its Deployment exists.
        stable: The revision that serves; its Deployment exists.
        judged: What the checks say now.
    """

    obs: Observation
    rollout: ModelRollout
    candidate: Revision
    stable: Revision
    judged: Judged

    @property
    def now_s(self) -> float:
        """The time of this pass."""
        return self.obs.now_s

    @property
    def status(self) -> ModelRolloutStatus:
        """The rollout's status as it was read."""
        return self.rollout.status

    @property
    def policy(self) -> Policy:
        """The policy as it was when the rollout began."""
        return self.rollout.spec.policy

    @property
    def replicas(self) -> int:
        """Pods of a revision that carries everything."""
        return self.obs.deployment.spec.replicas

    @property
    def paused(self) -> bool:
        """Whether nothing may advance (B10)."""
        return self.obs.deployment.spec.paused

    @property
    def weight_pct(self) -> int:
        """The candidate's share on the route now."""
        carried = self.obs.route.candidate == self.candidate.name
        return self.obs.route.candidate_weight_pct if carried else 0

    @property
    def may_raise(self) -> bool:
        """Whether traffic may be given: never before the first look that Prometheus answered.

        After a restart the evidence may already say that the candidate does harm.
        """
        look = self.obs.look
        return not self.policy.checks or (look is not None and look.heard)

    def raised(self, weight_pct: int) -> int:
        """Return the weight as far as it may rise to it now.

        Under a pause no further than was decided before it (B10), so that what a foreign write
        took away still comes back (B14).
        """
        if not self.may_raise:
            return min(weight_pct, self.weight_pct)
        if self.paused and self.obs.active is not None:
            return min(weight_pct, max(self.weight_pct, self.obs.active.status.weight_pct))
        return weight_pct

    def pods_for(self, weight_pct: int) -> int:
        """Return the pods that the candidate must have; what it has already it keeps (B4)."""
        need = capacity.replicas_for(weight_pct, self.replicas)
        return min(self.replicas, max(need, self.candidate.replicas))

    def since_s(self, instant: str) -> float:
        """Return the seconds since an instant of the status, 0 where it is not set."""
        at_s = from_wire(instant)
        return 0.0 if at_s is None else max(0.0, self.now_s - at_s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass over a rollout comes to.

    Attributes:
        status: The rollout's status from now on.
        weight_pct: Share that the route must give the candidate.
        replicas: Pods that the candidate must have; None leaves them.
        commit: The candidate becomes stable now.
    """

    status: ModelRolloutStatus
    weight_pct: int
    replicas: int | None = None
    commit: bool = False
    news: tuple[Decision, ...] = field(default=())


def say(outcome: Outcome, reason: Reason, message: str) -> Outcome:
    """Return the outcome with another reason and message."""
    update = {"reason": reason.value, "message": message}
    return replace(outcome, status=outcome.status.model_copy(update=update))


def record(outcome: Outcome, now_s: float, action: str, reason: Reason, message: str) -> Outcome:
    """Return the outcome with one more decision on record."""
    decision = Decision(
        at=to_wire(now_s), actor=ACTOR, action=action, reason=reason.value, message=message
    )
    kept = (*outcome.status.decisions, decision)[-MAX_DECISIONS:]
    status = outcome.status.model_copy(update={"decisions": kept})
    return replace(outcome, status=status, news=(*outcome.news, decision))


def enter(outcome: Outcome, phase: RolloutPhase, now_s: float) -> Outcome:
    """Return the outcome in another phase; an end is timed."""
    update: dict[str, str] = {"phase": phase.value}
    if phase.ended:
        update["ended_at"] = to_wire(now_s)
    return replace(outcome, status=outcome.status.model_copy(update=update))
