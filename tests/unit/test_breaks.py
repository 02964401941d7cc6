"""Deliberate breaks: what is one, and how it is seen that a test noticed it."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tools.breaks import __main__ as command
from tools.breaks import data, run
from tools.breaks.data import Break, load, problems

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "def carried(pods):\n    return 25 * pods\n"
TESTS = """import parts

def test_b06_two_pods_carry_half():
    assert parts.carried(2) == 50

def test_by_a_key():
    assert {50: 1}[parts.carried(2)]

def test_that_raises(boom):
    assert boom

import pytest

@pytest.fixture
def boom():
    assert parts.carried(2) == 50
    return True
"""


def broken(**changes: object) -> Break:
    """Return a break of the small tree."""
    known: dict[str, object] = {
        "id": "B6-doubles",
        "file": "operator/parts.py",
        "find": "25 * pods",
        "replace": "50 * pods",
        "tests": ("test_parts.py::test_b06_two_pods_carry_half",),
        "why": "a pod carries twice as much as it does",
    }
    return Break.model_validate(known | changes)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree that has the script itself, one module and its tests."""
    for name in ("operator", "tests"):
        (tmp_path / name).mkdir()
    run.copy_tree(tmp_path / "tools", ROOT / "tools")
    (tmp_path / "operator/parts.py").write_text(SOURCE)
    (tmp_path / "tests/test_parts.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path


def test_every_break_can_be_tried() -> None:
    """What is to be found stands in the source once, and the tests that are named exist."""
    assert problems(load()) == []


def test_a_break_is_no_other_for_the_same_data() -> None:
    """The hash changes with whatever decides whether it is noticed, and with nothing else."""
    one = broken()
    assert broken(why="in other words, the same break").digest == one.digest
    for change in ({"find": "25"}, {"replace": "9"}, {"file": "x.py"}, {"tests": ("x::y",)}):
        assert broken(**change).digest != one.digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"find": "26 * pods"}, "stands 0 times"),
        ({"find": "pods"}, "stands 2 times"),
        ({"replace": "25 * pods"}, "break something"),
        ({"replace": "25 * * pods"}, "invalid syntax"),
        ({"file": "operator/gone.py"}, "there is no file"),
        ({"tests": ("test_parts.py::test_gone",)}, "there is no test"),
        ({"tests": ("test_gone.py::test_b06_two_pods_carry_half",)}, "there is no test"),
    ],
)
def test_what_cannot_be_tried_is_told(changes: dict[str, object], words: str, tree: Path) -> None:
    """Text that is not there exactly once, what does not compile, files and tests that are not."""
    (found,) = problems([broken(**changes)], tree)
    assert words in found
    assert problems([broken()], tree) == []


@pytest.mark.parametrize("changes", [{"id": "6-x"}, {"tests": ()}, {"why": ""}, {"more": 1}])
def test_what_is_no_break_is_refused(changes: dict[str, object]) -> None:
    """Each has a promise, a test, a reason, and nothing that nobody reads."""
    with pytest.raises(ValidationError):
        broken(**changes)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    """A name stands for one break."""
    folder = tmp_path / data.FOLDER
    folder.mkdir(parents=True)
    entry = json.dumps([broken().model_dump()])
    (folder / "one.yaml").write_text(entry)
    assert [one.id for one in load(tmp_path)] == ["B6-doubles"]
    (folder / "two.yaml").write_text(entry)
    with pytest.raises(ValueError, match="B6-doubles"):
        load(tmp_path)


def test_a_break_is_caught_by_an_assertion(tree: Path) -> None:
    """The copy is broken, the test fails there, and the tree itself stays as it is."""
    assert run.control(tree, [broken()]) == ""
    tried = run.attempt(broken(), tree)
    assert (tried.caught_by, tried.refused) == (
        "tests/test_parts.py::test_b06_two_pods_carry_half",
        "",
    )
    assert (tree / "operator/parts.py").read_text() == SOURCE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"find": "pods):", "replace": "pods=None):"}, ""),
        (
            {"find": "def carried", "replace": "import gone\ndef carried"},
            "does not import any more",
        ),
        ({"tests": ("test_parts.py::test_by_a_key",)}, "by KeyError"),
        ({"tests": ("test_parts.py::test_that_raises",)}, "failed in its setup"),
    ],
    ids=["nobody notices", "no import", "no assertion", "no test"],
)
def test_what_is_not_caught(changes: dict[str, object], words: str, tree: Path) -> None:
    """Tests that pass, and what fails by something else than an assertion in a test."""
    tried = run.attempt(broken(**changes), tree)
    assert tried.caught_by == ""
    assert words in tried.refused
    assert bool(words) == bool(tried.refused)


def test_without_a_break_the_tests_must_pass(tree: Path) -> None:
    """A test that fails anyway has noticed nothing."""
    (tree / "operator/parts.py").write_text(SOURCE.replace("25", "24"))
    assert "test_b06_two_pods_carry_half" in run.control(tree, [broken()])


def test_the_record_knows_what_it_was_of(tmp_path: Path) -> None:
    """A break that changed since is not caught, one that is gone is forgotten."""
    (tmp_path / data.RECORD).parent.mkdir(parents=True)
    assert data.read_record(tmp_path) == {}
    one = broken()
    data.write_record({one.id: (one.digest, "t"), "B9-gone": ("x", "t")}, [one], tmp_path)
    record = data.read_record(tmp_path)
    assert record == {one.id: (one.digest, "t")}
    assert data.caught_by(one, record) == "t"
    assert data.caught_by(broken(find="25"), record) == ""


def test_the_last_line_says_what_was_not_caught(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON, and an exit code of 1 if any was not."""
    caught = run.Tried(broken(), 1.0, caught_by="t")
    missed = run.Tried(broken(id="B7-x"), 1.0)
    assert command._summary([caught]) == 0
    assert command._summary([caught, missed]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"breaks": 2, "caught": 1, "not_caught": ["B7-x"]}


def test_an_unknown_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`--only` with a name that nothing has tries nothing and says so."""
    assert command.main(["--only", "B99"]) == 2
    assert "no break is named B99" in capsys.readouterr().err


def test_the_list_can_be_read_without_trying(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` names each break with its reason."""
    assert command.main(["--list", "--only", "B33"]) == 0
    assert capsys.readouterr().out.startswith("B33-one-replica: ")
