"""Builds the project's images where their inputs changed, and brings them to the cluster."""

import json
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster import catalog, parts, wheels
from tools.localcluster.builder import Build, Builder, builder, ensure_base
from tools.localcluster.delivery import BuiltImage, Delivery, to_current, to_own
from tools.localcluster.errors import StepError
from tools.localcluster.locking import locked
from tools.localcluster.parts import digest
from tools.localcluster.paths import CHECKOUT, HERE, Layout
from tools.localcluster.progress import Progress

MB = 1_000_000
RECIPE = (CHECKOUT / "Dockerfile", HERE / "image_install.py")


@dataclass(frozen=True)
class ProjectImage:
    """One target of the Dockerfile; ``limit_mb`` is its largest unpacked size in 10^6 bytes.

    What is ``by_name`` is built only where it is asked for.
    """

    target: str
    requirements: Path
    package: Path
    limit_mb: int
    by_name: bool = False

    def key(self, base: str) -> str:
        """Return a digest of all that goes into it, so that a changed image has a new name."""
        return digest([*RECIPE, self.requirements, self.package, base])


IMAGES = (
    ProjectImage(
        "operator", CHECKOUT / "requirements/operator.txt", CHECKOUT / "operator/rampway", 350
    ),
    ProjectImage(
        "model-server",
        CHECKOUT / "requirements/server.txt",
        CHECKOUT / "model_server/rampway_server",
        500,
    ),
    ProjectImage(
        "model-server-full",
        CHECKOUT / "requirements/server-full.txt",
        CHECKOUT / "model_server/rampway_server",
        750,
        by_name=True,
    ),
)


def images(layout: Layout, wanted: list[str], *, current: bool) -> int:
    """Build, bring to the cluster, print the names, and write them down for other programs.

    ``wanted`` names targets; none means all but those that are built by name only.
    """
    chosen = _chosen(wanted)
    with locked(layout, "images"):
        delivery = to_current(os.environ) if current else to_own(layout)
        named_base = os.environ.get("BASE_IMAGE", "")
        base_key = named_base or catalog.catalog(layout).downloaded["base"].key
        target = layout.current_images_json if current else layout.images_json
        tags = _read_names(target)
        for image in chosen:
            tag = f"{delivery.prefix}/{image.target}:{image.key(base_key)}"
            if not delivery.has(tag):
                _build_and_deliver(_Job(layout, image, tag, named_base), delivery)
            tags[image.target] = tag
            print(f"{image.target}: {tag}, {_size_mb(layout, tag)} MB unpacked")
        _write_names(target, tags)
        print(f"names written to {target}")
    return 0


@dataclass(frozen=True)
class _Job:
    """One image under way; ``named_base`` is the user's base image, or empty for our own."""

    layout: Layout
    image: ProjectImage
    tag: str
    named_base: str

    @property
    def log(self) -> Path:
        return self.layout.logs / f"image-{self.image.target}.log"


def _build_and_deliver(job: _Job, delivery: Delivery) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.unlink(missing_ok=True)
    with (
        builder(job.layout, job.log) as tool,
        tempfile.TemporaryDirectory(prefix="rampway-") as scratch,
    ):
        if not tool.has(job.tag):
            context = Path(scratch) / "context"
            arguments = _prepare(job, tool, context)
            with Progress(total=1).part(f"image {job.image.target}", 30):
                tool.build(_build(job, context, arguments), job.log)
            tool.remove_others(job.tag)
        archive = Path(scratch) / f"{job.image.target}.tar"
        tool.save(job.tag, archive, job.log)
        _check_size(job, archive)
        delivery.deliver(BuiltImage(tool, job.tag, archive, job.log))


def _prepare(job: _Job, tool: Builder, context: Path) -> dict[str, str]:
    """Fill a folder with exactly what the key is made of, and the wheels; return the arguments."""
    image = job.image
    for item in (*RECIPE, image.requirements, image.package):
        target = context / item.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if item.is_dir():
            shutil.copytree(item, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(item, target)
    if job.named_base:
        return {"BASE_IMAGE": job.named_base}
    fetched = wheels.fetch(job.layout, image.target, image.requirements)
    shutil.copytree(fetched, context / "wheels")
    return {"BASE_IMAGE": _own_base(job.layout, tool, job.log)}


def _build(job: _Job, context: Path, arguments: dict[str, str]) -> Build:
    online = bool(job.named_base)
    return Build(job.tag, context / "Dockerfile", context, job.image.target, arguments, online)


def _own_base(layout: Layout, tool: Builder, log: Path) -> str:
    built = catalog.catalog(layout)
    layout.parts.mkdir(parents=True, exist_ok=True)
    base = built.downloaded["base"]
    if not base.is_built(layout):
        catalog.install_for_base(layout)
    folder = parts.build(base, layout, Progress(total=1))
    return ensure_base(tool, layout, folder / "rootfs.tar", base.key, log)


def unpacked_bytes(archive: Path) -> int:
    """Return the sum of all files' sizes in an image archive's layers.

    A layer is any member that is itself a tar archive; that holds for OCI's and docker's layouts.
    """
    total = 0
    with tarfile.open(archive) as outer:
        for member in outer:
            packed = outer.extractfile(member) if member.isfile() else None
            if packed is None:
                continue
            try:
                with tarfile.open(fileobj=packed) as layer:
                    total += sum(file.size for file in layer if file.isfile())
            except tarfile.ReadError:
                continue  # a manifest or a configuration
    return total


def _check_size(job: _Job, archive: Path) -> None:
    size_mb = round(unpacked_bytes(archive) / MB)
    record = _size_file(job.layout, job.tag)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f"{size_mb}\n")
    if size_mb > job.image.limit_mb:
        raise StepError(
            f"{job.image.target} is {size_mb} MB unpacked, allowed are {job.image.limit_mb}",
            "look at what requirements/ brings in, and at tools/localcluster/image_install.py",
        )


def _size_mb(layout: Layout, tag: str) -> str:
    record = _size_file(layout, tag)
    return record.read_text().strip() if record.exists() else "?"


def _size_file(layout: Layout, tag: str) -> Path:
    return layout.cache / "image-sizes" / tag.replace("/", "_")


def _chosen(wanted: list[str]) -> list[ProjectImage]:
    known = [image.target for image in IMAGES]
    if unknown := set(wanted) - set(known):
        raise StepError(f"unknown image: {', '.join(sorted(unknown))}", f"use {', '.join(known)}")
    return [one for one in IMAGES if (one.target in wanted if wanted else not one.by_name)]


def _read_names(source: Path) -> dict[str, str]:
    return json.loads(source.read_text()) if source.exists() else {}


def _write_names(target: Path, tags: dict[str, str]) -> None:
    """Write the names as JSON and, beside it, as shell lines."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(tags, indent=2) + "\n")
    lines = [f"{name.upper().replace('-', '_')}_IMAGE={tag}\n" for name, tag in tags.items()]
    target.with_suffix(".env").write_text("".join(lines))
