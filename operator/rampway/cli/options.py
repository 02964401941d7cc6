"""What the verbs' arguments look like, and what is wrong with them if they do not; light."""

import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
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


def object_name(name: str) -> str:
    """Return the name of an object as it was told, or say what is wrong with it."""
    from rampway.api.base import OBJECT_NAME_EXPECTED, OBJECT_NAME_PATTERN

    if not re.fullmatch(OBJECT_NAME_PATTERN, name):
        raise typer.BadParameter(f"expected {OBJECT_NAME_EXPECTED}, in lower case; seen: {name!r}")
    return name


def _namespace(namespace: str | None) -> str | None:
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise typer.BadParameter(f"expected the name of a namespace; seen: {namespace!r}")
    return namespace


def checked_duration(text: str | None) -> str | None:
    """Return a duration as it was told, or say what is wrong with it."""
    from rampway.api.base import seconds

    try:
        seconds(text or "0s")
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    return text


def at_least(least: str) -> Callable[[str], str]:
    """Return what takes a duration that is no shorter than this one."""

    def checked(text: str) -> str:
        from rampway.api.base import seconds

        checked_duration(text)
        if seconds(text) < seconds(least):
            raise typer.BadParameter(f"expected {least} at least; seen: {text}")
        return text

    return checked


def finite(number: float | None) -> float | None:
    """Return a number as it was told, or say that it has to be a finite one."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"expected a finite number; seen: {number}")
    return number


def _message(text: str) -> str:
    if len(text) > MESSAGE_LENGTH:
        raise typer.BadParameter(f"expected at most {MESSAGE_LENGTH} characters; seen: {len(text)}")
    return text


Name = Annotated[
    str,
    typer.Argument(
        help="Name of the ModelDeployment.", metavar="NAME", callback=_name, autocompletion=names
    ),
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
    typer.Option(
        help="How long --wait waits: 90s, 1h30m; left out, 15m.", callback=checked_duration
    ),
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
Step = Annotated[
    str | None,
    typer.Argument(help="Name of the step; left out, the one that waits.", metavar="STEP"),
]
Message = Annotated[
    str, typer.Option("--message", "-m", help="Why; goes on record.", callback=_message)
]
Attempt = Annotated[
    int | None,
    typer.Option(min=1, help="Only if it is about this attempt, as `status` showed it."),
]
To = Annotated[
    str | None,
    typer.Option(help="Hash (its beginning suffices) or version; five are kept beside stable."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would happen; change nothing.")]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces, whatever -n says.")
]
Number = Annotated[
    int | None,
    typer.Argument(min=1, help="The number of an attempt; `history` has them.", metavar="ATTEMPT"),
]
Files = Annotated[
    list[str], typer.Argument(help="YAML or JSON files; - for the standard input.", metavar="FILE")
]
Rate = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Requests a second that the model gets: do its checks get enough?",
        callback=finite,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="A warning is exit code 1, too.")]
InCluster = Annotated[
    bool, typer.Option("--cluster", help="Ask the API server as well, by a dry run.")
]


def _part(text: str | None) -> str | None:
    from rampway.api.base import fraction

    try:
        if text is not None and fraction(text) > 1:
            raise typer.BadParameter(f"expected at most 100%; seen: {text}")
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    return text


def _address(text: str | None) -> str | None:
    if text is not None and not re.match(r"https?://[^/]", text):
        raise typer.BadParameter(f"expected http://HOST:PORT or https://HOST:PORT; seen: {text}")
    return text


def _readable(file: str | None) -> str | None:
    from rampway.cli import terminal
    from rampway.cli.exits import ExitCode
    from rampway.cli.words import why

    try:
        if file is not None:
            Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        terminal.complain(f"error: {file} cannot be read: {why(err)}")
        raise typer.Exit(ExitCode.UNREADABLE) from err
    return file


PolicyFile = Annotated[
    str | None,
    typer.Argument(
        help="YAML or JSON file with a ModelDeployment or a policy; - for the standard input.",
        metavar="FILE",
    ),
]
PolicyName = Annotated[
    str | None, typer.Option("--policy", help="Name of the object, where the file has several.")
]
Of = Annotated[
    str | None,
    typer.Option(
        help="A ModelDeployment of the cluster: its traffic, and without FILE its policy.",
        autocompletion=names,
    ),
]
Rps = Annotated[
    float | None,
    typer.Option(min=0.0, help="Requests a second of all clients together.", callback=finite),
]
ErrorRate = Annotated[str, typer.Option(help="Part of stable's answers that fail.", callback=_part)]
Latency = Annotated[
    str,
    typer.Option(help="Half of stable's answers come within this time.", callback=at_least("1ms")),
]
Histogram = Annotated[
    str | None,
    typer.Option(
        help="Instead: how long stable's answers take, as Prometheus has it: bounds in seconds "
        "with the requests so far, such as 0.01:120,0.05:900,+Inf:1000.",
    ),
]
Counted = Annotated[
    list[str] | None,
    typer.Option(
        help="What a check of your own counters meets with stable: orders=3% for counts, that many "
        "events for each exposure; basket=40,12 for mean, with its standard deviation. After a "
        "colon exposures for each request, 1 left out: orders=3%:0.2. May be told several times.",
    ),
]
Replicas = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Pods of stable; left out: the file's, or 3.")
]
Prometheus = Annotated[
    str | None,
    typer.Option(
        help="Where the Prometheus is reached from here, such as http://localhost:9090.",
        callback=_address,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(help="File with a bearer token for the Prometheus.", callback=_readable),
]
Window = Annotated[
    str, typer.Option(help="How far back --of measures the traffic.", callback=at_least("1m"))
]
Runs = Annotated[int, typer.Option(min=2, max=100_000, help="Trials of each candidate.")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Of all dice; left out, one is drawn and printed.")
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; left out, one for each processor.")
]
Matched = Annotated[
    str,
    typer.Option(help="Part of the requests that a step with a match chooses.", callback=_part),
]
PodStart = Annotated[
    str, typer.Option(help="How long a pod takes until it is ready.", callback=checked_duration)
]
Scraped = Annotated[
    str,
    typer.Option(
        "--scrape-interval", help="How often Prometheus scrapes.", callback=at_least("1s")
    ),
]
