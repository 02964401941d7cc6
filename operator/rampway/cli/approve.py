"""`kubectl rampway approve NAME [STEP]`."""

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
    Step,
)

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def approve(
    name: Name,
    step: Step = None,
    *,
    namespace: Namespace = None,
    message: Message = "",
    attempt: Attempt = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Agree to a step that waits for a person's approval, or was stopped by a failed check.

    Without STEP, the one that waits now.
    """

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli import acting, people

        wish = acting.Wish(lambda seen: people.approve(seen, step), name, message, attempt)
        return await acting.ask(api, space, wish)

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="patch modelrollouts.rampway.dev"))
