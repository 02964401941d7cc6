"""`kubectl rampway promote NAME`."""

from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import (
    Attempt,
    Context,
    Kubeconfig,
    Message,
    Name,
    Namespace,
)

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def promote(
    name: Name,
    *,
    namespace: Namespace = None,
    message: Message = "",
    attempt: Attempt = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Skip the remaining steps of the rollout that runs; checks and crashes still roll back."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli import acting, people

        wish = acting.Wish(people.promote, name, message, attempt)
        return await acting.ask(api, space, wish)

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="patch modelrollouts.rampway.dev"))
