"""From the answers and the route's changes of one run to its figures: pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK = 200
REFERENCES = {
    "argo_rollouts_1.10_10s": {"last_failed_s": 10.9, "failed": 108},
    "argo_rollouts_1.10_2s": {"last_failed_s": 3.5, "failed": 33},
    "flagger_1.44": {"last_failed_s": 15.4, "failed": 155},
    "argo_rollouts_1.10_crashloop": {"last_failed_s": 0.2},
    "flagger_1.44_crashloop": {"last_failed_s": [67, 605]},
    "argo_rollouts_1.10_away10s": {"last_failed_s": 29},
    "flagger_1.44_away10s": {"last_failed_s": 31},
    "argo_rollouts_1.10_stableunready": {"last_failed_s": None},
}
"""Full failure, scrapes of 1 s, the same kind of machine; quoted, not measured here.

None: it left the bad candidate under traffic for as long as stable's pod was unready.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried: how often the candidate fails, is scraped, and whether it is looked at.

    Attributes:
        trouble: What else goes wrong (`bench.troubles`), if anything does.
        past: Whether stable has served for long enough before to be known.
    """

    failing: float
    scrape_s: int
    direct: bool
    trouble: str = ""
    past: bool = False

    @property
    def name(self) -> str:
        """Name for tables and JSON."""
        if self.trouble:
            return self.trouble
        how = "direct" if self.direct else "scraped"
        how += "_past" if self.past else ""
        return f"fail{round(100 * self.failing)}_scrape{self.scrape_s}s_{how}"


CASES = (
    *(Case(1.0, 1, direct=True, trouble=t) for t in ("stableunready", "away10s", "takeover")),
    Case(0.0, 1, direct=True, trouble="crashloop"),
    *(
        Case(failing, scrape_s, direct, past=past)
        for scrape_s in (1, 15)
        for direct, past in ((True, True), (True, False), (False, False))
        for failing in (1.0, 0.5, 0.05)
    ),
)
"""Those of one scrape interval one after the other: Prometheus restarts in between, and forgets.

Of these, those with a past likewise: it is made once.
"""


def figures(
    answers: Sequence[Mapping[str, Any]], off_s: float | None, decided_s: float | None
) -> dict[str, float | int | None]:
    """Return a run's figures, in seconds since the first failed answer.

    Args:
        answers: Of the client, from the moment on when it began to poison.
        off_s: When the route said 0 for the candidate; None if it never did.
        decided_s: When the operator began to act; None if its log does not say.
    """
    bad = [a for a in answers if a["status"] != OK]
    if not bad:
        return {"failed": 0, "decided_s": None, "route_s": None, "last_failed_s": None}
    first_s = min(float(a["answered_s"]) for a in bad)
    last_s = max(float(a["answered_s"]) for a in bad)
    return {
        "failed": len(bad),
        "decided_s": None if decided_s is None else round(decided_s - first_s, 3),
        "route_s": None if off_s is None else round(off_s - first_s, 3),
        "last_failed_s": round(last_s - first_s, 3),
    }


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return median and range of each figure over the runs of a case."""
    found: dict[str, Any] = {"runs": len(runs)}
    for key in ("decided_s", "route_s", "last_failed_s", "failed"):
        values = [run[key] for run in runs if run[key] is not None]
        if len(values) < len(runs):
            found[f"{key}_missing"] = len(runs) - len(values)
        if values:
            found[key] = {
                "median": round(statistics.median(values), 3),
                "least": min(values),
                "most": max(values),
            }
    return found


def table(done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return where the time goes, a line per case: medians, one part after the other."""
    columns = ("runs", "seen, decided", "written", "gateway", "failed")
    lines = [f"{'case':28}" + "".join(f"{column:>15}" for column in columns)]
    for name, found in done.items():
        decided, route, last, failed = (
            found.get(key, {}).get("median")
            for key in ("decided_s", "route_s", "last_failed_s", "failed")
        )
        cells = (found["runs"], decided, _gap(decided, route), _gap(route, last), failed)
        lines.append(f"{name:28}" + "".join(f"{'-' if c is None else c:>15}" for c in cells))
    return lines


def _gap(begin_s: float | None, end_s: float | None) -> float | None:
    return None if begin_s is None or end_s is None else round(end_s - begin_s, 2)
