"""Why a ModelDeployment is where it is, what it waits for, and what would move it. Pure.

What a rollout waits for follows from the stages, clocks and reactions of `rampway.core`, in the
order in which the operator asks.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from rampway.api.conditions import Condition, ConditionType, Phase, Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.cli import authors, consented, course, ends, queued, words
from rampway.cli.asked import logs, typed
from rampway.cli.explanation import Explanation, Need
from rampway.cli.facts import PROMOTION, Facts, Role, full_size, stages_of
from rampway.cli.words import clean
from rampway.core.checks.judged import CheckState
from rampway.core.instants import brief
from rampway.core.pods import capacity
from rampway.core.rollout import hooks
from rampway.core.rollout.stages import Stage, sentence

P = RolloutPhase


def explain(facts: Facts, now_s: float) -> Explanation:
    """Return the explanation of what is there now, and who made it so."""
    return replace(_explained(facts, now_s), who=tuple(authors.who(facts, now_s)))


def _explained(facts: Facts, now_s: float) -> Explanation:
    status = facts.deployment.status
    if not status.phase or facts.outdated:
        return _unseen(facts)
    rollout = facts.running
    if rollout is None:
        return _at_rest(facts)
    phase = rollout.status.phase or P.STARTING
    told = _RUNNING.get(phase)
    if told is None:  # a phase that only a newer operator knows
        return Explanation(f"{phase}", clean(status.message))
    found = told(facts, rollout, now_s)
    if status.queued is None:
        return found
    then = clean(f"{found.then}; once it has ended: {queued.shown(status.queued)} is rolled out")
    return replace(found, then=then, moves=(*found.moves, *queued.moves(facts, rollout)))


def _unseen(facts: Facts) -> Explanation:
    return Explanation(
        "nobody has looked at this spec yet",
        words.missing(facts),
        (Need(False, "a running operator: kubectl get pods -n rampway-system"),),
        "it acts within seconds once it runs",
    )


def _at_rest(facts: Facts) -> Explanation:
    status = facts.deployment.status
    old = facts.idle or any(one.role is Role.OLD for one in facts.revisions)
    undo = (f"{_typed(facts, 'undo')}: back to the revision before, by a rollout",)
    moves: Mapping[str, tuple[str, ...]] = {
        Phase.HEALTHY: (
            "a change of spec.model or spec.server begins a rollout",
            *(undo if old else ()),
        ),
        Phase.ROLLED_BACK: (
            *_says(facts),
            f"{_typed(facts, 'retry')}: the same revision again, from the first step",
            f"{_typed(facts, 'undo')}: let the spec name what serves",
            "another model or server in the spec: a new revision, a new rollout",
        ),
        Phase.PAUSED: (_typed(facts, "resume"),),
        Phase.REFUSED: ("a change of the spec, as the message says",),
        Phase.DEGRADED: (
            "a ready pod of stable: the message and `kubectl describe pod` say what keeps it",
        ),
    }
    where = f"{status.phase}: no rollout runs"
    if status.phase == Phase.ROLLED_BACK:
        where += "; stable serves, the spec's revision does not"
    wanting = tuple(
        Need(False, _condition(one, status.message))
        for one in status.conditions
        if one.type in {ConditionType.ACCEPTED, ConditionType.READY} and one.status != "True"
    )
    can = moves.get(status.phase, ())
    if facts.deployment.spec.paused and status.phase != Phase.PAUSED:
        where += "; paused, so nothing new begins"
        can = (f"{_typed(facts, 'resume')}: end the pause", *can)
    return Explanation(where, clean(status.message), wanting, "", can)


def _condition(found: Condition, said: str) -> str:
    """Return a condition that is not True; its message only where it is not said already."""
    about = "" if found.message == said else f": {found.message}"
    return clean(f"{found.type} is {found.status}, {found.reason}{about}")


def _typed(facts: Facts, verb: str) -> str:
    """Return a command as a person types it."""
    return typed(facts.deployment, verb)


def _why(facts: Facts, rollout: ModelRollout) -> str:
    return clean(rollout.status.message or facts.deployment.status.message)


def _starting(facts: Facts, rollout: ModelRollout, now_s: float) -> Explanation:
    found = stages_of(facts.deployment, rollout)
    needs = [*_pods(facts, found[0]), *_hooks(rollout), *_unpaused(facts)]
    if rollout.spec.policy.checks:
        needs.append(Need(None, "an answer of Prometheus: no traffic without evidence"))
    return Explanation(
        "a candidate is being brought up; it has had no request",
        _why(facts, rollout),
        tuple(needs),
        sentence(found, 0),
        (*(course.consent(facts) or _ends(facts)), *_skips(facts), *_says(facts)),
        tuple(ends.deadline(rollout, now_s)),
    )


def _stepping(facts: Facts, rollout: ModelRollout, now_s: float) -> Explanation:
    found = stages_of(facts.deployment, rollout)
    index = min(rollout.status.step.index, len(found) - 1)
    stage, last = found[index], index + 1 == len(found)
    return Explanation(
        f"in {sentence(found, index)}",
        _why(facts, rollout),
        (
            *_pods(facts, stage),
            *_step(facts, rollout, stage, now_s),
            *_hooks(rollout),
            *_unpaused(facts),
        ),
        PROMOTION if last else sentence(found, index + 1),
        (*(course.consent(facts) or _ends(facts)), *_skips(facts), *_says(facts)),
        (*ends.reactions(rollout, stage.name), *ends.deadline(rollout, now_s)),
    )


def _step(facts: Facts, rollout: ModelRollout, stage: Stage, now_s: float) -> Iterator[Need]:
    status, at = rollout.status, facts.progress(now_s)
    in_force = bool(status.step.in_force_since)
    route = clean(facts.route.message) if facts.route else ""
    what = f"its split is in force at every Gateway ({stage.share or 'all to stable'})"
    yield Need(in_force, what if in_force or not route else f"{what}: {route}")
    if stage.approval is not None:
        given = any(one.step == stage.name for one in rollout.spec.requests.approve)
        yield Need(given, f"a person's approval: {clean(stage.approval) or 'step ' + stage.name}")
        return
    held = f"held for {words.duration(stage.hold_s)}"
    if at is not None and at.left_s is not None:
        left = f": {brief(at.left_s)} left, without evidence it does not run" if at.left_s else ""
        yield Need(not at.left_s, held + left)
    else:
        yield Need(False, f"{held}, which begins when the split is in force")
    if stage.min_requests:
        seen = facts.step_requests
        text = f"{stage.min_requests} requests answered by the candidate in this step"
        met = None if seen is None else seen >= stage.min_requests
        yield Need(met, text if seen is None else f"{text}: {seen} by the last checkpoint")
    if stage.exposes:
        yield from consented.needs(rollout, stage.name)


def _promoting(facts: Facts, rollout: ModelRollout, now_s: float) -> Explanation:
    watch = rollout.spec.policy.watch
    then = "it is stable"
    if watch is not None:
        then += f", and watched for {words.duration(watch.hold_s)}"
    unknown = [c for c in rollout.status.checks if c.state == CheckState.UNKNOWN]
    blindly = (f"{_typed(facts, 'promote')}: go on without evidence",)
    blind = (consented.passes(check) for check in unknown)
    return Explanation(
        "all steps are over; the candidate takes everything",
        _why(facts, rollout),
        (*_pods(facts, Stage("")), *blind, *_hooks(rollout), *_unpaused(facts)),
        then,
        (*(course.consent(facts) or _ends(facts)), *(blindly if unknown else ()), *_says(facts)),
        (*ends.reactions(rollout), *ends.deadline(rollout, now_s)),
    )


def _watching(facts: Facts, rollout: ModelRollout, now_s: float) -> Explanation:
    left_s = facts.watch_left_s(now_s)
    return Explanation(
        "promoted; the previous revision is kept warm, and compared",
        _why(facts, rollout),
        (Need(False, f"the watch: {brief(left_s)} left"),) if left_s else (),
        "the previous revision gives up its pods",
        (
            f"{queued.back(facts.deployment, rollout)}: back to it at once, the spec too",
            f"{_typed(facts, 'abort')}: back to it at once, counted as a rollback",
        ),
        tuple(ends.in_watch(rollout)),
    )


_AFTER_RETURN = {
    Reason.NEW_REVISION.value: "the newer revision is rolled out",
    Reason.BACK_TO_STABLE.value: "it ends as Aborted: the spec names what serves",
}


def _rolling_back(facts: Facts, rollout: ModelRollout, _now_s: float) -> Explanation:
    ready = sum(one.ready for one in facts.revisions if one.role is Role.STABLE)
    return Explanation(
        "traffic is on its way back to stable",
        _why(facts, rollout),
        (
            Need(ready > 0, f"ready pods of stable: {ready} of {full_size(facts.deployment)}"),
            Need(bool(facts.route and facts.route.accepted), "the Gateways confirm the change"),
        ),
        _AFTER_RETURN.get(
            rollout.status.reason,
            "it ends as RolledBack and is not tried again until the spec changes or a person says "
            "so",
        ),
        ("nothing has to be done; no pause holds it",),
    )


_RUNNING: Mapping[str, Callable[[Facts, ModelRollout, float], Explanation]] = {
    P.STARTING: _starting,
    P.STEPPING: _stepping,
    P.PROMOTING: _promoting,
    P.WATCHING: _watching,
    P.ROLLING_BACK: _rolling_back,
}


def _pods(facts: Facts, stage: Stage) -> Iterator[Need]:
    """Yield whether the candidate has the pods that its share needs (B6)."""
    need = stage.pods or capacity.replicas_for(stage.size_pct, full_size(facts.deployment))
    found = next((one for one in facts.revisions if one.role is Role.CANDIDATE), None)
    ready = found.ready if found else 0
    trouble = f": {clean(found.trouble)}" if found and found.trouble else ""
    text = f"pods of the candidate for this share: {need} needed, {ready} ready{trouble}"
    yield Need(ready >= need, text)


def _hooks(rollout: ModelRollout) -> Iterator[Need]:
    """Yield the hooks that it waits for."""
    for run in rollout.status.hooks:
        if run.state != hooks.SUCCEEDED:
            yield Need(False, clean(f"hook {run.key} succeeds; now {run.state}: {run.message}"))


def _unpaused(facts: Facts) -> Iterator[Need]:
    if facts.deployment.spec.paused:
        yield Need(False, f"no pause: {_typed(facts, 'resume')}")


def _skips(facts: Facts) -> tuple[str, ...]:
    return (f"{_typed(facts, 'promote')}: skip the steps that are left",)


def _says(facts: Facts) -> tuple[str, ...]:
    """Return the command that shows what the revision says that fails, and which one that is."""
    if (found := facts.failed) is None:
        return ()
    return (f"{logs(facts.deployment, found.revision)}: the logs of {found.revision}",)


def _ends(facts: Facts) -> tuple[str, ...]:
    return (f"{_typed(facts, 'abort')}: all traffic back to stable",)
