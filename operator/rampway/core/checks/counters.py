"""What one scrape of one pod said, and what the pods of a revision counted between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Scrape:
    """All counters of one pod from one scrape: requests and events of the same instant.

    Attributes:
        namespace: Namespace of the pod, as Prometheus attached it.
        revision: Name of the revision, `<model deployment>-<hash>`.
        pod: Name of the pod.
        at_s: Time of the scrape, seconds since the epoch.
        started_at_s: Start of the serving process, seconds since the epoch. A new value is the
            only accepted reason for counters to begin again at zero.
        outcomes: Answers so far by outcome (`ok`, `client_error`, `model_error`,
            `server_error`), first attempts only: a retry is not a new question.
        buckets: Requests so far that took at most so many seconds, `(bound_s, count)`, bounds
            ascending, the last one infinity; empty where no check needs them.
        direct: Read from the pod itself, not from Prometheus.
    """

    namespace: str
    revision: str
    pod: str
    at_s: float
    started_at_s: float
    outcomes: Mapping[str, int]
    buckets: tuple[tuple[float, int], ...] = field(default=())
    direct: bool = False

    def seen_directly(self) -> "Scrape":
        """Return the same as read from the pod itself."""
        return replace(self, direct=True)
