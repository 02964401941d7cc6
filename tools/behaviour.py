"""Write docs/reference/behaviour.md: each promise, its tests, where they run, what they noticed."""

import ast
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tools.breaks.data import ROOT, Break, Caught, caught_by, load, problems, read_record

PAGE = ROOT / "docs/reference/behaviour.md"
PROMISES = ROOT / "docs/reference/promises.yaml"
PLACES = ("unit", "simulation", "contract", "cluster")
HEAD = """# What Rampway promises, and what shows it

Written by `python3 -m tools.behaviour` from [promises.yaml](promises.yaml), from the tests, and
from [breaks.json](breaks.json). A test of a promise carries its number in its name. Promises S are
the model server's own; of their tests those are named that noticed a break.

*unit* tests run a part alone; *simulation* runs the real operator in a simulated cluster;
*contract* runs one suite on the real thing and on its double; *cluster* runs on a real cluster. A
promise is **kept** if its source was broken on purpose (tests/breaks) and a test noticed, each
time: `python -m tools.breaks` tries all of it again.

"""
KEPT = "## Kept\n\n"
UNPROVEN = "\n## Built, and not shown to be kept\n\nA break went unnoticed, or none was tried.\n\n"
PLANNED = "\n## Planned\n\nNot built yet, so promised to nobody.\n\n"


class Promise(BaseModel):
    """One promise.

    Attributes:
        says: What is promised, as far as it is built.
        missing: What belongs to it and is not built yet.
        status: `planned` where nothing of it is built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[BS][0-9]{1,2}$")]
    says: Annotated[str, Field(min_length=20)]
    missing: str = ""
    status: Literal["built", "planned"] = "built"


class Found(BaseModel):
    """A test of a promise."""

    place: str
    file: str
    name: str
    sentence: str


def promises() -> tuple[Promise, ...]:
    """Return all promises, in order of their numbers: those of the whole, then the server's own.

    Raises:
        ValueError: one is missing, or there twice.
    """
    entries = [Promise.model_validate(entry) for entry in yaml.safe_load(PROMISES.read_text())]
    ids = [promise.id for promise in entries]
    whole = sum(name.startswith("B") for name in ids)
    expected = [f"B{n + 1}" for n in range(whole)] + [f"S{n + 1}" for n in range(len(ids) - whole)]
    if ids != expected:
        raise ValueError(f"{PROMISES.name}: expected {expected[0]} to {expected[-1]}, in order")
    return tuple(entries)


def tests() -> dict[str, list[Found]]:
    """Return the tests of every promise, by its name, in order of the places they run in."""
    found: dict[str, list[Found]] = defaultdict(list)
    for place in PLACES:
        for path in sorted((ROOT / "tests" / place).rglob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    file = str(path.relative_to(ROOT / "tests" / place))
                    one = Found(place=place, file=file, name=node.name, sentence=_sentence(node))
                    for promised in numbers_of(node.name):
                        found[f"B{promised}"].append(one)
    return found


def numbers_of(name: str) -> list[int]:
    """Return the numbers of the promises that a test's name says it is of."""
    begin = re.match(r"test((?:_b\d+)+)_", name)
    return [int(text) for text in re.findall(r"\d+", begin[1])] if begin else []


def _sentence(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    words = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
    plain = re.sub(r"^B\d+(, B\d+)*: ", "", words).replace("|", "/")
    return plain[:1].upper() + plain[1:]


def kept(promise: Promise, breaks: Sequence[Break], record: Caught) -> bool:
    """Whether a promise is built, and each break of it, of which there is one, was noticed."""
    return promise.status == "built" and bool(breaks) and all(caught_by(b, record) for b in breaks)


def page(
    known: Iterable[Promise],
    found: Mapping[str, Sequence[Found]],
    breaks: Sequence[Break],
    record: Caught,
) -> str:
    """Return the page."""
    sections: dict[str, list[str]] = {"kept": [], "unproven": [], "planned": []}
    for promise in known:
        mine = [one for one in breaks if one.promise == promise.id]
        told = _section(promise, found.get(promise.id, ()), mine, record)
        if promise.status == "planned":
            sections["planned"].append(told)
        else:
            sections["kept" if kept(promise, mine, record) else "unproven"].append(told)
    parts = ((KEPT, "kept"), (UNPROVEN, "unproven"), (PLANNED, "planned"))
    return HEAD + "".join(
        head + "\n".join(sections[name]) for head, name in parts if sections[name]
    )


def _section(
    promise: Promise, found: Sequence[Found], breaks: Sequence[Break], record: Caught
) -> str:
    lines = [f"### {promise.id}", "", textwrap.fill(promise.says, 100)]
    if promise.missing:
        lines += ["", f"Not built yet: {promise.missing}."]
    if found:
        lines += ["", "| runs in | test | what it shows |", "|---|---|---|"]
        lines += [f"| {t.place} | {t.file}: `{t.name}` | {t.sentence} |" for t in found]
    if breaks:
        lines += ["", "| broken on purpose, so that | noticed by |", "|---|---|"]
        lines += [f"| {b.why} | {_noticed(caught_by(b, record))} |" for b in breaks]
    return "\n".join(lines) + "\n"


def _noticed(node: str) -> str:
    if not node:
        return "nobody yet"
    path, _, name = node.removeprefix("tests/").partition("::")
    return f"{path}: `{name.split('[', 1)[0]}`"


def main() -> int:
    """Write the page; with --check only compare, and see that every break can still be tried."""
    breaks = load()
    record = read_record()
    text = page(promises(), tests(), breaks, record)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
        return 0
    wrong = problems(breaks)
    wrong += [
        f"{one.id}: not tried as it is now, or not noticed: python -m tools.breaks --only {one.id}"
        for one in breaks
        if not caught_by(one, record)
    ]
    if PAGE.read_text() != text:
        page_name = PAGE.relative_to(ROOT)
        wrong.append(f"{page_name} is not what the tests say: run python3 -m tools.behaviour")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
