"""What a person may ask of a rollout, when it makes sense, and what follows from it. Pure."""

from collections.abc import Callable, Mapping, Sequence

from rampway.api.conditions import NO_EVIDENCE, Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import Request
from rampway.cli import queued
from rampway.cli.asked import Asked, Refusal, Seen, candidate, stable
from rampway.cli.facts import asks_about, ended, stages_of
from rampway.core.model.revision import revision_hash
from rampway.core.rollout.stages import Stage, sentence

P = RolloutPhase
_BEFORE_PROMOTION = frozenset({"", P.STARTING, P.STEPPING})


def approve(seen: Seen, step: str | None) -> Asked:
    """Agree to a step; without its name, to the one that waits for it."""
    rollout = seen.running("approve")
    _not_leaving(rollout, "approve")
    found = stages_of(seen.deployment, rollout)
    wanted = step or _waiting(seen, rollout, found)
    if wanted not in {stage.name for stage in found}:
        named = ", ".join(dict.fromkeys(stage.name for stage in found))
        raise Refusal(f"{rollout.name} has no step {wanted}; its steps are {named}")
    given = next((one for one in rollout.spec.requests.approve if one.step == wanted), None)
    if given is not None:
        text = f"step {wanted} of {rollout.name} was approved already{_by(given)}"
        return Asked(rollout, {}, text, _after_approval(rollout, found, wanted))
    _may_be_approved(rollout, found, wanted)
    text = f"approved step {wanted} of {rollout.name}, candidate {candidate(rollout)}"
    then = _after_approval(rollout, found, wanted) + _paused(seen)
    return Asked(rollout, {"approve": [{"step": wanted}]}, text, then)


def _waiting(seen: Seen, rollout: ModelRollout, found: Sequence[Stage]) -> str:
    """Return the step that waits for a person's consent."""
    status = rollout.status
    if asks_about(rollout):
        return asks_about(rollout)
    ahead = [stage.name for stage in _ahead(rollout, found) if stage.approval is not None]
    hint = (
        f"to approve one ahead: {seen.typed('approve', ahead[0])}"
        if ahead
        else "none of the steps ahead asks for approval"
    )
    raise Refusal(
        f"nothing of {rollout.name} waits for approval: {status.message or 'it begins'}; {hint}"
    )


def _ahead(rollout: ModelRollout, found: Sequence[Stage]) -> Sequence[Stage]:
    """Return the stages that are not over, the present one first."""
    status = rollout.status
    if status.phase in _BEFORE_PROMOTION:
        return found[status.step.index :]
    return ()


def _may_be_approved(rollout: ModelRollout, found: Sequence[Stage], wanted: str) -> None:
    status = rollout.status
    ahead = _ahead(rollout, found)
    if wanted not in {stage.name for stage in ahead}:
        raise Refusal(f"step {wanted} of {rollout.name} is over: {status.message}")
    asks = any(stage.name == wanted and stage.approval is not None for stage in ahead)
    if wanted != asks_about(rollout) and not asks:
        raise Refusal(
            f"step {wanted} of {rollout.name} asks for no approval, and no failed check stops it; "
            "it ends by itself; `kubectl rampway promote` skips what is left"
        )


def _after_approval(rollout: ModelRollout, found: Sequence[Stage], wanted: str) -> str:
    status = rollout.status
    at = status.step.name if status.phase == P.STEPPING else ""
    if status.reason == Reason.HOOK_FAILED and asks_about(rollout) == wanted:
        return f"it goes on with step {wanted} although a hook failed"
    if at != wanted:
        where = f"step {status.step.index + 1}/{len(found)} {at}" if at else "its pods starting"
        if wanted not in {stage.name for stage in _ahead(rollout, found)}:
            return f"that step is over; now it is at {where}"
        return f"it counts when the rollout comes to it; now it is at {where}"
    if status.reason == Reason.STOPPED_BY_CHECK:
        return f"step {wanted} goes on although a check failed; the failure stops it no more"
    following = status.step.index + 1
    if following < len(found):
        return sentence(found, following)
    return "the candidate is promoted: it gets all its pods, then all the traffic"


def promote(seen: Seen) -> Asked:
    """Skip the remaining steps."""
    rollout = seen.running("promote")
    _not_leaving(rollout, "promote")
    status = rollout.status
    if status.phase == P.WATCHING:
        raise Refusal(
            f"{rollout.name} is promoted already, and watched; to go back: {seen.typed('undo')}"
        )
    given = rollout.spec.requests.promote
    if given is not None:
        text = f"promotion of {rollout.name} was asked for already{_by(given)}"
        return Asked(rollout, {}, text, status.message + _paused(seen))
    if status.phase == P.PROMOTING and status.reason not in NO_EVIDENCE:
        raise Refusal(f"{rollout.name} is being promoted already: {status.message}")
    total = len(stages_of(seen.deployment, rollout))
    left = total - status.step.index if status.phase in _BEFORE_PROMOTION else 0
    then = (
        "the candidate gets all its pods, then all the traffic; a candidate that crashes or fails "
        "a check that rolls back is still rolled back"
    )
    text = (
        f"asked to promote {candidate(rollout)}, {rollout.name}, skipping {left} of {total} steps"
    )
    return Asked(rollout, {"promote": {}}, text, then + _paused(seen))


def abort(seen: Seen) -> Asked:
    """Put traffic back to stable."""
    rollout = seen.running("abort")
    status = rollout.status
    given = rollout.spec.requests.abort
    if given is not None:
        text = f"{rollout.name} was aborted already{_by(given)}"
        return Asked(rollout, {}, text, status.message)
    _not_leaving(rollout, "abort")
    text = f"aborted {rollout.name}, candidate {candidate(rollout)}"
    if status.phase == P.WATCHING:
        where = f"the old revision {stable(rollout)} takes all requests back, from its warm pods"
    elif status.traffic_since:
        where = f"all traffic goes back to stable {stable(rollout)} at once"
    else:
        where = f"stable {stable(rollout)} goes on; the candidate has had no request"
    waits = seen.deployment.status.queued
    if waits is None:
        then = f"not tried again until the spec changes or somebody says: {seen.typed('retry')}"
    else:
        then = f"{queued.shown(waits)}, which waits, is rolled out next{_paused(seen)}"
    then = f"{where}. It counts as a rollback: {then}"
    return Asked(rollout, {"abort": {}}, text, then, anyway=True)


def retry(seen: Seen) -> Asked:
    """Try a revision again that was rolled back."""
    rollout = seen.last()
    status = rollout.status
    given = rollout.spec.requests.retry
    _can_be_retried(seen, rollout)
    if given is not None:
        text = f"a retry of {rollout.name} was asked for already{_by(given)}"
        return Asked(rollout, {}, text, seen.deployment.status.message)
    tried = [
        r for r in seen.rollouts if r.spec.candidate.revision == rollout.spec.candidate.revision
    ]
    asked = sum(one.spec.requests.retry is not None for one in tried)
    most = rollout.spec.policy.rollback.max_retries
    if asked >= most:
        raise Refusal(
            f"{candidate(rollout)} was retried {asked} times, which is all that "
            f"rollback.maxRetries ({most}) of its policy allows; change the spec"
        )
    text = f"asked for another try of {candidate(rollout)}, which was rolled back: {status.message}"
    then = f"attempt {rollout.spec.attempt + 1} begins from the first step{_paused(seen)}"
    return Asked(rollout, {"retry": {}}, text, then)


def _can_be_retried(seen: Seen, rollout: ModelRollout) -> None:
    status = rollout.status
    if not ended(rollout):
        raise Refusal(f"{rollout.name} runs ({status.phase}): {status.message}; abort it first")
    if status.phase != P.ROLLED_BACK:
        raise Refusal(
            f"the last rollout, {rollout.name}, was not rolled back: it is {status.phase}. To "
            "begin another one change spec.model or spec.server"
        )
    wanted = revision_hash(seen.deployment.spec)
    if wanted != rollout.spec.candidate.revision:
        raise Refusal(
            f"the spec names revision {wanted} now, not {candidate(rollout)}, which was rolled "
            "back; apply that one again: it is tried anew"
        )
    if status.moved_on:
        raise Refusal(
            f"the spec has changed since {rollout.name} ended, so its content is tried again by "
            f"itself: {seen.deployment.status.message}"
        )


def _not_leaving(rollout: ModelRollout, verb: str) -> None:
    """Refuse what comes too late: traffic is on its way back."""
    if rollout.status.phase == P.ROLLING_BACK:
        raise Refusal(
            f"too late to {verb}: {rollout.name} is being rolled back: {rollout.status.message}"
        )
    asked = rollout.spec.requests.abort
    if asked is not None:
        raise Refusal(f"too late to {verb}: {rollout.name} was aborted{_by(asked)}")


def _by(asked: Request) -> str:
    words = f", “{asked.message}”" if asked.message else ""
    return f" by {asked.by or 'somebody'}{words}"


def _paused(seen: Seen) -> str:
    if not seen.deployment.spec.paused:
        return ""
    return f"; paused: nothing moves before {seen.typed('resume')}"


PLANS: Mapping[str, Callable[[Seen], Asked]] = {"promote": promote, "abort": abort, "retry": retry}
"""What the verbs of these names plan."""
