"""How images get to a cluster: into our own node, to a registry, or by the user's command."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.localcluster import cluster
from tools.localcluster.builder import PREFIX, Builder
from tools.localcluster.errors import StepError
from tools.localcluster.paths import Layout


@dataclass(frozen=True)
class BuiltImage:
    """An image that the builder holds under ``tag``, saved as ``archive`` as well."""

    tool: Builder
    tag: str
    archive: Path
    log: Path


class Delivery(Protocol):
    """A way to a cluster; ``prefix`` is what the images' names begin with there."""

    @property
    def prefix(self) -> str:
        """Registry and path before the image's name."""
        ...

    def has(self, tag: str) -> bool:
        """Say whether the image is known to be there already."""
        ...

    def deliver(self, image: BuiltImage) -> None:
        """Bring the image there."""
        ...


@dataclass(frozen=True)
class ToNode:
    """Loads images into the node of our own cluster."""

    layout: Layout
    prefix: str = PREFIX

    def has(self, tag: str) -> bool:
        """Ask the node."""
        return cluster.has_image(self.layout, tag)

    def deliver(self, image: BuiltImage) -> None:
        """Import the archive."""
        cluster.load_image(self.layout, image.archive)


@dataclass(frozen=True)
class ToRegistry:
    """Pushes images to the registry that the user named."""

    prefix: str

    def has(self, tag: str) -> bool:
        """Push always: a registry skips what it has by itself."""
        return tag == ""

    def deliver(self, image: BuiltImage) -> None:
        """Push with the builder, and with the login the user has."""
        image.tool.push(image.tag, image.log)


@dataclass(frozen=True)
class ToLoader:
    """Hands images to the user's own command, as a file."""

    command: tuple[str, ...]
    prefix: str = PREFIX

    def has(self, tag: str) -> bool:
        """Load always: nobody but the command knows."""
        return tag == ""

    def deliver(self, image: BuiltImage) -> None:
        """Run the command with the archive's path as its last argument."""
        # CLUSTER speaks to us alone: the command may be one of ours, for the local cluster.
        env = {name: value for name, value in os.environ.items() if name != "CLUSTER"}
        shown = f"{shlex.join(self.command)} {image.archive}"
        advice = "it gets an image archive's path as its last argument; read what it said above"
        try:
            done = subprocess.run([*self.command, str(image.archive)], env=env, check=False)
        except OSError as error:
            raise StepError(f"IMAGE_LOADER: cannot start `{shown}`: {error}", advice) from error
        if done.returncode != 0:
            raise StepError(
                f"IMAGE_LOADER: `{shown}` ended with exit status {done.returncode}, expected 0",
                advice,
            )


def to_own(layout: Layout) -> Delivery:
    """Return the way to our own node; refuse when the cluster is not up."""
    if cluster.facts(layout) is None:
        raise StepError("the cluster is not up", "run `up` first, or use CLUSTER=current")
    return ToNode(layout)


def to_current(env: Mapping[str, str]) -> Delivery:
    """Return the way that the user named: IMAGE_REGISTRY, else IMAGE_LOADER."""
    if env.get("IMAGE_REGISTRY"):
        return ToRegistry(env["IMAGE_REGISTRY"].rstrip("/"))
    if env.get("IMAGE_LOADER"):
        return ToLoader(tuple(shlex.split(env["IMAGE_LOADER"])))
    raise StepError(
        "CLUSTER=current: neither IMAGE_REGISTRY nor IMAGE_LOADER says how images get there",
        "set IMAGE_REGISTRY=registry.example/team, or IMAGE_LOADER='kind load image-archive' "
        "(any command that takes an archive's path as its last argument)",
    )
