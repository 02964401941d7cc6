"""Setting and clearing `spec.paused`, and telling what it means now."""

import typer

from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout, parse_deployment
from rampway.cli.acting import TRIES, rollouts_of
from rampway.cli.asked import Refusal, typed
from rampway.cli.exits import ExitCode
from rampway.cli.facts import ended
from rampway.cli.words import clean
from rampway.core.model.revision import revision_hash
from rampway.kube.base import KubeApi
from rampway.kube.errors import Conflict
from rampway.kube.kinds import MODEL_DEPLOYMENT


async def set_paused(api: KubeApi, namespace: str, name: str, *, paused: bool) -> ExitCode:
    """Pause or resume, and tell what follows.

    Raises:
        KubeError: it cannot be read or written.
    """
    for _ in range(TRIES):
        deployment = parse_deployment(await api.get(MODEL_DEPLOYMENT, namespace, name))
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
        typer.echo(f"next: {clean(_then(deployment, running, paused=paused))}")
        return ExitCode.OK
    raise Refusal(f"{name} is being written all the time; try again")


def _then(deployment: ModelDeployment, running: ModelRollout | None, *, paused: bool) -> str:
    if running is None:
        return _at_rest(deployment, paused=paused)
    status = running.status
    where = status.step.name or "its first step"
    if status.phase == RolloutPhase.ROLLING_BACK:
        return f"{running.name} goes on rolling back: a pause never holds traffic on a candidate"
    if status.phase == RolloutPhase.WATCHING:
        return (
            f"the watch of {running.name} goes on, and a failure still returns to the old revision"
        )
    if paused:
        return (
            f"{running.name} stays where it is ({where}, {status.weight_pct} %): no share rises, "
            "nothing is promoted; failing checks and crashes still roll back. To go on: "
            + typed(deployment, "resume")
        )
    return f"{running.name} goes on from {where}: {status.message}"


def _at_rest(deployment: ModelDeployment, *, paused: bool) -> str:
    stable = deployment.status.stable
    wanted = revision_hash(deployment.spec)
    waits = stable is not None and stable.revision != wanted
    if paused:
        return "no rollout runs; a new revision is recorded and not started before the pause ends"
    if waits:
        return f"revision {wanted} waits: {deployment.status.message}"
    return "no rollout runs; the next change of spec.model or spec.server begins one"
