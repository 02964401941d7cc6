"""`kubectl rampway completion SHELL`: what a shell, or kubectl, needs to complete words."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

PROGRAM = "kubectl-rampway"
VARIABLE = "_KUBECTL_RAMPWAY_COMPLETE"
"""Set, the program completes words, or prints a shell's script, instead of running a verb."""


class Shell(StrEnum):
    """For whom."""

    KUBECTL = "kubectl"
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS: Mapping[Shell, str] = {
    Shell.KUBECTL: f"""\
#!/bin/sh
# kubectl runs this to complete `kubectl rampway`; put it on the PATH as kubectl_complete-rampway.
# It gets the words so far, the one to complete last; :4 says no file names, :0 says them as well.
COMP_WORDS="{PROGRAM} $*" COMP_CWORD=$# {VARIABLE}=complete_bash {PROGRAM} | sed "/^$/d"
case ${{1-}} in lint | simulate | plan | replay) echo :0 ;; *) echo :4 ;; esac
""",
    Shell.BASH: f'eval "$({VARIABLE}=source_bash {PROGRAM})"\n',
    Shell.ZSH: f'eval "$({VARIABLE}=source_zsh {PROGRAM})"\n',
    Shell.FISH: f"{VARIABLE}=source_fish {PROGRAM} | source\n",
}


def completion(
    shell: Annotated[
        Shell, typer.Argument(help="kubectl: for `kubectl rampway` itself.", metavar="SHELL")
    ],
) -> None:
    """Print a completion script: for `kubectl rampway`, or for the program kubectl-rampway.

    kubectl rampway completion kubectl > ~/bin/kubectl_complete-rampway; chmod +x that file.
    """
    typer.echo(_SCRIPTS[shell], nl=False)


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the ModelDeployments there; none where they cannot be read quickly."""
    import asyncio
    from contextlib import suppress

    found: list[str] = []
    with suppress(Exception):  # a Tab is no place for an error
        found = asyncio.run(asyncio.wait_for(_names(ctx), timeout=2.0))
    return [name for name in found if name.startswith(incomplete)]


async def _names(ctx: typer.Context) -> list[str]:
    from rampway.cli.cluster import Cluster
    from rampway.kube.kinds import MODEL_DEPLOYMENT

    given = ctx.params
    cluster = Cluster(given.get("kubeconfig"), given.get("context"))
    async with cluster.api() as api:
        space = cluster.namespace(given.get("namespace"))
        objects = await api.list(MODEL_DEPLOYMENT, space)
    return [str(obj["metadata"]["name"]) for obj in objects]
