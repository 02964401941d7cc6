"""What the verbs' arguments look like, and what is wrong with them if they do not; light."""

import re
from enum import StrEnum
from typing import Annotated

import typer

from rampway.cli.completion import names

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

MESSAGE_LENGTH = 1024
"""As the API has it."""


class Format(StrEnum):
    """How a verb prints what it found; wide: all there is, lines as long as they get."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


def _name(name: str) -> str:
    from rampway.api.base import NAME_EXPECTED, NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(f"expected {NAME_EXPECTED}; seen: {name!r}")
    return name


def _namespace(namespace: str | None) -> str | None:
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise typer.BadParameter(f"expected the name of a namespace; seen: {namespace!r}")
    return namespace


def _duration(text: str | None) -> str | None:
    from rampway.api.base import seconds

    try:
        seconds(text or "0s")
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    return text


def _message(text: str) -> str:
    if len(text) > MESSAGE_LENGTH:
        raise typer.BadParameter(f"expected at most {MESSAGE_LENGTH} characters; seen: {len(text)}")
    return text


Name = Annotated[
    str,
    typer.Argument(help="Name of the ModelDeployment.", callback=_name, autocompletion=names),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Its namespace; left out, the context's.", callback=_namespace
    ),
]
Among = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Those of this one; left out, the context's.", callback=_namespace
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again each second until Ctrl-C.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until the spec's revision is promoted or refused.")
]
Timeout = Annotated[
    str | None,
    typer.Option(help="How long --wait waits: 90s, 1h30m; left out, 15m.", callback=_duration),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print what is found.")]
Kubeconfig = Annotated[
    str | None, typer.Option(help="Path of the kubeconfig; left out, as kubectl finds it.")
]
Context = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig; left out, the current one.")
]
NoColor = Annotated[
    bool, typer.Option("--no-color", help="No colours; so does NO_COLOR in the environment.")
]
Step = Annotated[str | None, typer.Argument(help="Name of the step; left out, the one that waits.")]
Message = Annotated[
    str, typer.Option("--message", "-m", help="Why; goes on record.", callback=_message)
]
Attempt = Annotated[
    int | None,
    typer.Option(min=1, help="Only if it is about this attempt, as `status` showed it."),
]
To = Annotated[
    str | None,
    typer.Option(help="Hash (its beginning suffices) or version; `history` has them."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would happen; change nothing.")]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces, whatever -n says.")
]
Number = Annotated[
    int | None, typer.Argument(min=1, help="An attempt, to see everything about it.")
]
Files = Annotated[
    list[str], typer.Argument(help="YAML or JSON files; - for the standard input.", metavar="FILE")
]
Rate = Annotated[
    float | None,
    typer.Option(min=0.0, help="Requests a second that the model gets: do its checks get enough?"),
]
Strict = Annotated[bool, typer.Option("--strict", help="A warning is exit code 1, too.")]
InCluster = Annotated[
    bool, typer.Option("--cluster", help="Ask the API server as well, by a dry run.")
]
