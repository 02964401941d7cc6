"""What the verbs that try a policy share: which policy, which traffic, and how it is played."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode

if TYPE_CHECKING:
    from rampway.cli.assumed import Traffic
    from rampway.cli.policyfile import Subject
    from rampway.kube.base import KubeApi

RIGHTS = "get modeldeployments and list rolloutpolicies and metricsources"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of these verbs, by the names that they have there."""

    file: str | None
    of: str | None
    policy: str | None
    rps: float | None
    error_rate: str
    latency: str
    histogram: str | None
    counted: list[str] | None
    replicas: int | None
    matched: str
    pod_start: str
    scrape_interval: str
    runs: int
    seed: int | None
    jobs: int | None
    prometheus: str | None
    token: str | None
    window: str
    namespace: str | None
    kubeconfig: str | None
    context: str | None
    told: frozenset[str]
    """Those that the command line tells; all others have their defaults."""

    @classmethod
    def among(cls, found: Mapping[str, Any], ctx: typer.Context) -> "Options":
        """Return what is asked, from all options of a verb."""
        told = {name for name in ctx.params if not _is_default(ctx, name)}
        named = {field.name: found[field.name] for field in fields(cls) if field.name in found}
        return cls(**named, told=frozenset(told))

    def dice(self) -> int:
        """Return the seed."""
        return secrets.randbelow(1_000_000) if self.seed is None else self.seed

    def more(self) -> dict[str, float]:
        """Return the fields of a trial's setting that options tell."""
        from rampway.api.base import fraction, seconds

        return {
            "matched": fraction(self.matched),
            "pod_start_s": seconds(self.pod_start),
            "scrape_s": seconds(self.scrape_interval),
        }


def _is_default(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is None or source.name == "DEFAULT"


_OF_ASSUMED = ("error_rate", "latency", "histogram")
_OF_MEASURED = ("prometheus", "token", "window")


def _refuse_idle(asked: Options) -> None:
    """Refuse options that would change nothing beside the others."""
    why = dict.fromkeys(_OF_MEASURED, "is for traffic that --of measures")
    if asked.of is not None and asked.rps is None:
        why = dict.fromkeys(_OF_ASSUMED, "--of measures it; with --rps all of it is told instead")
    elif asked.of is not None and asked.file is not None:
        why["of"] = "FILE has the policy and --rps the traffic: leave one of them out"
    if asked.histogram is not None:
        why.setdefault("latency", "--histogram tells the durations")
    for name in sorted(asked.told & why.keys()):
        raise typer.BadParameter(f"--{name.replace('_', '-')}: {why[name]}")


def wanted(asked: Options, *, needs_policy: bool) -> "tuple[Subject, Traffic]":
    """Return the policy and the traffic, or end the program with what is missing.

    Args:
        asked: The options.
        needs_policy: Whether there has to be one; else the built-in one takes its place.
    """
    from rampway.api.policy import Policy
    from rampway.cli.assumed import traffic
    from rampway.cli.policyfile import NoPolicy, Subject, of_file

    if asked.of is None and asked.rps is None:
        raise typer.BadParameter("expected --rps N, or --of NAME to measure the traffic")
    if asked.file is None and asked.of is None and needs_policy:
        raise typer.BadParameter("expected a FILE with a policy, or --of NAME for its own")
    _refuse_idle(asked)
    try:
        subject = of_file(asked.file, asked.policy) if asked.file is not None else None
        if asked.of is None or (subject is not None and asked.rps is not None):
            told = _told(traffic, asked)
        else:
            subject, told = _of_cluster(asked, subject)
    except NoPolicy as err:
        terminal.complain(f"error: {err}")
        raise typer.Exit(ExitCode.UNREADABLE) from err
    subject = subject or Subject("the built-in policy", Policy())
    return _sized(subject, asked.replicas), _counted(told, asked, subject)


def _counted(traffic: "Traffic", asked: Options, subject: "Subject") -> "Traffic":
    """Return the traffic with what the command line tells of users' own counters."""
    from dataclasses import replace

    from rampway.cli import counted

    try:
        told = counted.told(asked.counted or [], subject.policy)
    except ValueError as err:
        raise typer.BadParameter(f"--counted: {err}") from err
    return replace(traffic, counted={**traffic.counted, **told})


def _told(make: "Callable[..., Traffic]", asked: Options) -> "Traffic":
    if not asked.rps:
        raise typer.BadParameter(f"--rps: expected more than 0; seen: {asked.rps}")
    try:
        return make(asked.rps, asked.error_rate, asked.latency, asked.histogram)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err


def _sized(subject: "Subject", replicas: int | None) -> "Subject":
    from dataclasses import replace

    from rampway.cli.assumed import deployment

    if replicas is None:
        return subject
    spec = subject.spec or deployment(None, subject.policy).spec
    return replace(subject, spec=spec.model_copy(update={"replicas": replicas}))


def _of_cluster(asked: Options, subject: "Subject | None") -> "tuple[Subject, Traffic]":
    """Return the policy of a ModelDeployment, unless there is one already, and its traffic."""
    found: list[tuple[Subject, Traffic]] = []

    async def work(api: "KubeApi", space: str) -> ExitCode:
        found.append(await _read(api, space, asked, subject))
        return ExitCode.OK

    run = terminal.logged_in(
        work, kubeconfig=asked.kubeconfig, context=asked.context, namespace=asked.namespace
    )
    code = terminal.guarded(run, needed=RIGHTS)
    if code is not ExitCode.OK:
        raise typer.Exit(code)
    return found[0]


async def _read(
    api: "KubeApi", space: str, asked: Options, subject: "Subject | None"
) -> "tuple[Subject, Traffic]":
    import time

    from rampway.api.base import seconds
    from rampway.cli import measured
    from rampway.cli.assumed import traffic
    from rampway.cli.cluster import find
    from rampway.cli.policyfile import NoPolicy, of_cluster
    from rampway.metrics.base import MetricsUnavailable

    name = asked.of or ""
    subject = subject or await of_cluster(api, space, name)
    if asked.rps is not None:
        return subject, _told(traffic, asked)
    deployment = await find(api, space, name)
    source = await measured.source_of(api, deployment, asked.prometheus, asked.token)
    try:
        window_s, now_s = seconds(asked.window), time.time()
        checks = subject.policy.checks
        return subject, await measured.measure(source, deployment, checks, window_s, now_s)
    except MetricsUnavailable as err:
        raise NoPolicy(f"{err}; {AWAY}") from err
    finally:
        await source.close()


AWAY = (
    "it is asked from here, not from the cluster: `kubectl port-forward` it and say where with "
    "--prometheus http://localhost:PORT"
)


@contextmanager
def began(subject: "Subject") -> Iterator[None]:
    """End the program with the operator's words where it begins no rollout of the subject."""
    from rampway.sim.trial import NotBegun

    try:
        yield
    except NotBegun as why:
        terminal.complain(
            f"error: {subject.name}: no rollout begins: {why}. With another number of pods: "
            "--replicas N"
        )
        raise typer.Exit(ExitCode.UNREADABLE) from why


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many of the trials are done; None: their number is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
