"""`kubectl rampway list`."""

import time
from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import (
    AllNamespaces,
    Among,
    Context,
    Format,
    Kubeconfig,
    NoColor,
    Output,
)

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi


def list_(
    *,
    namespace: Among = None,
    all_namespaces: AllNamespaces = False,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    no_color: NoColor = False,
) -> None:
    """List the ModelDeployments of a namespace, or of all, with their phase and rollout."""

    async def work(api: "KubeApi", space: str) -> ExitCode:
        from rampway.api.parse import Unparseable, parse_deployment
        from rampway.cli import listing
        from rampway.cli.cluster import every
        from rampway.cli.printing import printed

        found = []
        among = None if all_namespaces else space
        for obj in await every(api, among):
            try:
                found.append(parse_deployment(obj))
            except Unparseable as err:
                name = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
                terminal.complain(f"not shown: {name} cannot be understood: {err}")
        wide = output is Format.WIDE
        shown = listing.table(found, time.time(), among=among, wide=wide)
        printed(shown, listing.data(found), output, no_color=no_color)
        return ExitCode.OK

    run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    raise typer.Exit(terminal.guarded(run, needed="list modeldeployments.rampway.dev"))
