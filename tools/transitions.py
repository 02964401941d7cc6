"""Draw the phases of a rollout into docs/reference/status.md, from the table that the code runs.

python -m tools.transitions [--check]
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from rampway.api.conditions import RolloutPhase
from rampway.core.rollout.phases import TRANSITIONS

PAGE = Path("docs/reference/status.md")
BEGIN = "<!-- Written by `python -m tools.transitions` from the table that the code runs. -->\n"
END = "<!-- End of what is written. -->\n"
Table = Mapping[RolloutPhase, frozenset[RolloutPhase]]


def diagram(table: Table) -> str:
    """Return the table as a Mermaid state diagram, each phase in the order of its definition."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {RolloutPhase.STARTING}"]
    for phase in RolloutPhase:
        after = [other for other in RolloutPhase if other in table[phase]]
        lines += [f"    {phase} --> {other}" for other in after]
        lines += [] if after else [f"    {phase} --> [*]"]
    return "\n".join([*lines, "```\n"])


def drawn(page: str, table: Table) -> str:
    """Return the page with the diagram of this table between its two marks.

    Raises:
        ValueError: the marks are not there, each once.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE}: expected these two lines, each once:\n{BEGIN}{END}")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{diagram(table)}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Draw it; with --check only compare."""
    page = PAGE.read_text()
    wanted = drawn(page, TRANSITIONS)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted)
        return 0
    if page != wanted:
        sys.stdout.write(f"{PAGE} does not show TRANSITIONS: run python -m tools.transitions\n")
    return 0 if page == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
