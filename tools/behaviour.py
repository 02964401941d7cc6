"""Write docs/reference/behaviour.md: which test proves which promise of behaviour."""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/behaviour.md"
LAST = 40
NOT_YET = "not promised yet"
HEAD = """# Promises and their tests

Each promise has a number (B1 to B40), and a test of one carries it in its name. This page is
written by `python3 -m tools.behaviour` from the tests themselves: a promise without a test is none.
Tests under tests/simulation drive the real operator against a simulated cluster; those under
tests/cluster run on a real one.

| promise | test | what it shows |
|---|---|---|
"""


def found() -> dict[int, list[tuple[str, str, str]]]:
    """Return (file, test, sentence) of every test of a promise, by its number."""
    promises: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            numbers = re.match(r"test((?:_b\d+)+)", node.name)
            for number in re.findall(r"\d+", numbers[1]) if numbers else []:
                sentence = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                where = str(path.relative_to(ROOT / "tests"))
                promises[int(number)].append((where, node.name, sentence))
    return promises


def page() -> str:
    """Return the page."""
    promises = found()
    lines = []
    for number in range(1, LAST + 1):
        for where, name, sentence in promises.get(number, []):
            lines.append(f"| B{number} | {where}: `{name}` | {sentence.replace('|', '/')} |")
        if number not in promises:
            lines.append(f"| B{number} | - | {NOT_YET} |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write the page; with --check only compare."""
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() == page():
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not what the tests say: run python3 -m tools.behaviour")
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
