"""From the operator's own metrics and the rollouts' statuses to figures: pure."""

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

MIB = 1024 * 1024
LARGEST = 1000
"""The aims are about so many rollouts."""
REFERENCES = {
    "argo_rollouts_1.10_at_300": {
        "rss_mib": 168, "cores": 0.07, "api_requests_per_s": 37, "queries_per_s": 29,
        "after_restart": "none of five bad canaries was off within 60 s",
    },
    "flagger_1.44_at_300": {
        "api_requests_per_s": 493, "queries_per_s": 30,
        "at_default_limits": "stalls; rollback after 42 s",
    },
}  # fmt: skip
"""Checks every 10 s, KWOK pods, the same kind of machine; quoted, not measured here."""
AIMS = {
    "rss_most_mib": 250.0, "cores": 0.3, "api_requests_per_s": 20.0, "queries_per_s": 5.0,
}  # fmt: skip
"""At most so much at 1 000 rollouts while nothing changes."""
SLOWER = 2.0
"""A rollback at 1 000 rollouts may take so many times as long as at 1."""
TRAFFIC = re.compile(r"\bof [1-9]\d* requests")
"""How a paired check tells that it has seen the candidate answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how: a result counts as done only under the same settings."""

    window_s: float = 90.0
    settle_s: float = 60.0
    victims: int = 5
    scrape_s: int = 15
    look_s: int = 10

    def settings(self) -> dict[str, Any]:
        """Return the settings as they stand in a result."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Page:
    """What a program's /metrics said at one moment.

    Attributes:
        at_s: When it was read, seconds since the epoch.
        samples: Values by name and labels.
    """

    at_s: float
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def read(cls, text: str, at_s: float) -> "Page":
        """Read a page in Prometheus's text format."""
        return cls(at_s, {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        })  # fmt: skip

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series that have these labels; 0 without any."""
        wanted = labels.items()
        return sum(v for (n, have), v in self.samples.items() if n == name and wanted <= have)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums of a metric's series by the values of one label."""
        found: dict[str, float] = {}
        for (n, have), value in self.samples.items():
            if n == name:
                of = dict(have).get(label, "")
                found[of] = found.get(of, 0.0) + value
        return found

    def least(self, name: str, share: float, earlier: "Page | None" = None) -> float | None:
        """Return the smallest bound of a histogram that this share of its observations keeps."""
        buckets = self.by(f"{name}_bucket", "le")
        before = earlier.by(f"{name}_bucket", "le") if earlier else {}
        counts = sorted((float(le), n - before.get(le, 0.0)) for le, n in buckets.items())
        if not counts or not counts[-1][1]:
            return None
        return next(bound for bound, count in counts if count >= share * counts[-1][1])


def rates(before: Page, after: Page, name: str, label: str) -> dict[str, float]:
    """Return by how much a counter rose each second between two pages, by a label."""
    passed_s, earlier = after.at_s - before.at_s, before.by(name, label)
    rose = {k: (v - earlier.get(k, 0.0)) / passed_s for k, v in after.by(name, label).items()}
    return {key: round(value, 3) for key, value in sorted(rose.items()) if value}


def cores(before: Page, after: Page) -> float:
    """Return how many processors a program used between two of its pages."""
    name = "process_cpu_seconds_total"
    used_s = after.total(name) - before.total(name)
    return round(used_s / (after.at_s - before.at_s), 4)


def rss_mib(page: Page) -> float:
    """Return a program's resident memory."""
    return round(page.total("process_resident_memory_bytes") / MIB, 1)


def mean_s(name: str, before: Page | None, after: Page) -> dict[str, float | int | None]:
    """Return the mean of what a histogram observed between two pages, and how often it did."""
    begun = {k: before.total(f"{name}_{k}") if before else 0.0 for k in ("count", "sum")}
    count = after.total(f"{name}_count") - begun["count"]
    total_s = after.total(f"{name}_sum") - begun["sum"]
    return {"mean_s": round(total_s / count, 4) if count else None, "count": round(count)}


def operators(before: Sequence[Page], after: Sequence[Page]) -> dict[str, Any]:
    """Return what the operator used in a window: its leader, and the others beside it.

    Args:
        before: Pages of its processes at the begin, the leader's first.
        after: The same at the end, in the same order.
    """
    verbs: dict[str, float] = {}
    for one, other in zip(before, after, strict=True):
        for verb, rate in rates(one, other, "rampway_api_requests_total", "verb").items():
            verbs[verb] = verbs.get(verb, 0.0) + rate
    queries = rates(before[0], after[0], "rampway_metrics_queries_total", "result")
    answers = rates(before[0], after[0], "rampway_metrics_answer_bytes_total", "")
    waits = "rampway_queue_wait_seconds"
    return {
        "cores": cores(before[0], after[0]),
        "rss_mib": rss_mib(after[0]),
        "others_cores": round(sum(map(cores, before[1:], after[1:])), 4),
        "others_rss_mib": round(sum(rss_mib(page) for page in after[1:]), 1),
        "api_requests_per_s": round(sum(verbs.values()), 2),
        "api_requests_per_s_by_verb": {k: round(v, 2) for k, v in sorted(verbs.items())},
        "leader_api_requests_per_s_by_kind": rates(
            before[0], after[0], "rampway_api_requests_total", "kind"
        ),
        "queries_per_s": round(sum(queries.values()), 2),
        "queries_per_s_by_result": queries,
        "answer_bytes_per_s": round(sum(answers.values())),
        "passes_per_s": rates(before[0], after[0], "rampway_reconciles_total", "result"),
        "queue_wait": mean_s(waits, before[0], after[0])
        | {"p99_below_s": _finite(after[0].least(waits, 0.99, before[0]))},
        "query_duration": mean_s("rampway_metrics_query_duration_seconds", before[0], after[0]),
    }


def prometheus(before: Page, after: Page) -> dict[str, Any]:
    """Return what Prometheus itself says of a window."""
    asked = rates(before, after, "prometheus_http_requests_total", "handler")
    return {
        "cores": cores(before, after),
        "rss_mib": rss_mib(after),
        "series": round(after.total("prometheus_tsdb_head_series")),
        "queries_per_s": round(asked.get("/api/v1/query", 0.0), 2),
    }


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has."""
    return None if value is None or math.isinf(value) else value


def verdicts(rollouts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many checks of active rollouts answer what, and have seen no request."""
    states: dict[str, Counter[str]] = {}
    silent = number = 0
    for rollout in rollouts:
        number += 1
        for check in rollout["checks"]:
            states.setdefault(check["name"], Counter())[check["state"]] += 1
            # A threshold that passes has had a value, hence traffic: its query says min.
            told = TRAFFIC.search(check["message"]) or check["state"] == "Pass"
            silent += not told
    return {
        "rollouts": number,
        "states": {name: dict(sorted(found.items())) for name, found in sorted(states.items())},
        "without_traffic": silent,
        "without_verdict": sum(n for found in states.values() for state, n in found.items()
                               if state not in {"Pass", "Fail"}),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rollback:
    """One candidate that went bad.

    Attributes:
        turned_s: When its answers began to fail.
        sampled_s: When Prometheus first took a sample that says so; None if it never did.
        off_s: When the route gave it nothing any more; None if that was waited for in vain.
    """

    turned_s: float
    sampled_s: float | None
    off_s: float | None


def rollbacks(found: Sequence[Rollback]) -> dict[str, Any]:
    """Return median and range of how long it took, since the turn and since the first sample."""
    since = {
        "from_first_failing_sample_s": [
            one.off_s - one.sampled_s for one in found if one.off_s and one.sampled_s
        ],
        "from_turning_bad_s": [one.off_s - one.turned_s for one in found if one.off_s],
    }
    shown: dict[str, Any] = {
        "candidates": len(found),
        "not_off": sum(one.off_s is None for one in found),
    }
    for name, values in since.items():
        if values:
            shown[name] = {
                "median": round(statistics.median(values), 2),
                "least": round(min(values), 2),
                "most": round(max(values), 2),
            }
    return shown


def aims(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return each aim with what was measured and whether it is met; None where nothing was."""
    largest, one = cases.get(f"rollouts_{LARGEST}"), cases.get("rollouts_1")
    used = largest["operator"] if largest else {}
    found = {name: _aim(used.get(name), most) for name, most in AIMS.items()}
    base_s = _median_s(one, "rollback")
    for name in ("rollback", "rollback_after_restart"):
        most_s = None if base_s is None else SLOWER * base_s
        found[f"{name}_s"] = _aim(_median_s(largest, name), most_s)
    if largest:
        seen = largest["checks"]
        found["checks_without_traffic_or_verdict"] = _aim(
            max(seen["without_traffic"], seen["without_verdict"]), 0
        )
    return found


def _median_s(case: Mapping[str, Any] | None, name: str) -> float | None:
    """Return how long a rollback took; for ever if one candidate stayed."""
    if case is None:
        return None
    found = case[name]
    if found["not_off"]:
        return math.inf
    median: float = found["from_first_failing_sample_s"]["median"]
    return median


def _aim(measured: float | None, at_most: float | None) -> dict[str, Any]:
    met = None if measured is None or at_most is None else measured <= at_most
    limits = {"at_most": at_most, "measured": measured}
    return {key: _finite(value) for key, value in limits.items()} | {"met": met}
