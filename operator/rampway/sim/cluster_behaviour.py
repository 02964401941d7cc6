"""What the pods of a revision do: how they start, answer, crash; and what the cluster is like."""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache


def bucket_bounds_s() -> tuple[float, ...]:
    """Return the model server's bucket bounds: from 1 ms to 10 s, each 1.2 times the one before."""
    bounds, bound_s = [], 0.001
    while bound_s < 10:  # noqa: PLR2004 - the last bound is exactly 10 s
        bounds.append(float(f"{bound_s:.3g}"))
        bound_s *= 1.2
    return (*bounds, 10.0)


BOUNDS_S = bucket_bounds_s()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the pods of one revision behave.

    Every instant (`…_at_s`, `…_until_s`, `from_s`) counts in seconds since the simulation began;
    durations have their own beginning, named below.

    Attributes:
        startup_s: From the start of a container until it has loaded the model and is ready.
        never_ready: It runs, and its readiness probe fails for ever.
        unready_until_s: Until then the readiness probe of running containers fails.
        fails_to_load: The server's last words; it ends with exit code 1 after `startup_s`.
        image_pull_error: The kubelet's words; the image cannot be pulled.
        missing_secret: Name of a Secret that the container needs and that is not there.
        unschedulable_until_s: Until then no node takes its pods.
        unschedulable_words: The scheduler's words for that.
        quota_message: The API server's words; no pod can be made at all.
        sha256: Digest of the bytes it loads; empty: what the template demands, else one of the URI.
        capacity_per_s: Requests per second that one pod can answer; beyond, 503.
        median_s: Median of the latency, which is lognormal.
        sigma: Standard deviation of the latency's natural logarithm.
        base_error_rate: Share of answers that are `model_error`, also before `from_s`.
        from_s: The harms below begin then.
        error_rate: Share of answers that are `model_error`.
        client_error_rate: Share of answers that are `client_error`.
        slowdown: Every latency times this.
        cold_requests: A process's first requests, so many, are slower still: by `cold_slowdown`.
        base_order_rate: Share of answers that come to an order, also before `from_s`.
        order_rate: Likewise from then on; None: as before.
        regions: Shares of the visits by their label `region`; none: they have no such label.
        order_rate_in: The one region that `order_rate` holds for; empty: for all.
        crash_every_s: A container crashes so long after it became ready.
        crash_after_requests: A container crashes when it has answered so many.
        oom_after_requests: A container is OOM-killed when it has answered so many.
        crash_at_s: At each of these instants one container crashes.
        oom_at_s: At each of these instants one container is OOM-killed.
    """

    startup_s: float = 3.0
    never_ready: bool = False
    unready_until_s: float = -math.inf
    fails_to_load: str = ""
    image_pull_error: str = ""
    missing_secret: str = ""
    unschedulable_until_s: float = -math.inf
    unschedulable_words: str = "0/3 nodes are available: 3 Insufficient memory."
    quota_message: str = ""
    sha256: str = ""
    capacity_per_s: float = math.inf
    median_s: float = 0.02
    sigma: float = 0.4
    base_error_rate: float = 0.0
    from_s: float = -math.inf
    error_rate: float = 0.0
    client_error_rate: float = 0.0
    slowdown: float = 1.0
    cold_requests: int = 0
    cold_slowdown: float = 1.0
    base_order_rate: float = 0.0
    order_rate: float | None = None
    regions: tuple[tuple[str, float], ...] = ()
    order_rate_in: str = ""
    crash_every_s: float = math.inf
    crash_after_requests: float = math.inf
    oom_after_requests: float = math.inf
    crash_at_s: tuple[float, ...] = ()
    oom_at_s: tuple[float, ...] = ()

    def at(self, elapsed_s: float) -> "Behaviour":
        """Return the behaviour in force: without its harms until they begin."""
        return self if elapsed_s >= self.from_s else _harmless(self)


@lru_cache(maxsize=256)
def _harmless(how: Behaviour) -> Behaviour:
    return replace(
        how,
        error_rate=0.0,
        client_error_rate=0.0,
        slowdown=1.0,
        order_rate=None,
        crash_every_s=math.inf,
        crash_after_requests=math.inf,
        oom_after_requests=math.inf,
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How fast the cluster around the operator is, and how large.

    Attributes:
        nodes: Names of the nodes.
        image_pull_s: From binding until the container starts.
        endpoints_delay_s: From a pod's readiness to the EndpointSlice.
        proxy_delay_s: From an EndpointSlice or an accepted route to the gateway's data plane.
        route_delay_s: From a change of an HTTPRoute to its status.
        drain_s: A deleted pod goes on serving so long, then it is gone.
        backoff_s: First pause before a crashed container is restarted; the very first restart
            comes at once, each later pause doubles up to 300 s.
        node_grace_s: From the last sign of life until a node is declared lost.
        toleration_s: From there until its pods are deleted.
        scrape_interval_s: Between two scrapes of a pod.
    """

    nodes: tuple[str, ...] = ("node-1", "node-2", "node-3")
    image_pull_s: float = 1.0
    endpoints_delay_s: float = 0.5
    proxy_delay_s: float = 0.5
    route_delay_s: float = 0.5
    drain_s: float = 6.0
    backoff_s: float = 10.0
    node_grace_s: float = 50.0
    toleration_s: float = 300.0
    scrape_interval_s: float = 5.0


@dataclass(slots=True)
class Behaviours:
    """The behaviour of each revision, by its hash; one may be changed at any time.

    Attributes:
        default: How a revision behaves that has no entry.
    """

    default: Behaviour = field(default_factory=Behaviour)
    by_hash: dict[str, Behaviour] = field(default_factory=dict)

    def of(self, revision_hash: str) -> Behaviour:
        """Return a revision's behaviour."""
        return self.by_hash.get(revision_hash, self.default)
