"""`kubectl rampway abort NAME`, `promote NAME`, `retry NAME`: requests to a rollout, all alike."""

from collections.abc import Callable
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


def _verb(called: str, help_text: str) -> Callable[..., None]:
    """Return the verb that asks for what `people` plans under its name."""

    def verb(
        name: Name,
        *,
        namespace: Namespace = None,
        message: Message = "",
        attempt: Attempt = None,
        kubeconfig: Kubeconfig = None,
        context: Context = None,
    ) -> None:
        async def work(api: "KubeApi", space: str) -> ExitCode:
            from rampway.cli import acting, people

            wish = acting.Wish(people.PLANS[called], name, message, attempt)
            return await acting.ask(api, space, wish)

        run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
        raise typer.Exit(terminal.guarded(run, needed="patch modelrollouts.rampway.dev"))

    verb.__name__ = called
    verb.__doc__ = help_text
    return verb


promote = _verb(
    "promote",
    "Skip the remaining steps of the rollout that runs; checks and crashes still roll back.",
)
abort = _verb(
    "abort",
    "End the rollout that runs: all traffic back to stable; in the watch, to the old revision.",
)
retry = _verb("retry", "Try a revision again that was rolled back, from the first step.")
