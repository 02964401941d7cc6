"""docs/guides/choosing-steps.md and judging.md show what the program prints and draws."""

import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rampway.cli.app import app
from rampway.cli.linting import Level, lint
from tools import judging_pictures

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/guides/choosing-steps.md"
POLICY = ROOT / "docs/guides/choosing-steps/careful.yaml"


def shown(mark: str) -> tuple[str, str]:
    """Return the command before a mark of the page, and what the page shows after it."""
    before, after = PAGE.read_text().split(f"<!-- {mark} -->\n")
    commands = re.findall(r"```\n(kubectl rampway [^`]+?)\n```", before)
    return commands[-1], after.split("```\n")[1]


def printed(command: str) -> str:
    """Return what the program prints, at a reader's width."""
    words = [str(POLICY) if word == "careful.yaml" else word for word in shlex.split(command)[2:]]
    result = CliRunner().invoke(app, [*words, "--jobs", "1"])
    return result.stdout or result.stderr


@pytest.mark.parametrize("mark", ["simulated", "planned", "impossible"])
def test_the_page_shows_what_is_printed(mark: str) -> None:
    """Each command of the page, run with its seed, prints what stands below it."""
    command, text = shown(mark)
    assert printed(command).strip() == text.strip()


def test_the_plan_of_the_page_is_a_policy() -> None:
    """Lint finds no mistake in it."""
    _, text = shown("planned")
    found = lint("plan.yaml", text, 50.0).findings
    assert [one for one in found if one.level is Level.ERROR] == []


def test_the_picture_is_what_the_code_draws() -> None:
    """The first picture, drawn anew, is the committed one; all are valid and small."""
    drawn = judging_pictures.evidence()
    assert drawn == (judging_pictures.FOLDER / "evidence.svg").read_text()
    for name in judging_pictures.PICTURES:
        path = judging_pictures.FOLDER / f"{name}.svg"
        assert path.stat().st_size < 60_000
        assert ET.fromstring(path.read_text()).tag.endswith("svg")  # noqa: S314 - ours
