"""From the client's answers to the figures that the demo ends with: pure."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from demo.load import Answer

SLOW_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Result:
    """The demo's last line. Durations in seconds, None where there was nothing to measure."""

    promoted: bool
    promotion_s: float | None
    promotion_failed_requests: int
    rolled_back_errors: bool
    errors_rollback_s: float | None
    errors_failed_requests: int
    rolled_back_slow: bool
    slow_rollback_s: float | None

    def line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    def broken_promises(self) -> list[str]:
        """Return what came out other than promised, a sentence each."""
        promises = {
            "v2 was not promoted": self.promoted,
            f"{self.promotion_failed_requests} requests failed while v2 was rolled out, "
            "expected none": self.promotion_failed_requests == 0,
            "v3, which raises on some digits, was not rolled back": self.rolled_back_errors,
            "v4, which is slow, was not rolled back": self.rolled_back_slow,
        }
        return [sentence for sentence, kept in promises.items() if not kept]


def percentile(values: Iterable[float], quantile: float) -> float:
    """Return the smallest value that at least the share `quantile` of all does not exceed.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values to take a percentile of; expected at least one answer")
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


def since(answers: Iterable[Answer], from_s: float, until_s: float = math.inf) -> list[Answer]:
    """Return the answers to requests sent from `from_s` until before `until_s`."""
    return [answer for answer in answers if from_s <= answer.sent_s < until_s]


def by_revision(answers: Iterable[Answer], revision: str) -> list[Answer]:
    """Return the answers that one revision gave, failures that it signed included."""
    return [answer for answer in answers if answer.revision == revision]


def failed(answers: Iterable[Answer]) -> list[Answer]:
    """Return the requests that got no prediction, whoever is to blame."""
    return [answer for answer in answers if answer.failed]


def slower(answers: Iterable[Answer], limit_ms: float) -> list[Answer]:
    """Return the answers that took longer than `limit_ms`."""
    return [answer for answer in answers if answer.latency_ms > limit_ms]


def span_s(bad: Sequence[Answer]) -> float | None:
    """Return the time from the first bad answer to the last, in seconds; None without any."""
    if not bad:
        return None
    instants = [answer.answered_s for answer in bad]
    return round(max(instants) - min(instants), 2)


def takeover_s(answers: Iterable[Answer], begun_s: float, revision: str) -> float | None:
    """Return how long after `begun_s` another revision answered last; None if nothing did.

    It is the time from `kubectl apply` until every answer comes from `revision`.
    """
    others = [a for a in answers if a.revision not in {"", revision} and a.sent_s >= begun_s]
    if not others:
        return None
    return round(max(answer.answered_s for answer in others) - begun_s, 2)


def table(answers: Sequence[Answer], names: dict[str, str]) -> list[str]:
    """Return a line per revision: how many answers, failures, right ones, and how fast.

    `names` gives the version to show for a revision; the others are not shown by version.
    """
    lines = [f"{'':12} {'answers':>8} {'failed':>7} {'right':>7} {'p50 ms':>7} {'p99 ms':>7}"]
    for revision in sorted({answer.revision for answer in answers}, key=lambda r: names.get(r, r)):
        mine = by_revision(answers, revision)
        good = [answer.latency_ms for answer in mine if not answer.failed]
        name = names.get(revision, revision or "(nobody)")
        share = sum(answer.right for answer in mine) / len(mine)
        p50, p99 = (f"{percentile(good, q):.1f}" if good else "-" for q in (0.5, SLOW_QUANTILE))
        counts = f"{len(mine):8} {len(failed(mine)):7} {share:7.1%}"
        lines.append(f"{name:12} {counts} {p50:>7} {p99:>7}")
    return lines
