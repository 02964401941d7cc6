"""The rates of docs/guides/strategies.md, held against what lint and simulate say of its files."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rampway.cli.app import app

GUIDE = Path(__file__).resolve().parents[2] / "docs/guides"
ROW = re.compile(
    r"^\| \[\w+\]\((strategies/\w+\.yaml)\) \| ([\d.]+) \| (\d+) of (\d+), ", re.MULTILINE
)
ROWS = [
    (name, float(rate), int(stopped) / int(runs))
    for name, rate, stopped, runs in ROW.findall((GUIDE / "strategies.md").read_text())
]


def printed(*words: str) -> str:
    """Return what the program prints."""
    return CliRunner().invoke(app, words).stdout


def test_every_file_is_in_the_table_or_beside_it() -> None:
    """Whose checks can be reckoned in requests a second is in the table."""
    there = {path.stem for path in (GUIDE / "strategies").glob("*.yaml")}
    assert {Path(name).stem for name, *_ in ROWS} == there - {"ab", "blue-green"}


@pytest.mark.parametrize(("name", "rate", "_stopped"), ROWS)
def test_the_rate_is_the_least_that_lint_is_content_with(
    name: str, rate: float, _stopped: float
) -> None:
    """At the page's rate no step lasts longer than it says; at nine tenths of it one does."""
    asked = ("lint", str(GUIDE / name), "--rps")
    assert "no mistakes, no warnings" in printed(*asked, str(rate))
    assert "check errors passes after about" in printed(*asked, str(0.9 * rate))


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "rate", "stopped"), ROWS)
def test_the_harm_that_is_named_is_found_at_that_rate(
    name: str, rate: float, stopped: float
) -> None:
    """Nearly all such candidates are stopped, and a good one is promoted."""
    asked = ("--rps", str(rate), "--errors", "5x", "--runs", "2", "--seed", "1", "--jobs", "1")
    good, bad = json.loads(printed("simulate", str(GUIDE / name), *asked, "-o", "json"))[
        "candidates"
    ]
    assert bad["candidate"] == "2.5 % fail (5x)"
    assert stopped > 0.9
    assert bad["stopped"]["count"] >= 1
    assert good["stopped"]["count"] == 0
