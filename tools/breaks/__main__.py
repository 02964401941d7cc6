"""Break the source on purpose, break by break, and see that the tests notice.

    python -m tools.breaks [--only B20 ...] [--jobs 2] [--list]

The last line is JSON. What was caught is written to docs/reference/breaks.json, from which
`python -m tools.behaviour` tells the promises that are kept from those that are not.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tools.breaks.data import Break, caught_by, load, problems, read_record, write_record
from tools.breaks.run import Tried, attempt, control, copy_tree


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the breaks; return 0 if every one was caught, 1 if not, 2 if none could be tried."""
    options = _options().parse_args(arguments)
    breaks = load()
    chosen = [one for one in breaks if not options.only or _named(one, options.only)]
    if options.due:
        chosen = _due(chosen)
    wrong = problems(chosen)
    if not chosen and options.due:
        print("every break is on record as it is now, and was noticed", file=sys.stderr)
        return 0
    if not chosen:
        wrong = [f"no break is named {' or '.join(options.only)}; `--list` shows all"]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{one.id}: {one.why}" for one in chosen))
        return 0
    with tempfile.TemporaryDirectory(prefix="rampway-tree-") as place:
        tree = copy_tree(Path(place).resolve() / "tree")
        tried = _all(chosen, tree, options.jobs)
    if not tried:
        return 2
    _record(tried, breaks)
    return _summary(tried)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.breaks", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="B20", help="these promises or breaks only")
    parser.add_argument("--due", action="store_true", help="only what is not on record as it is")
    parser.add_argument("--jobs", type=int, default=1, help="so many breaks at a time")
    parser.add_argument("--list", action="store_true", help="show the breaks and try none")
    return parser


def _named(one: Break, only: Sequence[str]) -> bool:
    return one.promise in only or one.id in only


def _due(breaks: Sequence[Break]) -> list[Break]:
    """Return the breaks that were not noticed, or were tried when they or their tests differed."""
    record = read_record()
    return [one for one in breaks if not caught_by(one, record)]


def _all(chosen: Sequence[Break], tree: Path, jobs: int) -> list[Tried]:
    """Return what came of each break; nothing if the tests fail without any."""
    began_s = time.monotonic()
    wrong = control(tree, chosen)
    if wrong:
        print(wrong, file=sys.stderr)
        print("the tests fail without any break: mend them first", file=sys.stderr)
        return []
    print(f"without a break the tests pass, in {time.monotonic() - began_s:.1f} s", flush=True)
    tried: list[Tried] = []
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(partial(attempt, tree=tree), chosen):
            tried.append(found)
            print(_line(found), flush=True)
    return tried


def _line(found: Tried) -> str:
    told = f"{found.one.id}: {found.took_s:.1f} s: "
    if found.caught_by:
        return f"{told}caught by {found.caught_by}"
    why = f"refused: {found.refused}" if found.refused else "all tests passed"
    return f"{told}NOT CAUGHT ({found.one.why}): {why}"


def _record(tried: Sequence[Tried], breaks: Sequence[Break]) -> None:
    found = {one.one.id: (one.one.digest, one.caught_by) for one in tried}
    write_record(read_record() | found, breaks)


def _summary(tried: Sequence[Tried]) -> int:
    missed = [found.one.id for found in tried if not found.caught_by]
    told = {"breaks": len(tried), "caught": len(tried) - len(missed), "not_caught": missed}
    print(json.dumps(told))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
