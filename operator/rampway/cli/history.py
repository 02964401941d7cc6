"""`kubectl rampway history NAME [ATTEMPT]`."""

import time
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
    Number,
    Output,
)

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def history(
    name: Name,
    attempt: Number = None,
    *,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    no_color: NoColor = False,
) -> None:
    """Show how the rollouts of a ModelDeployment went; with ATTEMPT, the decisions of one."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.cli import past
        from rampway.cli.acting import rollouts_of
        from rampway.cli.asked import Refusal
        from rampway.cli.cluster import find
        from rampway.cli.printing import printed

        await find(api, space, name)  # a name that is not there is no empty history
        rollouts, now_s = await rollouts_of(api, space, name), time.time()
        if attempt is None:
            wide = output is Format.WIDE
            shown = past.table(rollouts, now_s, wide=wide)
            printed(shown, past.data(rollouts, now_s), output, no_color=no_color)
            return ExitCode.OK
        found = [one for one in rollouts if one.spec.attempt == attempt]
        if not found:
            there = ", ".join(str(one.spec.attempt) for one in rollouts) or "none"
            raise Refusal(f"{name} has no rollout with attempt {attempt}; kept: {there}")
        one = found[0]
        printed(past.in_full(one, now_s), past.data([one], now_s)[0], output, no_color=no_color)
        return ExitCode.OK

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="list modelrollouts.rampway.dev"))
