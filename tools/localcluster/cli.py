"""The command line: one verb each, failures told with the next step."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from tools.localcluster import catalog, cluster, current, images, local
from tools.localcluster.commands import become
from tools.localcluster.errors import StepError
from tools.localcluster.locking import locked
from tools.localcluster.paths import layout

INTERRUPTED = 130
VERBS = """\
verbs:
  up            build what is missing and bring the cluster up; seconds when it is up and well
  down          stop everything and leave nothing behind but the cache of built parts
  status        what runs, since when, where the kubeconfig is
  images [T …]  build the project's images where their inputs changed, and load them:
                without names operator and model-server; model-server-full by name only
  load-image F  load an image archive into the node
  kubectl …     kubectl against the cluster
  enter …       run a command inside the cluster's network namespace
  build PART …  build programs that belong to no cluster, as for a benchmark or a test
  env           print shell lines that set PATH and KUBECONFIG: eval "$(… env)"

environment:
  CLUSTER=current   use the present kubectl context instead of a cluster of our own
  IMAGE_REGISTRY=…  (with CLUSTER=current) push the images there
  IMAGE_LOADER=…    (with CLUSTER=current) a command that gets the archive's path as last argument
  BASE_IMAGE=…      base image of the project's images, with Python 3.11; else one is made
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.localcluster",
        description="A real Kubernetes cluster on one Debian machine.",
        epilog=VERBS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=sorted(_verbs()), metavar="VERB")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…")
    given = parser.parse_args(arguments)
    try:
        return _verbs()[given.verb](given.rest)
    except StepError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has gone, as in `status | head`: no more output, and no complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED


def uses_current() -> bool:
    """Say whether the user named a cluster of their own; refuse any other value."""
    value = os.environ.get("CLUSTER", "")
    if value not in {"", "local", "current"}:
        raise StepError(f"CLUSTER={value} is unknown", "use CLUSTER=current, or leave it unset")
    return value == "current"


def _verbs() -> dict[str, Callable[[list[str]], int]]:
    return {
        "up": lambda _: current.up(layout()) if uses_current() else local.up(layout()),
        "down": lambda _: current.down() if uses_current() else local.down(layout()),
        "status": lambda _: current.status(layout()) if uses_current() else local.status(layout()),
        "images": lambda rest: images.images(layout(), rest, current=uses_current()),
        "load-image": _load_image,
        "kubectl": _kubectl,
        "enter": lambda words: current.enter() if uses_current() else local.enter(layout(), words),
        "build": _build,
        "env": lambda _: _env(),
    }


def _load_image(rest: list[str]) -> int:
    if len(rest) != 1:
        raise StepError(f"load-image got {len(rest)} arguments, expected one file", "name a file")
    cluster.load_image(layout(), Path(rest[0]).resolve())
    return 0


def _build(rest: list[str]) -> int:
    folders = layout()
    built = catalog.catalog(folders)
    if not rest or set(rest) - set(built.extras):
        known = ", ".join(built.extras)
        raise StepError(f"build got {rest}, expected some of: {known}", "`build kwok`, for example")
    with locked(folders):
        for name in rest:
            print(catalog.build_one(built, name))
    return 0


def _kubectl(rest: list[str]) -> int:
    client = current.client(layout()) if uses_current() else local.client(layout())
    return become(client.program, ["kubectl", *rest], {**os.environ, **client.env})


def _env() -> int:
    folders = layout()
    settings = {"PATH": f"{folders.bin}:{os.environ.get('PATH', '')}"}
    if uses_current():
        settings = current.environment(folders)
    else:
        local.link_kubectl(folders)
        settings["KUBECONFIG"] = str(folders.kubeconfig)
        settings["NO_PROXY"] = settings["no_proxy"] = local.no_proxy()
    print("; ".join(f"export {name}={shlex.quote(value)}" for name, value in settings.items()))
    return 0
