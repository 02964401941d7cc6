"""The breaks as data (tests/breaks/*.yaml), and the committed record of those that were caught."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("tests/breaks")
RECORD = Path("docs/reference/breaks.json")
Text = Annotated[str, Field(min_length=1)]


class Break(BaseModel):
    """One deliberate break of the source.

    Attributes:
        id: The promise and a few words, `B6-no-capacity-test`; S is the model server's own.
        file: Which file is broken, from the checkout's root.
        find: Text that stands in that file exactly once.
        replace: What is put in its place.
        tests: Tests that should notice, as node ids below tests/, run in this order until one does.
        why: What the operator or the model server would do wrong, in a line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[BS][0-9]{1,2}-[a-z0-9-]+$")]
    file: Text
    find: Text
    replace: str
    tests: Annotated[tuple[Text, ...], Field(min_length=1)]
    why: Annotated[str, Field(min_length=10, max_length=100)]

    @property
    def promise(self) -> str:
        """Number of the promise, `B6`."""
        return self.id.split("-", 1)[0]

    @property
    def digest(self) -> str:
        """Hash of all that decides whether the break is caught, the source's own text aside."""
        told = json.dumps([self.file, self.find, self.replace, self.tests])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Node ids of the tests, from the checkout's root."""
        return tuple(f"tests/{test}" for test in self.tests)

    @property
    def module(self) -> str:
        """Name by which the broken file is imported, empty if it is no Python."""
        path = Path(self.file)
        if path.suffix != ".py":
            return ""
        return ".".join(path.with_suffix("").parts[1:])

    def applied(self, source: str) -> str:
        """Return the source broken.

        Raises:
            ValueError: the text to find does not stand there exactly once.
        """
        times = source.count(self.find)
        if times != 1:
            raise ValueError(
                f"{self.id}: the text to find stands {times} times in {self.file}, expected once; "
                f"adapt it in {FOLDER} to the source as it is now: {self.find.strip()!r}"
            )
        broken = source.replace(self.find, self.replace)
        if broken == source:
            raise ValueError(f"{self.id}: the replacement is the text itself; break something")
        return broken


def load(root: Path = ROOT) -> tuple[Break, ...]:
    """Return all breaks, in order of their promises and as written within one.

    Raises:
        ValueError: two have the same id, or one is not as `Break` wants it.
    """
    found = [
        Break.model_validate(entry)
        for path in sorted((root / FOLDER).glob("*.yaml"))
        for entry in yaml.load(path.read_text(), yaml.CSafeLoader) or []
    ]
    ids = [one.id for one in found]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"these breaks are there twice in {FOLDER}: {', '.join(twice)}")
    return tuple(sorted(found, key=lambda one: order(one.promise)))


def order(promise: str) -> tuple[str, int]:
    """Return what promises are sorted by, `B6` -> ("B", 6)."""
    return promise[0], int(promise[1:])


def problems(breaks: Iterable[Break], root: Path = ROOT) -> list[str]:
    """Return what keeps breaks from being applied and their tests from being run."""
    found: list[str] = []
    for one in breaks:
        path = root / one.file
        if not path.is_file():
            found.append(f"{one.id}: there is no file {one.file}")
            continue
        try:
            broken = one.applied(path.read_text())
            if one.module:
                compile(broken, one.file, "exec")
        except (ValueError, SyntaxError) as error:
            found.append(str(error) if isinstance(error, ValueError) else f"{one.id}: {error}")
        found += [
            f"{one.id}: there is no test {test}" for test in one.nodes if not _exists(root, test)
        ]
    return found


def _exists(root: Path, node: str) -> bool:
    path, _, name = node.partition("::")
    return name.split("[", 1)[0] in _tests_of(root / path)


@lru_cache(maxsize=512)
def _tests_of(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


Caught = Mapping[str, tuple[str, str]]
"""By break: the hash of its data when it was tried, and the test that noticed, empty if none."""


def read_record(root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """Return the committed record, empty where there is none."""
    path = root / RECORD
    if not path.exists():
        return {}
    known = json.loads(path.read_text())
    return {name: (entry["data"], entry["caught_by"]) for name, entry in known.items()}


def write_record(record: Caught, breaks: Iterable[Break], root: Path = ROOT) -> None:
    """Write the record of these breaks; what is recorded of others is forgotten."""
    ordered = {
        one.id: {"data": record[one.id][0], "caught_by": record[one.id][1]}
        for one in breaks
        if one.id in record
    }
    (root / RECORD).write_text(json.dumps(ordered, indent=1) + "\n")


def caught_by(one: Break, record: Caught) -> str:
    """Return the test that noticed this very break, empty if none did or the break is another."""
    digest, test = record.get(one.id, ("", ""))
    return test if digest == one.digest else ""
