"""One simulated pod: where its container is, and what its server counted."""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random

from rampway.core.checks.counters import Counter, Scrape
from rampway.core.evidence import Histogram
from rampway.sim.cluster_behaviour import BOUNDS_S, Behaviour
from rampway.sim.traffic import binomial, latency_cells, multinomial, spread

OUTCOMES = ("ok", "client_error", "model_error", "server_error")
VISITS = Counter("shop_visits_total", by="region")
ORDERS = Counter("shop_orders_total", by="region")
"""What pods count for their users."""
_BOUNDS = (*BOUNDS_S, float("inf"))


class Stage(StrEnum):
    """Where the pod's one container is."""

    UNSCHEDULED = "Unscheduled"
    CREATING = "Creating"
    STUCK = "Stuck"
    RUNNING = "Running"
    ENDED = "Ended"
    BACKING_OFF = "BackingOff"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container ended; instants in seconds since the Unix epoch."""

    reason: str
    exit_code: int
    started_at_s: float
    finished_at_s: float
    container_id: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a pod was made from: its Deployment's names and what matters of the template.

    Attributes:
        template: Identity of the template; another one makes other pods.
        image: Image of the server.
        demanded_sha256: Digest that the user demands, else empty.
        would_load_sha256: Digest of the bytes at the model's URI.
    """

    deployment: str
    revision: str
    template: str
    image: str
    demanded_sha256: str
    would_load_sha256: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod as an EndpointSlice shows it; `revision` is its hash."""

    pod: str
    uid: str
    revision: str
    ip: str
    node: str
    ready: bool
    serving: bool
    terminating: bool


@dataclass(slots=True)
class Counters:
    """What one serving process counted since its start."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    cells: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))
    of_users: dict[str, float] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All answered requests."""
        return sum(self.outcomes.values())

    def order(self, region: str, visits: int, orders: int) -> None:
        """Count what users do; there is no series before the first time."""
        for counter, more in ((VISITS, visits), (ORDERS, orders)):
            for name in {str(counter), counter.of(region)}:
                self.of_users[name] = self.of_users.get(name, 0.0) + more


@dataclass(slots=True)
class SimPod:
    """The private state of a pod; instants in seconds since the Unix epoch.

    Attributes:
        uid: The API server's, so that a namesake is known as another pod.
        labels: As on the object; Services select by them.
        ip: Its address.
        until_s: When the present stage has run its time.
        loaded_sha256: Digest of the bytes that the running server loaded.
        ends_at_s: When a deleted pod is gone, None if it is not deleted.
        severed: Its node is lost: no traffic, no scrapes, no news from the kubelet.
        disruption: Reason and message of DisruptionTarget, None without.
        written: The status last written, so that only changes are written.
        changed_s: By condition its status and since when it has it.
    """

    namespace: str
    name: str
    uid: str
    origin: Origin
    labels: dict[str, str]
    created_s: float
    ip: str
    stage: Stage = Stage.UNSCHEDULED
    node: str = ""
    words: tuple[str, str] = ("", "")
    until_s: float = 0.0
    ready: bool = False
    ready_s: float = 0.0
    started_s: float = 0.0
    restarts: int = 0
    scheduled_s: float = 0.0
    last: Ending | None = None
    loaded_sha256: str = ""
    ends_at_s: float | None = None
    severed: bool = False
    declared_lost: bool = False
    disruption: tuple[str, str] | None = None
    counters: Counters = field(default_factory=Counters)
    next_scrape_s: float = 0.0
    dirty: bool = True
    written: dict[str, object] = field(default_factory=dict)
    changed_s: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def serving(self) -> bool:
        """Whether a request that arrives is answered; a pod that drains still answers."""
        return self.ready and not self.severed

    @property
    def in_endpoints(self) -> bool:
        """Whether the endpoints controller gives it new requests."""
        return self.ready and self.ends_at_s is None and not self.declared_lost

    @property
    def endpoint(self) -> Endpoint | None:
        """How EndpointSlices show it; not at all before it has an address."""
        if self.stage in {Stage.UNSCHEDULED, Stage.CREATING}:
            return None
        return Endpoint(
            pod=self.name,
            uid=self.uid,
            revision=self.origin.revision,
            ip=self.ip,
            node=self.node,
            ready=self.in_endpoints,
            serving=self.ready and not self.declared_lost,
            terminating=self.ends_at_s is not None,
        )

    @property
    def container_id(self) -> str:
        """Id of the present container; each restart makes another one."""
        return f"containerd://{self.uid}-{self.restarts}"

    def answer(self, rng: Random, n: int, how: Behaviour, dt_s: float) -> dict[str, int]:
        """Answer n requests in one step, count them, and return those that failed by reason."""
        lives = min(how.crash_after_requests, how.oom_after_requests) - self.counters.requests
        heard = n if n <= lives else max(0, int(lives))
        room = how.capacity_per_s * dt_s
        taken = heard if heard <= room else round(room)
        outcomes, cells = self.counters.outcomes, self.counters.cells
        cold = min(taken, max(0, how.cold_requests - self.counters.requests))
        wrong = self._predict(rng, taken, how)
        median_s = how.median_s * how.slowdown
        spread(rng, cold, latency_cells(median_s * how.cold_slowdown, how.sigma), cells)
        spread(rng, taken - cold, latency_cells(median_s, how.sigma), cells)
        self._order(rng, taken, how)
        refused = heard - taken  # within less than a millisecond
        outcomes["server_error"] += refused
        cells[0] += refused
        return {"model_error": wrong, "server_error": refused, "no answer": n - heard}

    def _order(self, rng: Random, n: int, how: Behaviour) -> None:
        """Count the visits that answers belong to, and the orders that they come to."""
        if not n or not max(how.base_order_rate, how.order_rate or 0.0):
            return
        regions = how.regions or (("", 1.0),)
        visits = multinomial(rng, n, [share for _, share in regions])
        for (region, _), number in zip(regions, visits, strict=True):
            harmed = how.order_rate is not None and how.order_rate_in in {"", region}
            rate = how.order_rate if harmed else how.base_order_rate
            self.counters.order(region, number, binomial(rng, number, rate or 0.0))

    def _predict(self, rng: Random, n: int, how: Behaviour) -> int:
        """Count how n predictions ended, and return how many the model failed at."""
        outcomes = self.counters.outcomes
        error_rate = max(how.error_rate, how.base_error_rate)
        if not error_rate and not how.client_error_rate:
            outcomes["ok"] += n
            return 0
        fine = max(0.0, 1 - error_rate - how.client_error_rate)
        ok, clients, wrong = multinomial(rng, n, (fine, how.client_error_rate, error_rate))
        outcomes["ok"] += ok
        outcomes["client_error"] += clients
        outcomes["model_error"] += wrong
        return wrong

    def scrape(self, at_s: float) -> Scrape:
        """Return what Prometheus reads from it now, all counters of one instant."""
        return Scrape(
            namespace=self.namespace,
            revision=self.origin.deployment,
            pod=self.name,
            at_s=at_s,
            started_at_s=round(self.started_s, 2),
            outcomes=dict(self.counters.outcomes),
            buckets=Histogram.over(_BOUNDS, accumulate(self.counters.cells)),
            counters=dict(self.counters.of_users),
        )
