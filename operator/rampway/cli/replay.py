"""`kubectl rampway replay NAME [ATTEMPT]`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rampway.cli import options, terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import Format
from rampway.cli.trying import AWAY

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rampway.api.parse import ModelRollout
    from rampway.api.policy import Policy
    from rampway.cli.policyfile import Subject
    from rampway.cli.replaying import Verdict
    from rampway.kube.base import KubeApi

Under = Annotated[
    str | None,
    typer.Option(help="File with the other policy; left out, the rollout's own.", metavar="FILE"),
]
_BY_PROMETHEUS = (
    "Prometheus alone is replayed: what was read from the pods directly is not in it, so checks "
    "may pass or fail later here than they did, or not before the end."
)
RIGHTS = "list modelrollouts.rampway.dev and its metric sources"


@dataclass(frozen=True, slots=True)
class Options:
    """What is replayed, and from where."""

    name: str
    attempt: int | None
    under: "Subject | None"
    prometheus: str | None
    token: str | None


def replay(
    name: options.Name,
    attempt: options.Number = None,
    *,
    under: Under = None,
    policy: options.PolicyName = None,
    prometheus: options.Prometheus = None,
    token: options.Token = None,
    output: options.Output = Format.TABLE,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    no_color: options.NoColor = False,
) -> None:
    """Judge a past rollout again, from Prometheus's history, by another policy's checks.

    Without ATTEMPT the last one. The steps are those that were. What the operator read from the
    pods directly is not in Prometheus: a check may pass or fail later here than it did then, or
    not before the end.
    """
    if policy is not None and under is None:
        raise typer.BadParameter("--policy: is for a FILE that --under names")
    asked = Options(name, attempt, _other(under, policy), prometheus, token)

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli.printing import printed
        from rampway.cli.replaying import as_data

        rollout, wanted, verdict = await _replayed(api, space, asked)
        about = {"rollout": rollout.name, "ended": rollout.status.phase, "policy": wanted[0]}
        shown = view(rollout, wanted[0], verdict)
        printed(shown, about | as_data(verdict), output, no_color=no_color)
        return ExitCode.OK

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed=RIGHTS))


def _other(file: str | None, name: str | None) -> "Subject | None":
    """Return the other policy, or end the program: before the cluster is asked for anything."""
    from rampway.cli.policyfile import NoPolicy, of_file

    try:
        return of_file(file, name) if file is not None else None
    except NoPolicy as err:
        terminal.complain(f"error: {err}")
        raise typer.Exit(ExitCode.UNREADABLE) from err


async def _replayed(
    api: "KubeApi", space: str, asked: Options
) -> "tuple[ModelRollout, tuple[str, Policy], Verdict]":
    import time

    from rampway.cli import measured, replaying
    from rampway.cli.asked import Refusal
    from rampway.cli.cluster import find
    from rampway.cli.policyfile import NoPolicy
    from rampway.metrics.base import MetricsUnavailable

    deployment = await find(api, space, asked.name)
    rollout = await _rollout(api, space, asked)
    try:
        wanted = ("its own policy", rollout.spec.policy)
        if asked.under is not None:
            wanted = (asked.under.name, asked.under.policy)
        what = replaying.recorded(rollout, time.time())
        source = await measured.source_of(api, deployment, asked.prometheus, asked.token)
        try:
            return rollout, wanted, await replaying.replay(source, wanted[1], what)
        finally:
            await source.close()
    except (NoPolicy, replaying.NoHistory) as err:
        raise Refusal(str(err)) from err
    except MetricsUnavailable as err:
        raise Refusal(f"{err}; {AWAY}") from err


async def _rollout(api: "KubeApi", space: str, asked: Options) -> "ModelRollout":
    from rampway.cli.acting import rollouts_of
    from rampway.cli.asked import Refusal

    rollouts = await rollouts_of(api, space, asked.name)
    if not rollouts:
        raise Refusal(f"{asked.name} has had no rollout yet: nothing to replay")
    if asked.attempt is None:
        return rollouts[-1]
    found = [one for one in rollouts if one.spec.attempt == asked.attempt]
    if not found:
        there = ", ".join(str(one.spec.attempt) for one in rollouts)
        text = f"{asked.name} has no rollout with attempt {asked.attempt}; kept: {there}"
        raise Refusal(text)
    return found[0]


def view(rollout: "ModelRollout", policy: str, verdict: "Verdict") -> "RenderableType":
    """Return what the replay found, for people."""
    from rich.console import Group
    from rich.text import Text

    from rampway.cli.words import clean
    from rampway.core.instants import brief

    status = rollout.status
    lines = [f"{rollout.name} was {status.phase} ({status.reason}): {status.message}"]
    lines += [f"Judged again by the checks of {policy}, in the steps that were:"]
    lines += [
        f"  {brief(f.at_s)} after its first request, in step {f.step}, {f.check} fails: {f.message}"
        for f in verdict.failures
    ]
    if not verdict.failures:
        lines += ["  no check fails"]
        lines += [
            f"  step {name}: "
            + ("not all checks pass" if s is None else f"all checks pass after {brief(s)}")
            for name, s in verdict.passed.items()
        ]
    lines += [
        f"  {r.name} at the end: {r.state.value}, {r.message}"
        for r in (verdict.last.results if verdict.last else ())
    ]
    lines += [f"Lacking: {text}." for text in verdict.lacking]
    lines += [_BY_PROMETHEUS]
    return Group(*(Text("  " * line.startswith("  ") + clean(line)) for line in lines))
