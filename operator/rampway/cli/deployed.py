"""What a valid ModelDeployment may not do as its author thinks: warnings of `lint`. Pure."""

from collections.abc import Iterator
from itertools import groupby

from rampway.api.automation import Automation
from rampway.api.checks import OnFailure
from rampway.api.deployment import ModelDeploymentSpec
from rampway.api.policy import Policy
from rampway.api.succession import OnNewRevision, Rollout
from rampway.cli import doubts, reckoning
from rampway.cli.doubts import Doubt, Level
from rampway.cli.words import duration
from rampway.core.pods import capacity
from rampway.core.rollout import stages
from rampway.core.rollout.reactions import reaction
from rampway.core.traffic import podshare

_FASTEST_START_S = 5.0
"""No pod of a model server is ready sooner."""


def about(spec: ModelDeploymentSpec) -> Iterator[Doubt]:
    """Yield what is doubtful about a ModelDeployment, whatever its policy."""
    yield from doubts.unused(spec.automation)
    if spec.replicas == 0 and not spec.paused:
        yield Doubt(
            ("replicas",),
            "replicas 0: nothing serves, and a new revision is only recorded: its rollout begins "
            "when there are replicas again (ScaledToZero)",
        )
    if spec.rollout.progress_deadline_s < _FASTEST_START_S:
        yield Doubt(
            ("rollout", "progressDeadline"),
            f"progressDeadline {spec.rollout.progress_deadline}: no pod starts as fast, so every "
            "candidate is given up",
        )


def beside(spec: ModelDeploymentSpec, policy: Policy, *, sure: bool) -> Iterator[Doubt]:
    """Yield what is doubtful about a ModelDeployment and its policy together.

    Args:
        spec: The ModelDeployment's.
        policy: What its rollouts go by; paths are of it.
        sure: Whether that is its policy, and no other one may take its place.
    """
    yield from _leap_in_automation(policy, spec.automation)
    refusals = [*_refused(spec, policy, sure=sure)]
    yield from refusals
    if podshare.applies(spec.traffic) and not refusals:
        yield from _rounded(policy, spec.replicas)


def while_queued(rollout: Rollout, policy: Policy, rps: float | None) -> Iterator[Doubt]:
    """Yield what a newer revision, also one that mends the last, may have to wait for.

    Notes: whoever says Queue, and asks people, wants both.
    """
    if rollout.on_new_revision is not OnNewRevision.QUEUE:
        return
    asks = [f"the approval of step {step.name}" for step in policy.steps if step.approval]
    pauses = (c.name for c in policy.checks if reaction(policy, c.name) is OnFailure.PAUSE)
    asks += [f"a person, should check {name} fail" for name in pauses]
    if asks:
        yield Doubt(
            ("onNewRevision",),
            f"onNewRevision Queue: a newer revision, also an urgent one, waits for "
            f"{' and '.join(asks)} of the rollout under way; `kubectl rampway abort` frees it",
            Level.NOTE,
        )
    watched_s = policy.watch.hold_s if policy.watch else 0.0
    watch = ", its watch included" if watched_s else ""
    if rps is None:
        least_s = watched_s + sum(stage.hold_s for stage in stages.of(policy))
        takes = f"{duration(least_s)} at least{watch}"
    else:
        lasts_s = watched_s + reckoning.lasts_s(policy, rps)
        takes = f"{reckoning.long(lasts_s)} at {rps:g} requests/s{watch}"
    yield Doubt(
        ("onNewRevision",),
        f"onNewRevision Queue: a rollout takes {takes}, and so long a newer revision may have to "
        "wait",
        Level.NOTE,
    )


def _leap_in_automation(policy: Policy, after: Automation) -> Iterator[Doubt]:
    """Yield whether a promotion gives answers a degree that the last step did not have."""
    found = stages.of(policy)
    last = found[-1] if found else None
    if last and last.automation and last.automation.told != after.told:
        yield Doubt(
            ("steps",),
            f"step {last.name} ends with automation {last.automation.told}, and once promoted the "
            f"model has {after.told} (spec.automation), which that step did not try",
        )


def _refused(spec: ModelDeploymentSpec, policy: Policy, *, sure: bool) -> Iterator[Doubt]:
    """Yield why the operator would begin no rollout: pods have no room for a step.

    An error where it is certain. Who leaves replicas out may have an autoscaler that sets them.
    """
    step, words = "", capacity.objection(policy, spec.replicas, spec.capacity.surge)
    if podshare.applies(spec.traffic):
        step, words = podshare.unfit(policy, spec.replicas)
    if not words:
        return
    told = "replicas" in spec.model_fields_set
    where = [*([] if sure else ["the built-in policy"]), *([] if told else ["1 replica"])]
    assumed = f" with {' and '.join(where)}" if where else ""
    level = Level.WARNING if assumed else Level.ERROR
    path = _of_step(policy, step)
    yield Doubt(path, f"no rollout begins{assumed} (StepsNotPossible): {words}", level)


def _rounded(policy: Policy, replicas: int) -> Iterator[Doubt]:
    """Yield which shares numbers of pods give only in part (`traffic.type: Replicas`)."""
    found = podshare.by_pods(policy, replicas, replicas)
    for name, parts in groupby(found, lambda stage: stage.name):
        less = [s for s in parts if s.approval is None and s.asked_pct != s.weight_pct]
        if not less:
            continue
        first = less[0]
        text = f"step {name} asks for {first.asked_pct} %, and {first.pods} candidate pod"
        many = "s" if (first.pods or 0) > 1 else ""
        text += f"{many} beside {replicas} of stable get {first.weight_pct} %"
        more = f"; {len(less)} of its stages are given in part like this" if len(less) > 1 else ""
        yield Doubt(_of_step(policy, name), text + more)
    held_pct = policy.watch.holdback_pct if policy.watch else 0
    if held_pct and not podshare.within(held_pct, replicas, replicas):
        text = f"holdback {held_pct}%: numbers of pods keep none of it back; only pods and"
        yield Doubt(("watch",), f"{text} thresholds are watched")


def _of_step(policy: Policy, name: str) -> tuple[int | str, ...]:
    """Return the path of a step in its policy, of all steps where there is none of the name."""
    names = [step.name for step in policy.steps]
    return ("steps", names.index(name)) if name in names else ("steps",)
