"""`kubectl rampway resume NAME`."""

from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def resume(
    name: Name,
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """End a pause: the rollout goes on from where it was."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli.pausing import set_paused

        return await set_paused(api, space, name, paused=False)

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="patch modeldeployments.rampway.dev"))
