"""`kubectl rampway pause NAME`."""

from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def pause(
    name: Name,
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let nothing advance: no share rises, nothing is promoted; harm is still rolled back."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli.pausing import set_paused

        return await set_paused(api, space, name, paused=True)

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="patch modeldeployments.rampway.dev"))
