"""The program and its verbs; what is heavy is imported by the verb that needs it."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from rampway.cli import exits
from rampway.cli.approve import approve
from rampway.cli.completion import PROGRAM as FILE
from rampway.cli.completion import VARIABLE, completion
from rampway.cli.explain import explain
from rampway.cli.history import history
from rampway.cli.lint import lint
from rampway.cli.list_ import list_
from rampway.cli.pause import pause, resume
from rampway.cli.plan import plan
from rampway.cli.replay import replay
from rampway.cli.requesting import abort, promote, retry
from rampway.cli.simulate import simulate
from rampway.cli.status import status
from rampway.cli.undo import undo
from rampway.cli.version import version

PROGRAM = "kubectl rampway"

app = typer.Typer(
    name=PROGRAM,
    help="See how a model is rolled out, why it stopped, and have your say.",
    no_args_is_help=True,
    # The verb `completion` prints the scripts; two more options in every help would say it again.
    add_completion=VARIABLE in os.environ,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", help="As the verb `version`.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    pass


class Verb(TyperCommand):
    """A verb whose usage reads as kubectl's: `NAME [ATTEMPT]`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage; what has to be there comes in braces from typer."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]


for verb in (
    status,
    list_,
    history,
    explain,
    approve,
    promote,
    abort,
    retry,
    pause,
    resume,
    undo,
    lint,
    simulate,
    plan,
    replay,
    completion,
    version,
):
    called = verb.__name__.rstrip("_")
    app.command(called, cls=Verb, epilog=exits.told(called))(verb)


def run() -> None:
    """Run the program on the command line's arguments."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 gets `?` for a symbol, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app(prog_name=FILE if VARIABLE in os.environ else PROGRAM)
