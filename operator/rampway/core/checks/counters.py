"""What one scrape of one pod said, and what the pods of a revision counted between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rampway.core.evidence import UNTOLD, Histogram

PodKey = tuple[str, str, str]
"""Namespace and name of a pod; and for users' counters the revision that they tell of, else empty:
a pod of theirs may count for both."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of a user's own: all series of this name with these labels.

    Attributes:
        labels: Names and values.
        by: Label each value of which is counted apart too, as a slice; empty: none is.
    """

    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    by: str = ""

    def __str__(self) -> str:
        """Write it as PromQL does."""
        pairs = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.metric}{{{pairs}}}" if pairs else self.metric

    def of(self, value: str) -> str:
        """Return what the count of a slice is called; of the whole for an empty value."""
        return f"{self} {self.by}={value}" if value else str(self)

    def slice_of(self, name: str) -> str:
        """Return which slice is counted under a name, empty if none of this counter's."""
        begins = f"{self} {self.by}="
        return name.removeprefix(begins) if self.by and name.startswith(begins) else ""


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
        buckets: Requests so far by how long they took; empty where no check needs them.
        direct: Read from the pod itself, not from Prometheus.
        counters: Counters of users, by what they are called (`str(Counter)`, `Counter.of`). A
            scrape has either them or the model server's own, as they may be told by other pods.
    """

    namespace: str
    revision: str
    pod: str
    at_s: float
    started_at_s: float
    outcomes: Mapping[str, int]
    buckets: Histogram = UNTOLD
    direct: bool = False
    counters: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> PodKey:
        """Whose counters these are."""
        return self.namespace, self.pod, self.revision if self.counters else ""

    @property
    def timed(self) -> int:
        """Requests in its histogram; none where it has none."""
        return self.buckets.total

    def seen_directly(self) -> "Scrape":
        """Return the same as read from the pod itself."""
        return replace(self, direct=True)
