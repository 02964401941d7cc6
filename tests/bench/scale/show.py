"""The figures as tables for a reader: pure."""

from collections.abc import Mapping
from typing import Any

ROWS = (
    ("operator, cores", "operator.cores"),
    ("operator, MiB", "operator.rss_most_mib"),
    ("its replica, cores", "operator.others_cores"),
    ("its replica, MiB", "operator.others_rss_mib"),
    ("API requests/s", "operator.api_requests_per_s"),
    ("Prometheus queries/s", "operator.queries_per_s"),
    ("Prometheus bytes/s", "operator.answer_bytes_per_s"),
    ("mean wait in the queue, s", "operator.queue_wait.mean_s"),
    ("decision, s", "rollback.decision.mean_s"),
    ("bad: off after, s (median)", "rollback.from_first_failing_sample_s.median"),
    ("bad: off after, s (most)", "rollback.from_first_failing_sample_s.most"),
    ("bad: never off", "rollback.not_off"),
    ("… after a restart (median)", "rollback_after_restart.from_first_failing_sample_s.median"),
    ("… after a restart (most)", "rollback_after_restart.from_first_failing_sample_s.most"),
    ("… never off", "rollback_after_restart.not_off"),
    ("checks without traffic", "checks.without_traffic"),
    ("checks without verdict", "checks.without_verdict"),
    ("start-up, s", "start.start_s"),
    ("MiB after start-up", "start.rss_mib"),
)
"""What a table has: title, and path in a case's figures."""


def table(cases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the cases side by side, a line per figure; dashes where a case has none."""
    lines = [f"{'':28}" + "".join(f"{name:>15}" for name in cases)]
    for title, path in ROWS:
        cells = [at(found, path) for found in cases.values()]
        if any(cell is not None for cell in cells):
            shown = ("-" if cell is None else cell for cell in cells)
            lines.append(f"{title:28}" + "".join(f"{cell:>15}" for cell in shown))
    verbs = sorted({
        verb for found in cases.values() for verb in found["operator"]["api_requests_per_s_by_verb"]
    })  # fmt: skip
    for verb in verbs:
        values = (found["operator"]["api_requests_per_s_by_verb"].get(verb, 0.0)
                  for found in cases.values())  # fmt: skip
        lines.append(f"  {verb + ' requests/s':26}" + "".join(f"{cell:>15}" for cell in values))
    return lines


def at(found: Mapping[str, Any], path: str) -> Any:
    """Return what lies at a dotted path, None if there is nothing."""
    value: Any = found
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def aims_table(aims: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line per aim: what was measured, what is allowed, whether it is met."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    lines = ["aims at 1000 rollouts, while nothing changes unless it is a rollback:"]
    for name, aim in aims.items():
        measured, most = ("-" if aim[key] is None else f"{aim[key]:g}"
                          for key in ("measured", "at_most"))  # fmt: skip
        lines.append(f"  {name:36}{measured:>10} of at most {most:>8}: {words[aim['met']]}")
    return lines
