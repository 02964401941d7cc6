"""Builds container images with buildah, podman or docker; one Dockerfile serves all three."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster import debian
from tools.localcluster.commands import caller_environment, find, output_of, run, succeeds
from tools.localcluster.errors import StepError
from tools.localcluster.paths import Layout

PREFIX = "rampway.local"
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
ADVICE = "read the log above, mend what it names, and run the same command again"


@dataclass(frozen=True)
class Build:
    """One image: a Dockerfile, its context folder, the target stage and the build arguments.

    ``online`` is for a base image that the user named: it is pulled, and pip uses its index.
    """

    tag: str
    dockerfile: Path
    context: Path
    target: str = ""
    arguments: Mapping[str, str] | None = None
    online: bool = False


@dataclass(frozen=True)
class Builder:
    """A program that builds images; ``options`` come before its verb."""

    program: str
    options: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()

    def build(self, build: Build, log: Path) -> None:
        """Build an image, from what is on this machine alone unless it is ``online``."""
        command = [*self._call("build"), "-t", build.tag, "-f", str(build.dockerfile)]
        command += self.build_options
        command += self._online() if build.online else self._offline()
        for name, value in (build.arguments or {}).items():
            command += ["--build-arg", f"{name}={value}"]
        if build.target:
            command += ["--target", build.target]
        run([*command, str(build.context)], log=log, advice=ADVICE, env=self._environment())

    def has(self, tag: str) -> bool:
        """Say whether the builder's storage holds an image."""
        verb = ["inspect", "--type", "image"] if self.program == "buildah" else ["image", "inspect"]
        return succeeds([*self._call(*verb), tag], self._environment())

    def save(self, tag: str, archive: Path, log: Path) -> None:
        """Write an image as one archive file: OCI; docker writes its own kind, loadable alike."""
        archive.unlink(missing_ok=True)
        if self.program == "buildah":
            command = [
                *self._call("push"),
                "--disable-compression",
                tag,
                f"oci-archive:{archive}:{tag}",
            ]
        elif self.program == "podman":
            command = [*self._call("save"), "--format", "oci-archive", "-o", str(archive), tag]
        else:
            command = [*self._call("save"), "-o", str(archive), tag]
        run(command, log=log, advice=ADVICE, env=self._environment())

    def push(self, tag: str, log: Path) -> None:
        """Push an image to the registry in its name, with the login the user has."""
        advice = f"log in with `{self.program} login` and see that IMAGE_REGISTRY is right"
        run([*self._call("push"), tag], log=log, advice=advice, env=self._environment())

    def remove_others(self, tag: str) -> None:
        """Drop older builds of the same image, so that the storage does not grow."""
        name = tag.rpartition(":")[0]
        field = "Name" if self.program == "buildah" else "Repository"
        listing = [*self._call("images"), "--format", f"{{{{.{field}}}}}:{{{{.Tag}}}}"]
        for other in output_of(listing, self._environment()).splitlines():
            if other.startswith(f"{name}:") and other != tag:
                succeeds([*self._call("rmi"), other], self._environment())

    def _offline(self) -> list[str]:
        """Take the base image that is here; pip takes the wheels of the context."""
        never = {"buildah": ["--pull-never"], "podman": ["--pull=never"]}
        return never.get(self.program, [])

    def _online(self) -> list[str]:
        """Let pip inside see the host's certificates and index, for the build alone."""
        options = []
        if self.program != "docker" and HOST_CERTIFICATES.exists():
            options += ["--volume", f"{HOST_CERTIFICATES}:{HOST_CERTIFICATES}:ro"]
            options += ["--build-arg", f"PIP_CERT={HOST_CERTIFICATES}"]
        if "PIP_INDEX_URL" in os.environ:
            options += ["--build-arg", f"PIP_INDEX_URL={os.environ['PIP_INDEX_URL']}"]
        return options

    def _call(self, *verb: str) -> list[str]:
        return [self.program, *self.options, *verb]

    def _environment(self) -> dict[str, str]:
        return caller_environment(DOCKER_BUILDKIT="1")


@contextmanager
def builder(layout: Layout, log: Path) -> Iterator[Builder]:
    """Give the builder that is there, buildah first; install buildah when there is none.

    As root, buildah keeps its images below the cache folder, apart from the user's own.
    """
    program = next((name for name in ("buildah", "podman", "docker") if find(name)), None)
    if program is None:
        debian.install(debian.IMAGE_PACKAGES, log)
        program = "buildah"
    if program != "buildah":
        yield Builder(program)
        return
    if os.geteuid() != 0:
        raise StepError("buildah's chroot builds need root here", "run as root, or install podman")
    # A run folder of its own: one that outlived a reboot would name mounts that are gone.
    with tempfile.TemporaryDirectory(prefix="rampway-buildah-") as run_folder:
        storage = ["--root", str(layout.cache / "buildah"), "--runroot", run_folder]
        yield Builder(
            "buildah",
            options=("--storage-driver", "vfs", *storage),
            build_options=(
                *("--isolation", "chroot", "--layers=false"),
                # Else it leaves a lock file in /etc/cni.
                *("--cni-config-dir", f"{run_folder}/cni"),
            ),
        )


def ensure_base(builder: Builder, layout: Layout, rootfs: Path, key: str, log: Path) -> str:
    """Make the base image known to the builder, and return its name."""
    tag = f"{PREFIX}/base:{key}"
    if not builder.has(tag):
        recipe = layout.cache / "base.Dockerfile"
        recipe.write_text('FROM scratch\nADD rootfs.tar /\nCMD ["/bin/sh"]\n')
        builder.build(Build(tag, recipe, rootfs.parent), log)
        builder.remove_others(tag)
    return tag
