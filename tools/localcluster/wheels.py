"""Downloads the wheels of an image on the host, where proxies and certificates are set up."""

import platform
import sys
from pathlib import Path

from tools.localcluster import debian, versions
from tools.localcluster.commands import caller_environment, output_of, run, succeeds
from tools.localcluster.errors import StepError
from tools.localcluster.parts import Part, build, digest
from tools.localcluster.paths import Layout
from tools.localcluster.progress import Progress

PIP = "pip==26.3 --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13\n"
ADVICE = (
    "see that pip can reach its index (PIP_INDEX_URL, HTTPS_PROXY and PIP_CERT are passed on) "
    "and that it has the locked versions, then try again"
)


def fetch(layout: Layout, target: str, requirements: Path) -> Path:
    """Return a folder with the locked wheels of ``requirements``, and pip's own."""
    part = Part(
        name=f"wheels-{target}",
        key=digest([requirements, PIP, versions.PYTHON, platform.machine()]),
        title=f"wheels of {target}",
        expected_s=30,
        build=lambda folder, log: _download(requirements, folder, log),
    )
    return build(part, layout, Progress(total=1))


def python_with_pip(log: Path) -> str:
    """Return a Python of the images' version with pip: it picks the wheels for itself.

    Debian's own comes last, because pip may have to be installed for it.
    """
    for python in (sys.executable, "/usr/bin/python3"):
        if _version(python) != versions.PYTHON:
            continue
        if not succeeds([python, "-m", "pip", "--version"], caller_environment()):
            if python != "/usr/bin/python3":
                continue
            debian.install(("python3-pip",), log)
        return python
    raise StepError(
        f"there is no Python {versions.PYTHON} here to choose the images' packages with",
        "use a Debian 12 machine, or set BASE_IMAGE to an image that has Python "
        f"{versions.PYTHON} and pip",
    )


def _version(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return output_of([python, "-c", code], caller_environment())
    except StepError:
        return ""


def _download(requirements: Path, folder: Path, log: Path) -> None:
    own = folder / "pip.txt"
    own.write_text(PIP)
    command = [python_with_pip(log), "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--dest", str(folder), "-r", str(requirements), "-r", str(own)]
    run(command, log=log, advice=ADVICE, env=caller_environment())
    own.unlink()
