"""`kubectl rampway status NAME`: see a rollout, watch it, wait for its end."""

from typing import TYPE_CHECKING, Never

import typer

from rampway.cli import terminal
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
    from rampway.kube.base import KubeApi

_ENDS = {
    ExitCode.OK: "promoted",
    ExitCode.TIMEOUT: "timed out",
    ExitCode.WAITS: "waits for a person",
}
PATIENCE = "15m"
"""How long --wait waits, unless told otherwise."""


def status(
    name: Name,
    *,
    namespace: Namespace = None,
    watch: Watch = False,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    no_color: NoColor = False,
) -> None:
    """Show revisions, weights, checks and decisions of a ModelDeployment."""
    _refuse_contradictions(output, timeout, watch=watch, wait=wait)
    console = terminal.console(no_color=no_color, wide=output is Format.WIDE)

    async def work(api: "KubeApi", space: str) -> ExitCode:
        subject = _subject(api, space, name)
        if wait:
            return await _wait(subject, timeout or PATIENCE)
        return await (_watch(subject, console) if watch else _once(subject, console, output))

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    interrupted = ExitCode.OK if watch else ExitCode.INTERRUPTED
    raise typer.Exit(terminal.guarded(run, interrupted=interrupted))


def _subject(api: "KubeApi", namespace: str, name: str) -> "Subject":
    from rampway.cli.follow import Subject

    return Subject(api, namespace, name)


def _refuse_contradictions(output: Format, timeout: str | None, *, watch: bool, wait: bool) -> None:
    if watch and wait:
        raise typer.BadParameter("choose one of --watch and --wait")
    if timeout and not wait:
        raise typer.BadParameter("--timeout is how long --wait waits: add --wait")
    if output in {Format.JSON, Format.YAML} and (watch or wait):
        raise typer.BadParameter(f"-o {output} shows one moment: leave out --watch and --wait")


async def _once(subject: "Subject", console: "Console", output: Format) -> ExitCode:
    from rampway.cli.data import as_text

    facts = await subject.look()
    if output in {Format.TABLE, Format.WIDE}:
        wide = output is Format.WIDE
        terminal.show(console, _view(facts, subject.pace.now_s(), "", wide=wide))
    else:
        typer.echo(as_text(facts, subject.pace.now_s(), output))
    return ExitCode.OK


async def _watch(subject: "Subject", console: "Console") -> Never:
    from rampway.cli import follow

    if not console.is_terminal:
        await follow.watch(subject, follow.Lines(typer.echo, terminal.complain))
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(facts: "Facts", now_s: float, trouble: str) -> None:
            live.update(_view(facts, now_s, trouble), refresh=True)

        await follow.watch(subject, show)


async def _wait(subject: "Subject", patience: str) -> ExitCode:
    from rampway.cli import follow, words

    show = follow.Lines(typer.echo, terminal.complain, words.course_key)
    ended = await follow.wait(subject, show, patience)
    typer.echo(f"{_ENDS.get(ended.code, 'failed')}: {words.clean(ended.sentence)}")
    return ended.code


def _view(facts: "Facts", now_s: float, trouble: str, *, wide: bool = False) -> "RenderableType":
    from rampway.cli.view import view

    return view(facts, now_s, trouble, wide=wide)
