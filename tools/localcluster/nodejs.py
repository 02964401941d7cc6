"""Installs programs of Node.js, locked by package-lock.json."""

import shutil
from pathlib import Path

from tools.localcluster.commands import caller_environment, find, run
from tools.localcluster.errors import StepError
from tools.localcluster.parts import Part, digest
from tools.localcluster.paths import HERE

ADVICE = (
    "see that the npm registry (npm_config_registry) can be reached, through HTTPS_PROXY if you "
    "need one, then try again"
)


def program(name: str, expected_s: float) -> Part:
    """Return the part for a program whose lock lies in npm/NAME; it is started as bin/NAME."""
    source = HERE / "npm" / name
    return Part(
        name=name,
        key=digest([source]),
        title=name,
        expected_s=expected_s,
        build=lambda folder, log: _install(source, folder, log),
    )


def _install(source: Path, folder: Path, log: Path) -> None:
    npm = find("npm")
    if npm is None:
        raise StepError("there is no `npm` on PATH", "install Node.js 20 or later and try again")
    for file in source.iterdir():
        shutil.copy(file, folder)
    # No scripts: what is installed from a registry runs nothing before it is called.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"]
    run(command, log=log, advice=ADVICE, env=caller_environment(), cwd=folder)
    (folder / "bin").symlink_to("node_modules/.bin")
