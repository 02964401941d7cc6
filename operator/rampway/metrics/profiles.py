"""Names of the series that a runtime's model server exposes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Series of one runtime; all carry the label `revision`, the start time excepted."""

    requests: str
    buckets: str
    started: str


RAMPWAY = Profile(
    requests="rampway_requests_total",
    buckets="rampway_request_duration_seconds_bucket",
    started="process_start_time_seconds",
)
