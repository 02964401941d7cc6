"""docs/tutorial shows the files that its commands use, and its changes of them change something."""

import re
from pathlib import Path

import pytest
import yaml

from rampway.api.parse import parse_deployment
from rampway.core.model.revision import revision_hash

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/tutorial"
PAGE = (FOLDER / "first-rollout.md").read_text()
SHOWN = (FOLDER / "digits.yaml").read_text()
SCREEN = ("REVISION", "ROLLOUT", "CHECKS", "DECISIONS", "CONDITIONS")


def revision(text: str) -> tuple[str, str]:
    """Return hash and version of a manifest's revision."""
    found = yaml.safe_load(text)
    meta = {"namespace": "tutorial", "uid": "u", "generation": 1, "resourceVersion": "1"}
    spec = parse_deployment(found | {"metadata": meta | found["metadata"]}).spec
    return revision_hash(spec), spec.info.version or ""


def edited(expression: str) -> str:
    """Return the manifest as `sed` makes it with `s/old/new/; s/old/new/`."""
    text = SHOWN
    for old, new in re.findall(r"s/([^/]+)/([^/]*)/", expression):
        assert re.search(old, text), f"the tutorial replaces {old!r}, which digits.yaml lacks"
        text = re.sub(old, new, text)
    return text


def test_the_page_shows_the_manifest_that_it_applies() -> None:
    """The ModelDeployment in the page is docs/tutorial/digits.yaml, letter by letter."""
    assert f"```yaml\n{SHOWN}```" in PAGE


def test_each_edit_of_the_manifest_is_a_new_revision() -> None:
    """The two `sed` commands give revisions 2 and 3, of other content than the first."""
    edits = re.findall(r"sed '([^']+)' docs/tutorial/digits.yaml", PAGE)
    found = [revision(SHOWN), *(revision(edited(edit)) for edit in edits)]
    assert [version for _, version in found] == ["1", "2", "3"]
    assert len({content for content, _ in found}) == len(found)


def test_the_hash_that_the_page_shows_is_the_manifests() -> None:
    """The revisions in the page's output are those that a reader gets."""
    edits = re.findall(r"sed '([^']+)' docs/tutorial/digits.yaml", PAGE)
    for text in (SHOWN, *(edited(edit) for edit in edits)):
        assert revision(text)[0] in PAGE


@pytest.mark.parametrize("path", sorted(set(re.findall(r"docs/tutorial/[\w.-]+", PAGE))))
def test_every_file_that_a_command_names_is_there(path: str) -> None:
    """What the page's commands read from docs/tutorial exists and is YAML."""
    assert yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("path", ["README.md", "docs/tutorial/first-rollout.md"])
def test_a_screen_that_is_shortened_says_so(path: str) -> None:
    """What `kubectl rampway status` shows of a running rollout is there, or `…` stands for it."""
    text = (ROOT / path).read_text()
    screens = [
        one for one in re.findall(r"```text\n(.*?)```", text, re.DOTALL) if "\nROLLOUT" in one
    ]
    assert screens
    for screen in screens:
        titles = [title for title in SCREEN if f"\n{title}" in screen]
        assert titles == list(SCREEN) or "\n…\n" in screen, screen


def test_the_titles_of_a_screen_are_those_that_are_printed() -> None:
    """A part that the screen has no more is asked for no longer."""
    printed = (ROOT / "tests/unit/cli/snapshots/mid_rollout.txt").read_text()
    assert sorted(SCREEN, key=lambda title: printed.index(f"\n{title}")) == list(SCREEN)
