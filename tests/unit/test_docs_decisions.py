"""The decision records are numbered, listed, and speak of constants that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
CONSTANT = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)`")


def constants() -> set[str]:
    """Return the names that any module of the operator or the model server sets."""
    found: set[str] = set()
    for folder in ("operator/rampway", "model_server/rampway_server"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r"^([A-Z][A-Z0-9_]+)\b", path.read_text(), re.MULTILINE))
    return found


def test_records_have_numbers_of_their_own_and_are_listed() -> None:
    """No number is there twice; the index names every record in order, and no other file."""
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == sorted(set(numbers))
    listed = re.findall(r"\]\((\d{4}[^)]*\.md)\)", (FOLDER / "README.md").read_text())
    assert listed == [path.name for path in RECORDS]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_number(path: Path) -> None:
    """The title begins with the number in the file's name."""
    assert path.read_text().startswith(f"# {int(path.name[:4])}. ")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_constants_that_a_record_names_exist(path: Path) -> None:
    """A record that explains a constant is noticed when the constant is renamed or removed."""
    named = {name for name in CONSTANT.findall(path.read_text()) if len(name) > 2}
    settings = (ROOT / "operator/rampway/shell/settings.py").read_text()
    known = constants() | {f"RAMPWAY_{name}" for name in re.findall(r'"([A-Z_]+_S)"', settings)}
    assert named - known == set()
