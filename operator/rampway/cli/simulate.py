"""`kubectl rampway simulate [FILE]`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rampway.cli import options, terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Format
from rampway.cli.printing import dump
from rampway.cli.trying import Options, began, progress, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rampway.api.policy import Policy
    from rampway.cli.assumed import Harm, Traffic
    from rampway.cli.policyfile import Subject
    from rampway.cli.simulating import Outcome

Errors = Annotated[
    list[str] | None,
    typer.Option(
        help="A candidate that fails more often: 5x as often as stable, or 20% of its answers. "
        "May be told several times."
    ),
]
Slower = Annotated[
    list[str] | None,
    typer.Option(help="A candidate that takes 1.5x as long. May be told several times."),
]
Changed = Annotated[
    list[str] | None,
    typer.Option(
        help="A candidate with 0.5x as many events in a check of your own counters, or values 0.5x "
        "as large: orders=0.5x. May be told several times."
    ),
]


def _svg(name: str | None) -> str | None:
    if name is not None and not name.endswith(".svg"):
        raise typer.BadParameter(f"expected a name that ends in .svg; seen: {name}")
    if name is not None and not Path(name).parent.is_dir():
        raise typer.BadParameter(f"expected a folder that exists; seen: {Path(name).parent}")
    return name


Picture = Annotated[
    str | None,
    typer.Option(help="Draw it as well, into this file.", metavar="FILE.svg", callback=_svg),
]
LONGEST_S = 24 * 3600.0


def simulate(
    ctx: typer.Context,
    file: options.PolicyFile = None,
    *,
    of: options.Of = None,
    policy: options.PolicyName = None,
    rps: options.Rps = None,
    error_rate: options.ErrorRate = "0%",
    latency: options.Latency = "50ms",
    histogram: options.Histogram = None,
    counted: options.Counted = None,
    errors: Errors = None,
    slower: Slower = None,
    changed: Changed = None,
    replicas: options.Replicas = None,
    matched: options.Matched = "1%",
    pod_start: options.PodStart = "10s",
    scrape_interval: options.Scraped = "15s",
    runs: options.Runs = 100,
    seed: options.Seed = None,
    picture: Picture = None,
    output: options.Output = Format.TABLE,
    prometheus: options.Prometheus = None,
    token: options.Token = None,
    window: options.Window = "1h",
    jobs: options.Jobs = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    no_color: options.NoColor = False,
) -> None:
    """Try a policy a hundred times: how long it takes, what harm costs until it is found.

    The operator's own code decides, over traffic that is drawn by dice.
    """
    found = tried(Options.among(locals(), ctx), Harms(errors or [], slower or [], changed or []))
    found.show(output, no_color=no_color)
    if picture is not None:
        _draw(found, picture)


@dataclass(frozen=True, slots=True)
class Found:
    """What the trials of a policy came to.

    Attributes:
        beyond: The checks that stable itself is beyond, and why (sight.py).
    """

    subject: "Subject"
    policy: "Policy"
    traffic: "Traffic"
    notes: list[str]
    beyond: dict[str, str]
    seed: int
    outcomes: "list[Outcome]"

    def data(self) -> dict[str, object]:
        """Return it for programs."""
        from rampway.cli.simulating import as_data

        about = {
            "of": self.subject.name,
            "traffic": self.traffic.said,
            "requestsPerSecond": self.traffic.rate_per_s,
            "seed": self.seed,
            "takenForGranted": self.notes,
            "stableBeyond": self.beyond,
        }
        return as_data(self.outcomes, about)

    def show(self, output: Format, *, no_color: bool) -> None:
        """Print it, for programs or for people."""
        if output in {Format.JSON, Format.YAML}:
            typer.echo(dump(self.data(), output))
            return
        from rich.console import Group
        from rich.text import Text

        from rampway.cli.simulating import sentences, table
        from rampway.cli.words import clean

        said = sentences(self.outcomes, self.policy, LONGEST_S, self.beyond)
        said += [f"Taken for granted: {'; '.join(self.notes)}."] if self.notes else []
        said += [f"Again with the same dice: --seed {self.seed}"]
        head = Text(f"{clean(self.subject.name)}: {self.traffic.said}", "bold")
        parts = [head, Text(), table(self.outcomes, self.beyond), Text(), *map(Text, said)]
        wide = output is Format.WIDE
        terminal.show(terminal.console(no_color=no_color, wide=wide), Group(*parts))


@dataclass(frozen=True, slots=True)
class Harms:
    """Which candidates are asked about."""

    errors: list[str]
    slower: list[str]
    changed: list[str]


def tried(asked: Options, told: Harms) -> Found:
    """Try the policy that is asked about."""
    from rampway.cli import assumed, sight, simulating

    subject, traffic = wanted(asked, needs_policy=True)
    policy, notes = assumed.tried(subject.policy, traffic)
    harms = [
        *_each("--errors", told.errors, lambda text: assumed.errors(text, traffic, policy)),
        *_each("--slower", told.slower, assumed.slower),
        *_each("--changed", told.changed, lambda t: assumed.changed(t, traffic, subject.policy)),
    ] or assumed.usual(traffic, policy)
    seed = asked.dice()
    beyond = sight.beyond(policy, traffic)
    _warn(policy, traffic, beyond)
    with progress((1 + len(harms)) * asked.runs, "trials") as heard, began(subject):
        outcomes = simulating.simulate(
            subject,
            policy,
            traffic,
            harms,
            runs=asked.runs,
            seed=seed,
            workers=asked.jobs,
            told=heard,
            longest_s=LONGEST_S,
            **asked.more(),
        )
    return Found(subject, policy, traffic, notes, beyond, seed, outcomes)


def _each(option: str, texts: list[str], harm: "Callable[[str], Harm]") -> "Iterator[Harm]":
    """Yield the candidates that an option tells, or say which option is wrong and why."""
    try:
        yield from map(harm, texts)
    except ValueError as err:
        raise typer.BadParameter(f"{option}: {err}") from err


def _warn(policy: "Policy", traffic: "Traffic", beyond: dict[str, str]) -> None:
    """Say before the trials where none of them can end, or well: with little traffic they are long.

    `beyond`: the checks that stable itself is beyond.
    """
    from rampway.cli import reckoning, sight

    why = reckoning.hopeless(policy, traffic.rate_per_s, LONGEST_S)
    if why:
        terminal.complain(f"note: {why}, and a trial is given up after {LONGEST_S / 3600:.0f} h")
    for why in beyond.values():
        terminal.complain(f"note: {why}")
    why = sight.endless(policy, traffic)
    if why:
        terminal.complain(
            f"note: {why}. A trial that nothing stops is given up after {LONGEST_S / 3600:.0f} h, "
            "which takes a while; Ctrl-C ends it"
        )


def _draw(found: Found, file: str) -> None:
    from rampway.cli.picture import picture
    from rampway.cli.words import why

    title = f"{found.subject.name}: {found.traffic.said}"
    try:
        Path(file).write_text(picture(found.outcomes, title), encoding="utf-8")
    except OSError as err:
        terminal.complain(f"error: {file} cannot be written: {why(err)}")
        raise typer.Exit(ExitCode.UNREADABLE) from err
