"""The project's images: named by their content, measured, and brought to the cluster in use."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from tools.localcluster import delivery, images
from tools.localcluster.builder import Build, Builder
from tools.localcluster.delivery import BuiltImage, ToLoader, ToNode, ToRegistry
from tools.localcluster.errors import StepError
from tools.localcluster.images import ProjectImage
from tools.localcluster.paths import CHECKOUT, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return folders below the test's own."""
    return Layout(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def image(tmp_path: Path) -> ProjectImage:
    """Return an image of a small package of the test's own."""
    (tmp_path / "requirements.txt").write_text("kopf==1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("one")
    return ProjectImage("operator", tmp_path / "requirements.txt", tmp_path / "package", 350)


def archive_of(path: Path, layers: dict[str, dict[str, int]]) -> Path:
    """Write an image archive: per layer its name and the sizes of its files in bytes."""
    with tarfile.open(path, "w") as outer:
        config = tarfile.TarInfo("index.json")
        config.size = 2
        outer.addfile(config, io.BytesIO(b"{}"))
        for name, files in layers.items():
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz" if "gz" in name else "w") as layer:
                for file, size in files.items():
                    entry = tarfile.TarInfo(file)
                    entry.size = size
                    layer.addfile(entry, io.BytesIO(bytes(size)))
            blob = tarfile.TarInfo(f"blobs/sha256/{name}")
            blob.size = packed.tell()
            packed.seek(0)
            outer.addfile(blob, packed)
    return path


def test_every_input_changes_the_name(image: ProjectImage, tmp_path: Path) -> None:
    """A Deployment sees a new image when source, lock file or base changed, and only then."""
    keys = [image.key("base-1"), image.key("base-2")]
    (tmp_path / "package/a.py").write_text("two")
    keys.append(image.key("base-1"))
    (tmp_path / "requirements.txt").write_text("kopf==2\n")
    keys.append(image.key("base-1"))
    assert len(set(keys)) == len(keys)
    assert image.key("base-1") == keys[-1]


def test_the_dockerfile_has_a_target_for_every_image() -> None:
    """The targets that are built exist, run without root, and get the base as an argument."""
    text = (CHECKOUT / "Dockerfile").read_text()
    stages = {line.split(" AS ")[1] for line in text.splitlines() if " AS " in line}
    assert {image.target for image in images.IMAGES} <= stages
    assert text.count("FROM ${BASE_IMAGE}") == text.count("FROM ")
    assert text.count("USER 65532:65532") == sum(not one.endswith("-files") for one in stages)


def test_the_unpacked_size_is_that_of_the_files(tmp_path: Path) -> None:
    """Layers count by their files' sizes, packed or not; manifests do not count."""
    layers = {"gz-one": {"a": 5_000_000, "b": 1}, "two": {"c": 700}}
    assert images.unpacked_bytes(archive_of(tmp_path / "i.tar", layers)) == 5_000_701


def test_an_image_that_is_too_large_is_refused(
    layout: Layout, image: ProjectImage, tmp_path: Path
) -> None:
    """The budget is checked on the finished image; the message has both figures."""
    archive = archive_of(tmp_path / "i.tar", {"gz": {"large": 2_000_000}})
    small = ProjectImage("operator", image.requirements, image.package, limit_mb=1)
    job = images._Job(layout, small, "rampway.local/operator:x", "")
    with pytest.raises(StepError, match="operator is 2 MB unpacked, allowed are 1"):
        images._check_size(job, archive)
    images._check_size(images._Job(layout, image, "rampway.local/operator:x", ""), archive)
    assert images._size_mb(layout, "rampway.local/operator:x") == "2"


def test_the_names_are_written_for_programs_and_for_shells(tmp_path: Path) -> None:
    """Other tools read the images' names as JSON or as shell lines."""
    target = tmp_path / "images.json"
    images._write_names(target, {"model-server": "rampway.local/model-server:1"})
    assert json.loads(target.read_text()) == {"model-server": "rampway.local/model-server:1"}
    shell = target.with_suffix(".env").read_text()
    assert shell == "MODEL_SERVER_IMAGE=rampway.local/model-server:1\n"


def test_an_unknown_image_is_refused() -> None:
    """A misspelt target is named, with those that exist."""
    with pytest.raises(StepError, match="unknown image: opertor") as caught:
        images._chosen(["opertor"])
    assert caught.value.advice == "use operator, model-server, model-server-full"


def test_the_large_image_is_built_by_name_only() -> None:
    """Without names the two images that every cluster needs; the third where it is named."""
    assert [one.target for one in images._chosen([])] == ["operator", "model-server"]
    assert [one.target for one in images._chosen(["model-server-full"])] == ["model-server-full"]


def test_the_user_says_how_images_reach_another_cluster() -> None:
    """A registry names the images; a loader is split like a shell line; neither is an error."""
    registry = delivery.to_current({"IMAGE_REGISTRY": "registry.example/team/"})
    assert registry == ToRegistry("registry.example/team")
    loader = delivery.to_current({"IMAGE_LOADER": "load --name 'my node'"})
    assert loader == ToLoader(("load", "--name", "my node"))
    with pytest.raises(StepError, match="neither IMAGE_REGISTRY nor IMAGE_LOADER") as caught:
        delivery.to_current({})
    assert "IMAGE_LOADER='kind load image-archive'" in caught.value.advice


def test_the_loader_gets_the_archive_as_its_last_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's command runs without our CLUSTER, so it may be one of ours."""
    monkeypatch.setenv("CLUSTER", "current")
    heard = tmp_path / "heard"
    script = f'echo "$CLUSTER|$0|$@" > {heard}'
    built = BuiltImage(Builder("buildah"), "tag", tmp_path / "a.tar", tmp_path / "log")
    ToLoader(("sh", "-c", script, "loader", "first")).deliver(built)
    assert heard.read_text() == f"|loader|first {tmp_path / 'a.tar'}\n"
    with pytest.raises(StepError, match="ended with exit status 1, expected 0"):
        ToLoader(("false",)).deliver(built)
    with pytest.raises(StepError, match="cannot start `no-such-loader"):
        ToLoader(("no-such-loader",)).deliver(built)


def test_images_need_a_cluster(layout: Layout) -> None:
    """Without a cluster the message says to bring one up."""
    with pytest.raises(StepError, match="the cluster is not up"):
        delivery.to_own(layout)
    assert ToNode(layout).prefix == "rampway.local"


@pytest.mark.parametrize("program", ["buildah", "podman", "docker"])
def test_every_builder_gets_the_same_dockerfile(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target, arguments and context are passed alike; only a named base reaches the network."""
    heard = tmp_path / "heard"
    stub = tmp_path / program
    stub.write_text(f'#!/bin/sh\necho "$@" >> {heard}\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    context = tmp_path / "context"
    tool = Builder(str(stub) if program == "docker" else program)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for online in (False, True):
        build = Build("tag", context / "Dockerfile", context, "operator", {"A": "1"}, online)
        tool.build(build, tmp_path / "log")
    offline_call, online_call = heard.read_text().splitlines()
    common = f"--build-arg A=1 --target operator {context}"
    assert offline_call.endswith(common)
    assert online_call.endswith(common)
    assert "PIP_INDEX_URL" not in offline_call
    assert "PIP_INDEX_URL=https://index.example/simple" in online_call
    assert ("pull" in offline_call) == (program != "docker")


def test_only_older_builds_of_the_same_image_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image whose name merely begins alike stays in the builder's storage."""
    heard = tmp_path / "heard"
    listing = r"r.local/op:1\nr.local/op:2\nr.local/op-other:1"
    stub = tmp_path / "buildah"
    script = f'case "$1" in images) printf "{listing}\\n";; *) echo "$@" >> {heard};; esac'
    stub.write_text(f"#!/bin/sh\n{script}\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    Builder("buildah").remove_others("r.local/op:2")
    assert heard.read_text() == "rmi r.local/op:1\n"
