"""`kubectl rampway status NAME`: see a rollout, watch it, wait for its end."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Never

import typer

from rampway.cli.exits import ExitCode
from rampway.cli.options import (
    Context,
    Format,
    Kubeconfig,
    Name,
    Namespace,
    NoColor,
    Output,
    Timeout,
    Wait,
    Watch,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rampway.cli.facts import Facts
    from rampway.cli.follow import Subject

_HINTS = {
    "NotFound": "`kubectl get modeldeployments -A` lists those there are (none: are the CRDs "
    "installed?)",
    "Forbidden": "you need the right to get modeldeployments.rampway.dev in that namespace",
    "Transient": "is the cluster up, and are --kubeconfig and --context the right ones?",
}
"""What to do next, by error."""


def status(
    name: Name,
    *,
    namespace: Namespace = None,
    watch: Watch = False,
    wait: Wait = False,
    timeout: Timeout = "15m",
    output: Output = Format.TEXT,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    no_color: NoColor = False,
) -> None:
    """Show revisions, weights, checks and decisions of a ModelDeployment.

    Exit codes:

    0  fine; with --wait: promoted

    1  with --wait: rolled back, aborted, superseded or stalled

    2  wrong usage

    3  with --wait: --timeout is over

    4  cannot be read: none of that name, no right to, no cluster
    """
    if watch and wait:
        raise typer.BadParameter("choose one of --watch and --wait")
    if output is not Format.TEXT and (watch or wait):
        raise typer.BadParameter(f"-o {output} shows one moment: leave out --watch and --wait")
    console = _console(no_color=no_color)

    async def work(subject: "Subject") -> ExitCode:
        if wait:
            return await _wait(subject, timeout)
        if watch:
            await _watch(subject, console)
        return await _once(subject, console, output)

    async def run() -> ExitCode:
        from rampway.cli.cluster import Cluster
        from rampway.cli.follow import Subject

        cluster = Cluster(kubeconfig, context)
        space = cluster.namespace(namespace)
        async with cluster.api() as api:
            return await work(Subject(api, space, name))

    raise typer.Exit(_guarded(run(), interrupted=ExitCode.OK if watch else ExitCode.INTERRUPTED))


def _guarded(work: Coroutine[Any, Any, ExitCode], *, interrupted: ExitCode) -> ExitCode:
    """Run it, and turn what can go wrong into a sentence and an exit code."""
    from rampway.api.parse import Unparseable
    from rampway.kube.errors import KubeError

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return interrupted
    except KubeError as err:
        hint = _HINTS.get(type(err).__name__, "")
        _complain(f"error: {err}" + (f"; {hint}" if hint else ""))
    except Unparseable as err:
        _complain(f"error: the ModelDeployment cannot be understood: {err}; is this program old?")
    return ExitCode.UNREADABLE


async def _once(subject: "Subject", console: "Console", output: Format) -> ExitCode:
    from rampway.cli.data import as_text

    facts = await subject.look()
    if output is Format.TEXT:
        _print(console, _view(facts, subject.pace.now_s(), ""))
    else:
        typer.echo(as_text(facts, subject.pace.now_s(), output))
    return ExitCode.OK


async def _watch(subject: "Subject", console: "Console") -> Never:
    from rampway.cli import follow

    if not console.is_terminal:
        await follow.watch(subject, follow.Lines(typer.echo, _complain))
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(facts: "Facts", now_s: float, trouble: str) -> None:
            live.update(_view(facts, now_s, trouble), refresh=True)

        await follow.watch(subject, show)


async def _wait(subject: "Subject", patience: str) -> ExitCode:
    from rampway.cli import follow, words

    show = follow.Lines(typer.echo, _complain, words.course_key)
    ended = await follow.wait(subject, show, patience)
    verdict = {ExitCode.OK: "promoted", ExitCode.TIMEOUT: "timed out"}.get(ended.code, "failed")
    typer.echo(f"{verdict}: {words.clean(ended.sentence)}")
    return ended.code


def _view(facts: "Facts", now_s: float, trouble: str) -> "RenderableType":
    from rampway.cli.view import view

    return view(facts, now_s, trouble)


def _print(console: "Console", shown: "RenderableType") -> None:
    """Print it; into a file or a pipe without the blanks that fill a terminal's lines."""
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as text:
        console.print(shown)
    for line in text.get().splitlines():
        typer.echo(line.rstrip())


def _complain(text: str) -> None:
    typer.echo(text, err=True)


def _console(*, no_color: bool) -> "Console":
    """Return the console: colours on a terminal only, at most WIDTH columns."""
    from rich.console import Console

    from rampway.cli.view import WIDTH

    console = Console(no_color=no_color or None, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console
