"""Break a copy of the tree and run the tests that should notice; the checkout is never touched."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.breaks.data import ROOT, Break
from tools.breaks.observer import MODULE, REPORT

LEFT_OUT = (
    ".*",
    "__pycache__",
    "build",
    "dist",
    "node_modules",
)
CONTROL_S = 1800.0
LONGEST_S = 180.0
"""A break after which the tests do not end is none: nobody can say what it did."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a break.

    Attributes:
        caught_by: The test that noticed, empty if none did.
        refused: Why it counts as no break of behaviour; empty if it does.
    """

    one: Break
    took_s: float
    caught_by: str = ""
    refused: str = ""


def copy_tree(target: Path, source: Path = ROOT) -> Path:
    """Copy the checkout without what was made in it; return the target."""
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns(*LEFT_OUT)))


def control(tree: Path, breaks: Iterable[Break]) -> str:
    """Run the tests of these breaks on the unbroken tree; return what is wrong, else empty.

    The copies of this tree find its bytecode, so each break compiles one file only.
    """
    tests = sorted({test for one in breaks for test in one.nodes})
    try:
        ended, _ = _pytest(tree, tests, "", timeout_s=CONTROL_S)
    except subprocess.TimeoutExpired:
        return f"the tests of {len(tests)} entries took over {CONTROL_S / 60:.0f} min; try fewer"
    return "" if ended.returncode == 0 else ended.stdout[-4000:] + ended.stderr[-2000:]


def attempt(one: Break, tree: Path) -> Tried:
    """Try one break in a copy of the tree of its own."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rampway-break-") as place:
        broken = Path(place).resolve() / "tree"
        shutil.copytree(tree, broken)
        path = broken / one.file
        path.write_text(one.applied(path.read_text()))
        try:
            ended, seen = _pytest(broken, one.nodes, one.module, timeout_s=LONGEST_S)
        except subprocess.TimeoutExpired:
            took_s = time.monotonic() - began_s
            return Tried(one, took_s, refused=f"the tests did not end within {LONGEST_S:g} s")
    caught, refused = _verdict(ended, seen)
    return Tried(one, time.monotonic() - began_s, caught, refused)


def _verdict(ended: subprocess.CompletedProcess[str], seen: dict[str, object]) -> tuple[str, str]:
    """Return the test that noticed and why the break is refused, both empty if nobody noticed."""
    failed = seen.get("failed")
    if ended.returncode == 0:
        return "", ""
    if seen.get("refused") or not isinstance(failed, dict):
        said = seen.get("refused") or (ended.stdout[-600:] + ended.stderr[-600:]).strip()
        return "", str(said)
    if failed["when"] != "call" or not failed["asserted"]:
        what = f"{failed['test']} failed in its {failed['when']} by {failed['error']}"
        return "", f"{what}; expected an assertion about behaviour"
    return str(failed["test"]), ""


def _pytest(
    tree: Path, tests: Iterable[str], module: str, *, timeout_s: float
) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    report = tree / "break-report.json"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=short"]
    command += ["-p", "no:cacheprovider", "-p", "tools.breaks.observer", *tests]
    paths = [tree / "operator", tree / "model_server", tree]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONHASHSEED": "0",
        MODULE: module,
        REPORT: str(report),
    }
    ended = subprocess.run(
        command, cwd=tree, env=env, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return ended, json.loads(report.read_text()) if report.exists() else {}
