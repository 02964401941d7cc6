"""Everything the cluster is made of, and the order in which it is built."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster import debian, downloads, golang, nodejs, parts, systemimages, versions
from tools.localcluster.parts import Part
from tools.localcluster.paths import Layout
from tools.localcluster.progress import Progress
from tools.localcluster.systemimages import SystemImage

IMAGES = {
    "pause": SystemImage("pause", "1", on_base=False),
    "coredns": SystemImage("coredns", versions.COREDNS.version, on_base=False),
    "envoy-gateway": SystemImage("envoy-gateway", versions.ENVOY_GATEWAY.version, on_base=False),
    "envoy": SystemImage("envoy", versions.ENVOY, on_base=True),
    "prometheus": SystemImage("prometheus", versions.PROMETHEUS.version, on_base=False),
}


@dataclass(frozen=True)
class Catalog:
    """All parts of one layout: compiled ones, downloaded ones, and the images made of them.

    ``extras`` belong to no cluster: they are built by name, when something asks for them.
    """

    layout: Layout
    compiled: dict[str, Part]
    downloaded: dict[str, Part]
    images: dict[str, Part]
    extras: dict[str, Part]

    def everything(self) -> list[Part]:
        """Return all parts of the cluster, in building order."""
        return [*self.compiled.values(), *self.downloaded.values(), *self.images.values()]

    def folder(self, name: str) -> Path:
        """Return the folder of a compiled or downloaded part, or of an extra one."""
        return self.single(name).folder(self.layout)

    def single(self, name: str) -> Part:
        """Return a part that can be built alone: everything but the images."""
        return (self.compiled | self.downloaded | self.extras)[name]

    def keys(self) -> dict[str, str]:
        """Return every part's version and recipe, to see whether a running cluster is outdated."""
        return {part.name: part.key for part in self.everything()}


def catalog(layout: Layout) -> Catalog:
    """List the parts; nothing is built yet."""
    compiled = [
        golang.kubernetes(),
        golang.own_program("etcd", versions.ETCD, 60),
        golang.module_program("envoy-gateway", versions.ENVOY_GATEWAY, 200),
        golang.module_program("coredns", versions.COREDNS, 160),
        golang.module_program("prometheus", versions.PROMETHEUS, 200),
        golang.own_program("pause", "1", 5),
    ]
    downloaded = {part.name: part for part in _downloads()}
    programs = {part.name: part for part in compiled} | downloaded
    images = {
        name: systemimages.part(image, programs[name], downloaded["base"], layout)
        for name, image in IMAGES.items()
    }
    extras = [
        golang.module_program("kwok", versions.KWOK, 150),
        golang.module_program("versitygw", versions.VERSITYGW, 150),
        golang.module_program("fake-gcs-server", versions.FAKE_GCS_SERVER, 150),
        nodejs.program("azurite", 60),
    ]
    by_name = {part.name: part for part in extras}
    return Catalog(layout, {part.name: part for part in compiled}, downloaded, images, by_name)


def build_all(built: Catalog) -> None:
    """Build what is missing: compilers and downloads side by side, then the images."""
    layout = built.layout
    layout.parts.mkdir(parents=True, exist_ok=True)
    parts.sweep(layout)
    packages = (*debian.CLUSTER_PACKAGES, *debian.IMAGE_PACKAGES)
    missing = [part for part in built.everything() if not part.is_built(layout)]
    lacking = debian.missing(packages)
    if not missing and not lacking:
        return
    if any(part in missing for part in built.compiled.values()):
        golang.require_go()
    print("The first build takes about 15 minutes on two cores; later starts take one.")
    progress = Progress(total=len(missing) + bool(lacking))

    def download() -> None:
        if lacking:
            with progress.part(f"{len(lacking)} Debian packages", 40):
                debian.install(packages, layout.logs / "packages.log")
        _build_each(built.downloaded, layout, progress)

    _both(lambda: _build_each(built.compiled, layout, progress), download)
    _build_each(built.images, layout, progress)


def build_one(built: Catalog, name: str) -> Path:
    """Build a single part, as when only kubectl is wanted; return its folder."""
    built.layout.parts.mkdir(parents=True, exist_ok=True)
    return parts.build(built.single(name), built.layout, Progress(total=1))


def install_for_base(layout: Layout) -> None:
    """Install what makes the base image, for a machine that runs no cluster of our own."""
    debian.install(debian.BASE_PACKAGES, layout.logs / "packages.log")


def _downloads() -> list[Part]:
    return [downloads.base(), downloads.envoy()]


def _build_each(group: dict[str, Part], layout: Layout, progress: Progress) -> None:
    for part in group.values():
        parts.build(part, layout, progress)


def _both(here: Callable[[], None], beside: Callable[[], None]) -> None:
    """Run two lanes at once; an error of either is raised, the other lane's part is finished."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            beside()
        except BaseException as error:  # noqa: BLE001 -- handed to the caller below
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        here()
    finally:
        thread.join()
    if failures:
        raise failures[0]
