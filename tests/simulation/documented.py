"""What docs/reference/status.md says of Events."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/status.md"
_ROW = re.compile(r"^\| `(\w+)` \| (Normal|Warning) \| (`.*?`) \|", re.MULTILINE)


def events() -> frozenset[tuple[str, str, str]]:
    """Return action, type and reason of each Event in the table."""
    text = PAGE.read_text().split("## Events\n", 1)[1].split("\n## ", 1)[0]
    return frozenset(
        (action, kind, reason)
        for action, kind, reasons in _ROW.findall(text)
        for reason in re.findall(r"`(\w+)`", reasons)
    )
