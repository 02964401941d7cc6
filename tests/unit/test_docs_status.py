"""docs/reference/status.md has a line for every word that a status can say, and no other."""

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest

from rampway.api.conditions import Act, ConditionType, Phase, Reason, RolloutPhase
from rampway.api.definitions import DEFINITIONS, Definition
from rampway.core.checks.judged import CheckState
from rampway.core.model.keeping import ROLLOUTS_KEPT
from rampway.core.rollout.decisions import MAX_DECISIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/status.md").read_text()
NUMBERS = {10: "ten"}


def section(heading: str) -> str:
    """Return the text under a heading, to the next one of the same level or above."""
    level = len(heading.split(maxsplit=1)[0])
    pattern = rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"docs/reference/status.md has no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables' rows, heads left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {n - 1 for n, line in enumerate(lines) if set(line) <= set("|- ")}
    rules = {n + 1 for n in heads}
    kept = [line for n, line in enumerate(lines) if n not in heads | rules]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in kept]


def words(text: str) -> list[str]:
    """Return the words in backticks of all tables' first columns."""
    return [word for row in rows(text) for word in re.findall(r"`([^`]+)`", row[0])]


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("## Conditions", ConditionType),
        ("## Phases of a ModelDeployment", Phase),
        ("## Phases of a ModelRollout", RolloutPhase),
        ("## Reasons", Reason),
        ("## Answers of a check", CheckState),
        ("## Events", Act),
    ],
)
def test_every_word_has_one_line(heading: str, known: Iterable[StrEnum]) -> None:
    """Each member of the enum has a line under its heading, exactly one; nothing else has."""
    assert sorted(words(section(heading))) == sorted(member.value for member in known)


@pytest.mark.parametrize("heading", ["## Phases of a ModelDeployment", "## Reasons"])
def test_every_word_says_what_it_means_and_what_to_do(heading: str) -> None:
    """No line has an empty cell: a meaning and an advice for each."""
    found = rows(section(heading))
    assert found
    assert [row for row in found if [bool(cell) for cell in row] != [True, True, True]] == []


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.plural)
def test_every_column_of_kubectl_get_is_explained(definition: Definition) -> None:
    """The table of a kind names the printer columns of its CRD, in their order."""
    text = section("## Columns of `kubectl get`")
    head = f"| `kubectl get {definition.plural}` |"
    table = head + text.split(head, 1)[1].split("\n\n", 1)[0]
    assert words(table) == list(definition.columns)
    assert f"`{definition.short_name}`" in text


def test_every_event_has_reasons_that_there_are() -> None:
    """Each is Normal or Warning, for reasons that there are; simulation/conftest.py has which."""
    for _, kind, reasons, when in rows(section("## Events")):
        assert kind in {"Normal", "Warning"}
        assert re.findall(r"`(\w+)`", reasons)
        assert {Reason(word) for word in re.findall(r"`(\w+)`", reasons)}
        assert when


def test_what_is_kept_is_what_the_code_keeps() -> None:
    """The page gives the numbers of rollouts and decisions that the operator keeps."""
    text = section("## Evidence and history")
    assert f"last\n{NUMBERS[ROLLOUTS_KEPT]} are kept" in text
    assert f"| up to {MAX_DECISIONS} decisions" in text
