"""`kubectl rampway explain NAME`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from rampway.cli.explanation import Explanation
    from rampway.cli.facts import Facts
    from rampway.kube.base import KubeApi


def explain(
    name: Name,
    *,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    no_color: NoColor = False,
) -> None:
    """Say why it is where it is, what it waits for, and what would move it."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from dataclasses import asdict

        from rampway.cli import reasons
        from rampway.cli.follow import Subject
        from rampway.cli.printing import printed

        subject = Subject(api, space, name)
        facts = await subject.look()
        found = reasons.explain(facts, subject.pace.now_s())
        printed(view(facts, found), asdict(found), output, no_color=no_color)
        return ExitCode.OK

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run))


def view(facts: "Facts", found: "Explanation") -> "RenderableType":
    """Return the explanation as text."""
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble((facts.deployment.name, "bold"), f": {found.where}")
    parts: list[RenderableType] = [head, _line("  ", Text(found.why))]
    needs = [Text(f"{_mark(one.met)} {one.text}", _colour(one.met)) for one in found.needs]
    parts += _part("It waits for (✔ so already, ? not known from here)", needs)
    parts += _part("Then", [Text(found.then)] if found.then else [])
    parts += _part("You can", [Text(text) for text in found.moves])
    parts += _part("By itself it would end or stop for", [Text(text) for text in found.back])
    parts += _part("Who", [Text(text) for text in found.who])
    parts += [Text(f"not known: {note}", "yellow") for note in facts.notes]
    return Group(*parts)


def _part(title: str, lines: "list[Text]") -> "Iterator[RenderableType]":
    from rich.text import Text

    if lines:
        yield Text()
        yield Text(title, "bold")
    for line in lines:
        yield _line("  ", line)


def _line(indent: str, text: "Text") -> "RenderableType":
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, len(indent)))


def _mark(met: bool | None) -> str:
    return "?" if met is None else "✔" if met else "◌"


def _colour(met: bool | None) -> str:
    return "yellow" if met is None else "green" if met else "cyan"
