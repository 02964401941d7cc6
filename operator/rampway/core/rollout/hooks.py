"""When hooks run, and what waits for them (B23, B29): never a rollback."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.hooks import Hook, HookFailure, HookMoment
from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.api.rollout import HookStatus, ModelRolloutStatus
from rampway.core.actions import Action, RunHook, WriteRollout
from rampway.core.instants import brief, from_wire, to_wire
from rampway.core.observation import HookRun, Observation, has_ended
from rampway.core.rollout.course import Course
from rampway.core.rollout.health import Danger
from rampway.core.rollout.stages import Stage

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"


@dataclass(frozen=True, slots=True)
class Gate:
    """What the hooks of one moment come to.

    Attributes:
        status: The rollout's status with what is known of them.
        calls: What starts those that are due; done again until something is known of it.
        waits: Why it is not open, None if it is.
        danger: A failed hook that rolls back.
    """

    status: ModelRolloutStatus
    calls: tuple[Action, ...] = ()
    waits: tuple[Reason, str] | None = None
    danger: Danger | None = None


def key_of(hook: Hook, stage: Stage | None) -> str:
    """Return what a run of a hook is called within its rollout: once for each step it precedes."""
    return f"{hook.name}.{stage.name}" if stage else hook.name


def gate(course: Course, moment: HookMoment, stage: Stage | None = None) -> Gate:
    """Run the hooks of a moment, one after the other, and say whether all have succeeded."""
    step = stage if moment is HookMoment.BEFORE_STEP else None
    found = Gate(course.status)
    for hook in _of(course.policy, moment, stage):
        one = _one(course.obs, course.rollout, found.status, hook, step)
        found = one
        if one.waits is None:
            continue
        known = _known(one.status, key_of(hook, step))
        if known is None or known.state != FAILED:
            return one
        if hook.on_failure is HookFailure.ROLLBACK:
            return replace(one, danger=Danger(Reason.HOOK_FAILED, one.waits[1], at_once=True))
        if course.approval((stage or course.stage).name) is None:
            text = f"{one.waits[1]}. Approve step {(stage or course.stage).name} to go on, or abort"
            return replace(one, waits=(Reason.HOOK_FAILED, text))
        found = replace(one, waits=None)
    return found


def after(obs: Observation, ended: ModelRollout) -> Gate:
    """Run the hooks that follow a promotion or a rollback; nothing waits for them."""
    moments = {
        RolloutPhase.WATCHING: HookMoment.AFTER_PROMOTION,
        RolloutPhase.PROMOTED: HookMoment.AFTER_PROMOTION,
        RolloutPhase.ROLLED_BACK: HookMoment.AFTER_ROLLBACK,
    }
    found = Gate(ended.status)
    moment = moments.get(RolloutPhase(ended.status.phase)) if ended.status.phase else None
    if moment is None:
        return found
    for hook in _of(ended.spec.policy, moment, None):
        one = _one(obs, ended, found.status, hook, None)
        found = replace(one, calls=(*found.calls, *one.calls), waits=found.waits or one.waits)
    return found


def follow(obs: Observation) -> tuple[list[Action], bool]:
    """Run the hooks after the latest rollout that has ended, also while the next is under way.

    Return what to do, and whether one still runs.
    """
    ended = next((one for one in reversed(obs.rollouts) if has_ended(one)), None)
    if ended is None or not ended.spec.policy.hooks:
        return [], False
    found = after(obs, ended)
    wrote = [WriteRollout(ended.name, found.status)] if found.status != ended.status else []
    running = any(run.state == RUNNING for run in found.status.hooks)
    return [*wrote, *found.calls], running


def _of(policy: Policy, moment: HookMoment, stage: Stage | None) -> list[Hook]:
    return [
        hook
        for hook in policy.hooks
        if hook.when is moment and (hook.step is None or (stage and hook.step == stage.name))
    ]


def _known(status: ModelRolloutStatus, key: str) -> HookStatus | None:
    return next((run for run in status.hooks if run.key == key), None)


def _one(
    obs: Observation,
    rollout: ModelRollout,
    status: ModelRolloutStatus,
    hook: Hook,
    stage: Stage | None,
) -> Gate:
    """Bring one hook on by what is known of it."""
    key = key_of(hook, stage)
    known = _known(status, key)
    if known is None:
        known = HookStatus(key=key, state=RUNNING, since=to_wire(obs.now_s))
    if known.state == RUNNING:
        known = _news(known, hook, obs.hooks.get(f"{rollout.name}/{key}"), obs.now_s)
    told = status.model_copy(
        update={"hooks": (*(run for run in status.hooks if run.key != key), known)}
    )
    if known.state == SUCCEEDED:
        return Gate(told)
    if known.state == FAILED:
        return Gate(told, waits=(Reason.HOOK_FAILED, f"hook {key} failed: {known.message}"))
    begun_s = from_wire(known.since) or obs.now_s
    text = f"hook {key} has run for {brief(obs.now_s - begun_s)}"
    call = RunHook(rollout.name, rollout.uid, key, hook, facts(rollout, hook, stage))
    due = f"{rollout.name}/{key}" not in obs.hooks
    return Gate(told, (call,) if due else (), waits=(Reason.HOOK_RUNNING, text))


def _news(known: HookStatus, hook: Hook, run: HookRun | None, now_s: float) -> HookStatus:
    if run is not None and run.state != RUNNING:
        return known.model_copy(update={"state": run.state, "message": run.message})
    begun_s = from_wire(known.since)
    if begun_s is not None and now_s - begun_s >= hook.timeout_s:
        said = f"; {run.message}" if run and run.message else ""
        text = f"not done within {hook.timeout} (timeout){said}"
        return known.model_copy(update={"state": FAILED, "message": text})
    return known


def facts(rollout: ModelRollout, hook: Hook, stage: Stage | None) -> Mapping[str, str]:
    """Return what a hook is told: as environment variables of a Job, as JSON of a call."""
    spec = rollout.spec
    return {
        "namespace": rollout.namespace,
        "deployment": spec.deployment,
        "rollout": rollout.name,
        "attempt": str(spec.attempt),
        "hook": hook.name,
        "when": hook.when.value,
        "step": stage.name if stage else "",
        "candidate": spec.candidate.revision,
        "candidate_version": spec.candidate.info.version or "",
        "stable": spec.stable.revision,
        "stable_version": spec.stable.info.version or "",
        "phase": rollout.status.phase,
        "message": rollout.status.message,
        "idempotency_key": f"{rollout.uid}/{key_of(hook, stage)}",
    }
