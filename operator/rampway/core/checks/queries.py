"""Filling in the names that a user's query may mention."""

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{\{\s*([a-z]+)\s*\}\}")


def fill(query: str, names: Mapping[str, str]) -> str:
    """Return the query with {{ candidate }} and the like filled in.

    A place that has no name is left as it is: Prometheus then refuses the query, and its words
    reach the user.
    """
    return _PLACE.sub(lambda found: names.get(found[1], found[0]), query)
