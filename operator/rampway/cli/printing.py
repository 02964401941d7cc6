"""Tables for people and data for programs: the same for all verbs."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from rampway.cli import terminal
from rampway.cli.options import Format

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def dump(data: Any, wanted: Format) -> str:
    """Return data as JSON or YAML text, without a newline at the end."""
    if wanted is Format.JSON:
        return json.dumps(data, indent=2, ensure_ascii=False)
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100).rstrip("\n")


def bare(*, header: bool = True) -> "Table":
    """Return a table without lines and without columns yet."""
    from rich.table import Table

    return Table(
        box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0)
    )


def grid(*titles: str, header: bool = True) -> "Table":
    """Return a table whose last column takes what is left of the line.

    Titles that end in `>` stand on the right.
    """
    table = bare(header=header)
    for index, title in enumerate(titles):
        last = index == len(titles) - 1
        table.add_column(
            title.rstrip(">"),
            justify="right" if title.endswith(">") else "left",
            overflow="fold" if last else "ellipsis",
            no_wrap=not last,
        )
    return table


def rows(titles: Sequence[str], found: Sequence[Sequence["Text"]]) -> "Table":
    """Return a table of rows."""
    table = grid(*titles)
    for row in found:
        table.add_row(*row)
    return table


def printed(shown: Any, data: Any, wanted: Format, *, no_color: bool) -> None:
    """Print a table for people, or the data for programs."""
    if wanted in {Format.JSON, Format.YAML}:
        typer.echo(dump(data, wanted))
        return
    terminal.show(terminal.console(no_color=no_color, wide=wanted is Format.WIDE), shown)
