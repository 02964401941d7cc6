"""Where the served models come from (dataset, commit, run …), as the operator or a user says it."""

import orjson

from rampway_server.followed import Followed

LONGEST_PART = 80
LONGEST = 1024
"""Characters of a name or a value, and of all together: it is one label of one series."""


class Lineage(Followed[str]):
    """One text such as `commit=1a2b3c, dataset=digits@v7`, empty where nobody says anything."""

    def __init__(self, path: str = "") -> None:
        super().__init__(path, "the lineage", parse, "")


def parse(text: str) -> str:
    """Return the lineage that a JSON object of texts tells, by name, cut to its bounds.

    Raises:
        ValueError: it is something else.
    """
    known = orjson.loads(text) if text.strip() else {}
    if not isinstance(known, dict) or not all(isinstance(part, str) for part in known.values()):
        seen = text.strip()[:LONGEST_PART]
        raise ValueError(f'expected a JSON object as {{"dataset": "digits@v7"}}; seen: {seen!r}')
    parts = [f"{_shown(name)}={_shown(known[name])}" for name in sorted(known)]
    return _cut(", ".join(parts), LONGEST)


def _shown(part: str) -> str:
    """Return a part cut, without what no label of Prometheus or no terminal should get."""
    return "".join(c if c.isprintable() else "\ufffd" for c in _cut(part, LONGEST_PART))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
