"""What all verbs share: logging in, sentences for what goes wrong, printing; light to import."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import typer

from rampway.cli.exits import ExitCode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rampway.kube.base import KubeApi

_HINTS = {
    "Forbidden": "you need the right to {verb} in that namespace",
    "Transient": "is the cluster up, and are --kubeconfig and --context the right ones?",
}
"""What to do next, by error."""
Work = Callable[["KubeApi", str], Awaitable[ExitCode]]
"""Does a verb's work at an API server, in a namespace."""
READ = "get modeldeployments.rampway.dev"
"""The right without which no verb can do anything."""


def logged_in(
    work: Work, *, kubeconfig: str | None, context: str | None, namespace: str | None
) -> Coroutine[Any, Any, ExitCode]:
    """Return the work with a login around it, in the namespace named or the context's own."""

    async def run() -> ExitCode:
        from rampway.cli.cluster import Cluster

        cluster = Cluster(kubeconfig, context)
        space = cluster.namespace(namespace)
        async with cluster.api() as api:
            return await work(api, space)

    return run()


def guarded(
    work: Coroutine[Any, Any, ExitCode],
    *,
    interrupted: ExitCode = ExitCode.INTERRUPTED,
    needed: str = READ,
) -> ExitCode:
    """Run it, and turn what can go wrong into a sentence and an exit code.

    Args:
        work: What to run.
        interrupted: The exit code of Ctrl-C.
        needed: The rights to ask for where the API server refuses.
    """
    from rampway.api.parse import Unparseable
    from rampway.cli.asked import Refusal
    from rampway.kube.errors import KubeError

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return interrupted
    except Refusal as err:
        complain(f"refused: {err}")
        return ExitCode.FAILED
    except KubeError as err:
        hint = _HINTS.get(type(err).__name__, "").format(verb=needed)
        complain(f"error: {err}" + (f"; {hint}" if hint else ""))
    except Unparseable as err:
        complain(f"error: the ModelDeployment cannot be understood: {err}; is this program old?")
    return ExitCode.UNREADABLE


def show(console: "Console", shown: "RenderableType") -> None:
    """Print it; into a file or a pipe without the blanks that fill a terminal's lines."""
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as text:
        console.print(shown)
    for line in text.get().splitlines():
        typer.echo(line.rstrip())


def complain(text: str) -> None:
    """Print it where errors go."""
    typer.echo(text, err=True)


def console(*, no_color: bool, wide: bool = False) -> "Console":
    """Return the console: colours on a terminal only, at most WIDTH columns unless `wide`."""
    from rich.console import Console

    from rampway.cli.view import WIDE, WIDTH

    made = Console(no_color=no_color or None, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE if wide else WIDTH
    elif not wide:
        made.width = min(made.width, WIDTH)
    return made
