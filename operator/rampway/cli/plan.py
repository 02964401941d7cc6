"""`kubectl rampway plan [FILE]`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rampway.cli import options, terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Format
from rampway.cli.printing import dump
from rampway.cli.trying import Options, began, progress, wanted

if TYPE_CHECKING:
    from rampway.api.policy import Policy
    from rampway.cli.drafting import Budget
    from rampway.cli.planning import Option, Planner

BadAnswers = Annotated[
    float,
    typer.Option(
        "--max-bad-answers",
        min=1.0,
        help="Failed answers that such a harm may cost until it is found, in the mean.",
        callback=options.finite,
    ),
]
Detect = Annotated[
    str, typer.Option(help="The harm: so many times as many failures as stable, such as 2x.")
]
Finish = Annotated[
    str,
    typer.Option(
        "--finish-within", help="Half of the good rollouts are done by then.",
        callback=options.at_least("1m"),
    ),
]  # fmt: skip
Mirror = Annotated[bool, typer.Option("--mirror", help="Begin with copies, that nobody sees.")]
AsName = Annotated[
    str,
    typer.Option(
        "--name", help="Name of the RolloutPolicy that is written.", callback=options.object_name
    ),
]


def plan(
    ctx: typer.Context,
    file: options.PolicyFile = None,
    *,
    max_bad_answers: BadAnswers,
    detect: Detect = "2x",
    finish_within: Finish = "2h",
    mirror: Mirror = False,
    name: AsName = "planned",
    of: options.Of = None,
    policy: options.PolicyName = None,
    rps: options.Rps = None,
    error_rate: options.ErrorRate = "0%",
    latency: options.Latency = "50ms",
    histogram: options.Histogram = None,
    counted: options.Counted = None,
    replicas: options.Replicas = None,
    matched: options.Matched = "1%",
    pod_start: options.PodStart = "10s",
    scrape_interval: options.Scraped = "15s",
    runs: options.Runs = 100,
    seed: options.Seed = None,
    output: options.Output = Format.TABLE,
    prometheus: options.Prometheus = None,
    token: options.Token = None,
    window: options.Window = "1h",
    jobs: options.Jobs = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
) -> None:
    """Find the steps that keep harm within a budget, and write them as a RolloutPolicy.

    FILE's checks stay, its steps do not. What it costs is found by trials, as `simulate` has them.
    """
    asked = Options.among(locals(), ctx)
    budget = _budget(max_bad_answers, detect, finish_within, mirror=mirror)
    raise typer.Exit(_planned(asked, budget, name, output))


def _budget(bad_answers: float, detect: str, finish: str, *, mirror: bool) -> "Budget":
    from rampway.api.base import factor, seconds
    from rampway.cli.drafting import Budget

    try:
        ratio = factor(detect)
    except ValueError as err:
        raise typer.BadParameter(f"--detect: {err}") from err
    if ratio <= 1:
        raise typer.BadParameter(f"--detect: expected more than 1x; seen: {detect}")
    return Budget(bad_answers, detect, seconds(finish), mirror)


def _planned(asked: Options, budget: "Budget", name: str, output: Format) -> ExitCode:
    from pydantic import ValidationError

    from rampway.cli.planning import Impossible, Planner, unwatched

    subject, traffic = wanted(asked, needs_policy=False)
    seed = asked.dice()
    with progress(None, "trials") as told, began(subject):
        planner = Planner(
            unwatched(subject), traffic, budget, asked.runs, seed, asked.jobs, told, asked.more()
        )
        try:
            option = planner.plan()
        except Impossible as why:
            return _refused(str(why), output)
        except ValidationError as err:
            words = err.errors()[0]["msg"]
            terminal.complain(f"error: the checks of {subject.name} do not fit --detect: {words}")
            return ExitCode.FAILED
    _print(planner, option, name, output, subject.policy)
    return ExitCode.OK


def _refused(why: str, output: Format) -> ExitCode:
    if output in {Format.JSON, Format.YAML}:
        typer.echo(dump({"possible": False, "why": why}, output))
    else:
        terminal.complain(why)
    return ExitCode.FAILED


def _print(planner: "Planner", option: "Option", name: str, output: Format, base: "Policy") -> None:
    from rampway.cli.assumed import REPLICAS
    from rampway.cli.drafting import left_out, manifest
    from rampway.cli.planning import costs, promoted_costs_per_h
    from rampway.cli.simulating import as_data

    made = manifest(option.policy, name, base)
    spec = planner.subject.spec
    said = costs(option, planner.traffic, spec.replicas if spec else REPLICAS, planner.seed)
    said = [*said, *left_out(base)]
    if output in {Format.JSON, Format.YAML}:
        hourly = promoted_costs_per_h(option.bad, planner.traffic)
        about = {"possible": True, "policy": made, "costs": list(said), "seed": planner.seed}
        about |= {"badAnswersPerHourOncePromoted": hourly}
        typer.echo(dump(as_data([option.good, option.bad], about), output))
        return
    typer.echo("\n".join(f"# {line}" for line in said))
    typer.echo(dump(made, Format.YAML))
