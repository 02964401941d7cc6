"""Setting and clearing `spec.paused`, and telling what it means now."""

import typer

from rampway.api.conditions import Phase, Reason, RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.cli import ends
from rampway.cli.acting import TRIES, rollouts_of
from rampway.cli.asked import Refusal, typed
from rampway.cli.cluster import find
from rampway.cli.exits import ExitCode
from rampway.cli.facts import PROMOTION, ended, stages_of
from rampway.cli.words import clean
from rampway.core.model.authors import who
from rampway.core.model.revision import revision_hash
from rampway.core.rollout.stages import sentence
from rampway.kube.base import KubeApi
from rampway.kube.errors import Conflict
from rampway.kube.kinds import MODEL_DEPLOYMENT


async def set_paused(api: KubeApi, namespace: str, name: str, *, paused: bool) -> ExitCode:
    """Pause or resume, and tell what follows.

    Raises:
        KubeError: it cannot be read or written.
    """
    for _ in range(TRIES):
        deployment = await find(api, namespace, name)
        rollouts = await rollouts_of(api, namespace, name)
        if deployment.spec.paused != paused:
            held = {"resourceVersion": deployment.resource_version, "uid": deployment.uid}
            patch = {"metadata": held, "spec": {"paused": paused}}
            try:
                await api.patch(MODEL_DEPLOYMENT, namespace, name, patch)
            except Conflict:
                continue
            typer.echo(f"{'paused' if paused else 'resumed'} {name}")
        else:
            typer.echo(f"{name} {'is paused already' if paused else 'is not paused'}")
        running = next((one for one in reversed(rollouts) if not ended(one)), None)
        if running is not None:
            then = _then(deployment, running, paused=paused)
        else:
            retried = bool(rollouts and rollouts[-1].spec.requests.retry)
            then = _paused_at_rest(deployment) if paused else _resumed(deployment, retried=retried)
        typer.echo(f"next: {clean(then)}")
        return ExitCode.OK
    raise Refusal(f"{name} is being written all the time; try again")


def _then(deployment: ModelDeployment, running: ModelRollout, *, paused: bool) -> str:
    """Return what happens now, by the policy that the rollout under way goes by."""
    if running.status.phase == RolloutPhase.ROLLING_BACK:
        return f"{running.name} goes on rolling back: a pause never holds traffic on a candidate"
    return _held(deployment, running) if paused else _freed(deployment, running)


def _held(deployment: ModelDeployment, running: ModelRollout) -> str:
    status, still = running.status, ends.still(running)
    to_go_on = f"To go on: {typed(deployment, 'resume')}"
    if status.phase == RolloutPhase.WATCHING:
        return (
            f"the watch of {running.name} goes on, and does not end before the pause does; "
            f"{still}. {to_go_on}"
        )
    return (
        f"{running.name} stays where it is ({_where(running)}, {status.weight_pct} %): no share "
        f"rises, nothing is promoted; {still}. {to_go_on}"
    )


def _freed(deployment: ModelDeployment, running: ModelRollout) -> str:
    if running.status.phase == RolloutPhase.WATCHING:
        return f"the watch of {running.name} goes on to its end; {ends.still(running)}"
    return f"{running.name} goes on from {_where(running)}: {_next(deployment, running)}"


def _where(running: ModelRollout) -> str:
    return running.status.step.name or "its first step"


def _next(deployment: ModelDeployment, running: ModelRollout) -> str:
    """Return what comes once the pause is over; where more than it holds, the operator's words."""
    status, asked = running.status, running.spec.requests.promote
    if asked is not None and status.phase != RolloutPhase.PROMOTING:
        return f"the steps that are left are skipped, as {who(asked)} asked; then {PROMOTION}"
    if status.reason != Reason.PAUSED:
        return status.message
    found, index = stages_of(deployment, running), status.step.index
    if status.phase == RolloutPhase.PROMOTING:
        return PROMOTION
    if status.phase != RolloutPhase.STEPPING or not status.step.in_force_since:
        return f"{sentence(found, index)}, as its pods become ready"
    return sentence(found, index + 1) if index + 1 < len(found) else PROMOTION


def _paused_at_rest(deployment: ModelDeployment) -> str:
    if deployment.status.stable is None:
        return "nothing serves yet; a first revision that has no pods yet waits for the pause's end"
    return "no rollout runs; a new revision is recorded and not started before the pause ends"


def _resumed(deployment: ModelDeployment, *, retried: bool) -> str:
    """Return what happens at rest; `retried`: somebody asked for another try of the last one."""
    status, wanted = deployment.status, revision_hash(deployment.spec)
    if status.stable is None:
        return f"revision {wanted} is the first: it serves as soon as it is ready, without checks"
    if status.stable.revision == wanted:
        return "no rollout runs; the next change of spec.model or spec.server begins one"
    told = status.candidate is not None and status.candidate.revision == wanted
    if told and status.phase == Phase.ROLLED_BACK and not retried:
        return (
            f"no rollout: {status.message}. To move it: {typed(deployment, 'retry')}, which tries "
            "it again, or another spec.model or spec.server, which is a new revision"
        )
    if told and status.phase != Phase.ROLLED_BACK and status.reason != Reason.PAUSED:
        return f"revision {wanted} waits: {status.message}"
    return f"the rollout of revision {wanted} begins"
