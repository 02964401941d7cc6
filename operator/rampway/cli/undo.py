"""`kubectl rampway undo NAME [--to REVISION]`."""

from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Context, DryRun, Kubeconfig, Name, Namespace, To

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi

_ELSEWHERE = (
    "where Git or a pipeline applies it, change it there too: the next sync brings back what it has"
)


def undo(
    name: Name,
    *,
    to: To = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Go back to an earlier revision: to stable, or where that serves, to the one before.

    Within the watch after a promotion, and while a rollout runs, traffic is back at once; else it
    is a rollout to the old content.
    """

    async def work(api: "KubeApi", space: str) -> ExitCode:
        return await _undo(api, space, name, to, dry_run=dry_run)

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    needed = "patch modeldeployments.rampway.dev and list deployments.apps"
    raise typer.Exit(terminal.guarded(run, needed=needed))


async def _undo(
    api: "KubeApi", namespace: str, name: str, to: str | None, *, dry_run: bool
) -> ExitCode:
    from rampway.api import labels
    from rampway.cli import restoring
    from rampway.cli.acting import TRIES, rollouts_of
    from rampway.cli.asked import Refusal
    from rampway.cli.cluster import find
    from rampway.cli.words import clean
    from rampway.kube.errors import Conflict
    from rampway.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT

    agreed = ""
    for _ in range(TRIES):
        deployment = await find(api, namespace, name)
        rollouts = await rollouts_of(api, namespace, name)
        workloads = await api.list(DEPLOYMENT, namespace, {labels.DEPLOYMENT: name})
        plan = restoring.undo(deployment, rollouts, restoring.kept(workloads, rollouts), to)
        if agreed not in {"", plan.then}:
            raise Refusal(f"{name} moved on in the meantime; now: {plan.then}. Type it again")
        agreed = plan.then
        if plan.patch and not dry_run:
            try:
                await api.patch(MODEL_DEPLOYMENT, namespace, name, plan.patch)
            except Conflict:
                continue
        typer.echo(clean(f"{'not done (dry run): ' if dry_run else ''}{plan.said}"))
        typer.echo(f"{'then' if dry_run else 'next'}: {clean(plan.then)}")
        if plan.patch:
            typer.echo(f"note: {_ELSEWHERE}")
        return ExitCode.OK
    raise Refusal(f"{name} is being written all the time; try again")
