"""The cluster's own images: pause, CoreDNS, Envoy Gateway, Envoy, Prometheus."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster.builder import PREFIX, Build, builder, ensure_base
from tools.localcluster.parts import Part, digest
from tools.localcluster.paths import Layout

ARCHIVE = "image.tar"


@dataclass(frozen=True)
class SystemImage:
    """One program in an image; ``on_base`` when it needs the C library, else on nothing."""

    program: str
    version: str
    on_base: bool

    @property
    def tag(self) -> str:
        """The image's full name in the node."""
        return f"{PREFIX}/{self.program}:{self.version}"

    def recipe(self, base: str) -> str:
        """Text of its Dockerfile; an unknown user's rights suffice for all of them."""
        return (
            f"FROM {base if self.on_base else 'scratch'}\n"
            f"COPY {self.program} /usr/local/bin/{self.program}\n"
            "ENV PATH=/usr/local/bin:/usr/bin:/bin\n"
            "USER 65532:65532\n"
            f'ENTRYPOINT ["/usr/local/bin/{self.program}"]\n'
        )


def part(image: SystemImage, program: Part, base: Part, layout: Layout) -> Part:
    """Return the part that holds the image's archive, made of the program's part."""
    used = [program.key, image.recipe("base"), *([base.key] if image.on_base else [])]

    def fill(folder: Path, log: Path) -> None:
        with builder(layout, log) as tool:
            rootfs = base.folder(layout) / "rootfs.tar"
            tag = ensure_base(tool, layout, rootfs, base.key, log) if image.on_base else ""
            with _context(image, program.folder(layout), tag, folder) as context:
                tool.build(Build(image.tag, context / "Dockerfile", context), log)
            tool.save(image.tag, folder / ARCHIVE, log)

    return Part(
        name=f"image-{image.program}",
        key=f"{image.version}-{digest(used)}",
        title=f"image {image.tag}",
        expected_s=10,
        build=fill,
    )


@contextmanager
def _context(image: SystemImage, program: Path, base: str, near: Path) -> Iterator[Path]:
    """Make a folder with the Dockerfile and the program, for one build."""
    with tempfile.TemporaryDirectory(dir=near) as name:
        context = Path(name)
        shutil.copy(program / image.program, context)
        (context / "Dockerfile").write_text(image.recipe(base))
        yield context
