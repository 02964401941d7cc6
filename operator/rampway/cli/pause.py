"""`kubectl rampway pause NAME` and `resume NAME`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def _verb(called: str, help_text: str, *, paused: bool) -> Callable[..., None]:
    """Return the verb that sets `spec.paused` to this."""

    def verb(
        name: Name,
        *,
        namespace: Namespace = None,
        kubeconfig: Kubeconfig = None,
        context: Context = None,
    ) -> None:
        async def work(api: "KubeApi", space: str) -> ExitCode:
            from rampway.cli.pausing import set_paused

            return await set_paused(api, space, name, paused=paused)

        run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
        raise typer.Exit(terminal.guarded(run, needed="patch modeldeployments.rampway.dev"))

    verb.__name__ = called
    verb.__doc__ = help_text
    return verb


pause = _verb(
    "pause",
    "Let nothing advance: no share rises, nothing is promoted; what rolls back still does.",
    paused=True,
)
resume = _verb("resume", "End a pause: the rollout goes on from where it was.", paused=False)
