"""Write the figures of docs/guides/choosing-steps.md anew: python -m tools.choosing_steps.

Each command of the page is run with its seed by the program itself; what it prints is put below it.
Words such as --jobs 1 are added to each.
"""

import re
import shlex
import sys
from pathlib import Path

from typer.testing import CliRunner

from rampway.cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "docs/guides/choosing-steps.md"
POLICY = PAGE.parent / "choosing-steps/careful.yaml"
PICTURE = PAGE.parent / "choosing-steps/steps.svg"
MARKS = ("simulated", "planned", "impossible")


def shown(mark: str) -> tuple[str, str]:
    """Return the command before a mark of the page, and what the page shows after it."""
    before, after = PAGE.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n")
    commands = re.findall(r"```\n(kubectl rampway [^`]+?)\n```", before)
    return commands[-1], after.split("```\n")[1]


def printed(command: str, *more: str) -> str:
    """Return what the program prints, at a reader's width."""
    words = [str(POLICY) if word == "careful.yaml" else word for word in shlex.split(command)[2:]]
    result = CliRunner().invoke(app, [*words, *more])
    return result.stdout or result.stderr


def main() -> None:
    """Fill in all of them."""
    for mark in MARKS:
        command, _ = shown(mark)
        more = ("--picture", str(PICTURE)) if mark == "simulated" else ()
        text = printed(command, *more, *sys.argv[1:])
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(f"<!-- {mark} -->\n")
        rest = after.split("```\n", 2)[2]
        filled = f"{before}<!-- {mark} -->\n```\n{text.rstrip()}\n```\n{rest}"
        PAGE.write_text(filled, encoding="utf-8")
        sys.stdout.write(f"{command}\n{text}\n")


if __name__ == "__main__":
    main()
