"""docs/guides/choosing-steps.md and judging.md show what the program prints and draws.

Figures may move a little when the evidence is bettered: what stands on the page has to lie within
what the commands of the page give now. `python -m tools.choosing_steps` writes them anew.
"""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from rampway.api.policy import Policy
from rampway.cli import planning
from rampway.cli.doubts import Level
from rampway.cli.linting import lint
from tools import choosing_steps, judging_pictures

FEW = ("--jobs", "1", "--runs", "2")
SECONDS = {"s": 1, "min": 60, "h": 3600}


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plan try few shares, few times: that the commands work needs no more."""
    monkeypatch.setattr(planning, "FEW", 2)
    monkeypatch.setattr(planning, "SHARES_PCT", (5, 20, 50))


def rows(text: str) -> list[str]:
    """Return the rows of a table in a page."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("CANDIDATE"))
    return lines[first + 1 : lines.index("", first)]


@pytest.mark.no_cover
def test_the_page_shows_what_simulate_prints(tmp_path: Path) -> None:
    """Each row of the page is a candidate that is tried, its time within what trials give now."""
    command, text = choosing_steps.shown("simulated")
    picture = tmp_path / "a.svg"
    told = choosing_steps.printed(command, "-o", "json", *FEW, "--picture", str(picture))
    candidates: list[dict[str, Any]] = json.loads(told)["candidates"]
    names = [one["candidate"] for one in candidates]
    assert [next(n for n in names if row.startswith(n)) for row in rows(text)] == names
    good = candidates[0]["promotedAfterSeconds"]
    number, unit = re.findall(r"([\d.]+) (s|min|h)\b", rows(text)[0])[0]
    assert 0.7 * good["p1"] < float(number) * SECONDS[unit] < 1.3 * good["p99"]
    assert _words(picture.read_text()) >= {*names}
    assert _words(choosing_steps.PICTURE.read_text()) >= {*names}


@pytest.mark.no_cover
def test_the_plan_of_the_page_is_possible_and_a_policy() -> None:
    """Lint finds no mistake in it, and its command still finds steps."""
    command, text = choosing_steps.shown("planned")
    for plan in (text, choosing_steps.printed(command, *FEW)):
        found = lint("plan.yaml", plan, 50.0).findings
        assert [one for one in found if one.level is Level.ERROR] == []
        Policy.model_validate(yaml.safe_load(plan)["spec"], by_name=False)


@pytest.mark.no_cover
def test_the_impossible_of_the_page_is_impossible() -> None:
    """The page's words begin as the program's do."""
    command, text = choosing_steps.shown("impossible")
    printed = choosing_steps.printed(command, *FEW)
    assert printed.split(",")[0] == text.split(",")[0]
    assert text.startswith("impossible: at 4 requests a second")


@pytest.mark.parametrize("name", judging_pictures.PICTURES)
def test_the_pictures_are_there(name: str) -> None:
    """Each is valid and small."""
    path = judging_pictures.FOLDER / f"{name}.svg"
    assert path.stat().st_size < 60_000
    assert _words(path.read_text())


def test_the_picture_of_evidence_is_drawn_by_the_code() -> None:
    """Drawn anew it has the words of the committed one, and lines that reach the bar."""
    drawn = judging_pictures.evidence()
    assert _words(drawn) == _words((judging_pictures.FOLDER / "evidence.svg").read_text())
    assert drawn.count("<polyline") > 10


def _words(svg: str) -> set[str]:
    found = ET.fromstring(svg)  # noqa: S314 - we wrote it
    return {node.text or "" for node in found.iter() if node.tag.endswith("text")}
