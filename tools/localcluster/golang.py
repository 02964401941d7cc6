"""Builds the Go programs: Kubernetes in one binary, and others in their own modules."""

import json
import re
import shutil
from pathlib import Path

from tools.localcluster import versions
from tools.localcluster.commands import caller_environment, find, output_of, run
from tools.localcluster.errors import StepError
from tools.localcluster.parts import Part, digest
from tools.localcluster.paths import HERE

SOURCES = HERE / "go"
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)
ADVICE = (
    "see that the Go module proxy (GOPROXY) can be reached, through HTTPS_PROXY if you need one, "
    "and that the disk has 10 GB free; then run `up` again: what is compiled stays compiled"
)
# Pinned by the modules' own go.sum files; a caller's workspace or flags must not change the build.
GO_SETTINGS = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}


def require_go() -> None:
    """Refuse early, before any long build, when Go is missing or too old."""
    wanted = ".".join(str(number) for number in versions.GO_AT_LEAST)
    go = find("go")
    if go is None:
        raise StepError(
            "there is no `go` on PATH or in /usr/local/go/bin",
            f"install Go {wanted} or later and run `up` again",
        )
    said = output_of([go, "version"], caller_environment())
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < versions.GO_AT_LEAST:
        raise StepError(f"`go version` says {said!r}", f"install Go {wanted} or later")


def kubernetes() -> Part:
    """Return the part that holds every Kubernetes program, linked to one binary."""
    source = SOURCES / "kubernetes"
    flags = _kubernetes_flags()
    return Part(
        name="kubernetes",
        key=f"{versions.KUBERNETES}-{digest([source, flags])}",
        title=f"Kubernetes {versions.KUBERNETES}",
        expected_s=360,
        build=lambda folder, log: _build_kubernetes(source, flags, folder, log),
    )


def module_program(name: str, module: versions.GoModule, expected_s: float) -> Part:
    """Return the part for a program that is built in its own module, as its authors locked it."""
    return Part(
        name=name,
        key=f"{module.version}-{digest([module.sum, module.package, module.tags])}",
        title=f"{name} {module.version}",
        expected_s=expected_s,
        build=lambda folder, log: _build_module(name, module, folder, log),
    )


def own_program(name: str, version: str, expected_s: float) -> Part:
    """Return the part for a program with a main of our own, in `go/NAME`, and its own go.sum."""
    source = SOURCES / name
    return Part(
        name=name,
        key=f"{version}-{digest([source])}",
        title=f"{name} {version}",
        expected_s=expected_s,
        build=lambda folder, log: _go_build(source, ".", folder / name, "-s -w", log),
    )


def _kubernetes_flags() -> str:
    major, minor, _ = versions.KUBERNETES.split(".")
    version = "k8s.io/component-base/version"
    return (
        f"-s -w -X {version}.gitVersion=v{versions.KUBERNETES} -X {version}.gitMajor={major} "
        f"-X {version}.gitMinor={minor} -X {version}.gitTreeState=clean"
    )


def _build_kubernetes(source: Path, flags: str, folder: Path, log: Path) -> None:
    _go_build(source, ".", folder / "kubernetes", flags, log)
    for program in KUBERNETES_PROGRAMS:
        (folder / program).symlink_to("kubernetes")


def _build_module(name: str, module: versions.GoModule, folder: Path, log: Path) -> None:
    source = _download(module, log)
    _go_build(source, module.package, folder / name, "-s -w", log, tags=module.tags)
    charts = source / "charts/gateway-helm/charts/crds/crds"
    if charts.is_dir():
        shutil.copytree(charts, folder / "crds", copy_function=shutil.copyfile)


def _download(module: versions.GoModule, log: Path) -> Path:
    """Fetch a module into Go's module cache; its sum must be the pinned one."""
    name = f"{module.module}@{module.version}"
    try:
        answer = output_of([_go(), "mod", "download", "-json", name], _environment())
    except StepError as error:
        raise StepError(error.what, ADVICE, log) from error
    found = json.loads(answer)
    if found["Sum"] != module.sum:
        raise StepError(
            f"{name} has the sum {found['Sum']}, expected {module.sum}",
            "the module proxy delivers other bytes than were reviewed: use another GOPROXY",
        )
    return Path(found["Dir"])


def _go_build(
    source: Path, package: str, target: Path, flags: str, log: Path, *, tags: str = ""
) -> None:
    build: list[str | Path] = [
        _go(),
        "build",
        "-mod=readonly",
        "-trimpath",
        "-tags",
        tags,
        "-ldflags",
        flags,
        "-o",
        target,
        package,
    ]
    run(["nice", "-n", "5", *build], log=log, advice=ADVICE, env=_environment(), cwd=source)


def _go() -> str:
    require_go()
    return find("go") or "go"


def _environment() -> dict[str, str]:
    return caller_environment(**GO_SETTINGS)
