"""What a pass over a rollout works with, and what it comes to: data, no rules."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.api.rollout import (
    CheckStatus,
    Decision,
    ModelRolloutStatus,
    Requests,
    StepApproval,
)
from rampway.core.actions import Action
from rampway.core.checks.judged import Judged
from rampway.core.instants import from_wire, to_wire
from rampway.core.model import authors
from rampway.core.observation import Observation, Revision
from rampway.core.pods import capacity, sizes
from rampway.core.rollout import decisions, stages
from rampway.core.rollout.stages import Stage
from rampway.core.traffic import podshare
from rampway.core.traffic.split import STABLE_ONLY, Split

ACTOR = "rampway"


@dataclass(frozen=True)
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
    def phase(self) -> RolloutPhase:
        """The rollout's phase; one that was never written is the first."""
        return RolloutPhase(self.status.phase or RolloutPhase.STARTING)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What its steps come to."""
        traffic = self.obs.deployment.spec.traffic
        return podshare.of(self.policy, traffic, self.stable.replicas, self.replicas)

    @property
    def stage(self) -> Stage:
        """The stage that runs, or is to run first."""
        return self.stages[self.status.step.index]

    @property
    def requests(self) -> Requests:
        """What people ask of this attempt."""
        return self.rollout.spec.requests

    @property
    def replicas(self) -> int:
        """Pods of a revision that carries everything."""
        return sizes.full(self.obs)

    @property
    def by_pods(self) -> bool:
        """Whether shares are given by numbers of pods."""
        return podshare.applies(self.obs.deployment.spec.traffic)

    @property
    def carried_pct(self) -> int:
        """The largest share that the candidate's ready pods carry (B6).

        A Service sends nothing to others, so where pods make the share it needs no such bound.
        """
        serving = self.candidate.serving
        if self.by_pods:
            return stages.FULL_PCT if serving else 0
        return capacity.weight_for(serving, self.replicas)

    @property
    def paused(self) -> bool:
        """Whether nothing may advance (B10)."""
        return self.obs.deployment.spec.paused

    def pause(self, where: str = "") -> str:
        """Return the pause in words: where it holds the rollout, who set it, and when."""
        return authors.pause(self.obs.authors.paused, where)

    @property
    def split(self) -> Split:
        """What the route gives the candidate now."""
        found = self.obs.route.split
        return found if found.candidate == self.candidate.name else STABLE_ONLY

    @property
    def weight_pct(self) -> int:
        """The candidate's share on the route now."""
        return self.split.weight_pct

    @property
    def may_raise(self) -> bool:
        """Whether traffic may be given: never before the first look that Prometheus answered.

        After a restart the evidence may already say that the candidate does harm.
        """
        look = self.obs.look
        return not self.policy.checks or (look is not None and look.heard)

    @property
    def impossible(self) -> str:
        """Why this stage cannot be given to the candidate, whatever it has, else empty."""
        if self.stage.impossible:
            return podshare.objection(self.policy, self.stable.replicas)
        return self.obs.route.objection(self.stage)

    @property
    def strays(self) -> str:
        """Name of a third revision that has pods still, empty if there is none."""
        mine = {self.candidate.hash, self.stable.hash}
        others = (r for r in self.obs.revisions if r.hash not in mine)
        return next((r.name for r in others if any(not pod.leaving for pod in r.pods)), "")

    def approval(self, step: str) -> StepApproval | None:
        """Return a person's consent to a step, None if there is none (B11)."""
        return next((given for given in self.requests.approve if given.step == step), None)

    def raised(self, wanted: Split) -> Split:
        """Return the split as far as it may rise to it now; under a pause it does not (B10)."""
        return wanted if self.may_raise and not self.paused else self.kept(wanted)

    def kept(self, wanted: Split) -> Split:
        """Return the split as far as it was decided before: nothing rises.

        What a foreign write took away comes back (B14), if evidence has been heard.
        """
        if not self.may_raise:
            return _within(wanted, self.split)
        decided = self.obs.active.status if self.obs.active else self.status
        now = self.split
        before = Split(
            self.candidate.name,
            max(now.weight_pct, decided.weight_pct),
            max(now.mirror_pct, decided.mirror_pct),
            now.headers or (wanted.headers if decided.matched else ()),
        )
        return _within(wanted, before)

    def lowered(self, wanted: Split) -> Split:
        """Return the split as far as the route has it now: nothing rises, nothing is put back."""
        return _within(wanted, self.split)

    def pods_for(self, stage: Stage) -> int:
        """Return the pods that the candidate must have; what it has already it keeps (B4)."""
        if stage.pods is not None:
            return self._share_of_pods(stage.pods)
        need = capacity.replicas_for(stage.size_pct, self.replicas)
        return min(self.replicas, max(need, self.candidate.replicas))

    def need(self, stage: Stage) -> int:
        """Return the fewest pods with which a stage is whole."""
        return stage.pods or capacity.replicas_for(stage.size_pct, self.replicas)

    @property
    def pods_for_all(self) -> int:
        """Pods that it must have to be given everything."""
        return self._share_of_pods(self.replicas) if self.by_pods else self.replicas

    def _share_of_pods(self, pods: int) -> int:
        """Return the candidate's pods where each one raises its share: none more while it may not.

        While the Service does not select them they get nothing, however many there are.
        """
        may_rise = self.split.at_rest or (self.may_raise and not self.paused)
        return pods if may_rise else min(pods, self.candidate.replicas)

    def since_s(self, instant: str) -> float:
        """Return the seconds since an instant of the status, 0 where it is not set."""
        at_s = from_wire(instant)
        return 0.0 if at_s is None else max(0.0, self.now_s - at_s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass over a rollout comes to.

    Attributes:
        status: The rollout's status from now on.
        split: What the route must give the candidate.
        replicas: Pods that the candidate must have; None leaves them.
        commit: The candidate becomes stable now.
        calls: What begins the hooks that are due.
    """

    status: ModelRolloutStatus
    split: Split = STABLE_ONLY
    replicas: int | None = None
    commit: bool = False
    calls: tuple[Action, ...] = ()
    news: tuple[Decision, ...] = field(default=())

    @property
    def weight_pct(self) -> int:
        """The candidate's share of all requests."""
        return self.split.weight_pct


def say(outcome: Outcome, reason: Reason, message: str) -> Outcome:
    """Return the outcome with another reason and message."""
    update = {"reason": reason.value, "message": message}
    return replace(outcome, status=outcome.status.model_copy(update=update))


def record(
    outcome: Outcome,
    now_s: float,
    action: Act,
    reason: Reason,
    message: str,
    *,
    checks: tuple[CheckStatus, ...] = (),
) -> Outcome:
    """Return the outcome with one more decision on record, and the answers it was taken by."""
    decision = Decision(
        at=to_wire(now_s),
        actor=ACTOR,
        action=action,
        reason=reason.value,
        message=message,
        checks=checks,
    )
    return _recorded(outcome, decision)


def by(outcome: Outcome, actor: str) -> Outcome:
    """Return the outcome with its latest decision put down to a person, if one is named (B11)."""
    if not (outcome.news and actor):
        return outcome
    decision = outcome.news[-1].model_copy(update={"actor": actor})
    status = outcome.status.model_copy(update={"decisions": outcome.status.decisions[:-1]})
    return _recorded(replace(outcome, status=status, news=outcome.news[:-1]), decision)


def _recorded(outcome: Outcome, decision: Decision) -> Outcome:
    made = decisions.kept((*outcome.status.decisions, decision))
    status = outcome.status.model_copy(update={"decisions": made})
    return replace(outcome, status=status, news=(*outcome.news, decision))


def how_promoted(status: ModelRolloutStatus) -> str:
    """Return why the promotion began: how the steps ended, or who skipped the rest (B11)."""
    begun = [made.message for made in status.decisions if made.action == Act.PROMOTING]
    return begun[-1] if begun else "all steps are over"


def enter(outcome: Outcome, phase: RolloutPhase, now_s: float) -> Outcome:
    """Return the outcome in another phase; an end is timed."""
    update: dict[str, str] = {"phase": phase.value}
    if phase.ended:
        update["ended_at"] = to_wire(now_s)
    return replace(outcome, status=outcome.status.model_copy(update=update))


def _within(wanted: Split, bound: Split) -> Split:
    """Return what is in both; nothing at all is at rest."""
    both = Split(
        wanted.candidate,
        min(wanted.weight_pct, bound.weight_pct),
        min(wanted.mirror_pct, bound.mirror_pct),
        wanted.headers if bound.headers else (),
    )
    return both.or_rest()
