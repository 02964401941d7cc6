"""Names of the series that a runtime's model server exposes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Series of one runtime.

    Attributes:
        requests: Counter of answers by `revision`, `outcome` and, where known, `attempt`.
        buckets: Histogram of durations by `revision` and `le`, classic buckets.
        started: Start of the serving process, seconds since the epoch; it names no revision.
        labels: What the server itself says in its labels. All others are of the target, as
            Prometheus attached them, and tell which series come from the same scrape.
    """

    requests: str
    buckets: str
    started: str
    labels: frozenset[str]


RAMPWAY = Profile(
    requests="rampway_requests_total",
    buckets="rampway_request_duration_seconds_bucket",
    started="process_start_time_seconds",
    labels=frozenset({"__name__", "model", "revision", "outcome", "attempt", "le"}),
)
