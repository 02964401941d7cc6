"""Plays the counters of thousands of model servers, and serves them to Prometheus.

Each pod has the series that a real model server has and our Prometheus keeps: a page of the
server's own metrics is the template, so that names and labels cannot drift apart. How many
requests a revision gets is told by the route's weights, as the bench's gateway reads them.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from aiohttp import web

from rampway_server.lineage import Lineage
from rampway_server.metrics import CONTENT_TYPE, Metrics

SHARDS = 10
"""Pages that together hold all pods: Prometheus spreads their scrapes over its interval."""
ERROR_SHARE = 0.002
"""Of all answers, of stable and of candidates alike; their number is left to chance."""
MEDIAN_S, SPREAD = 0.040, 0.5
"""Durations are log-normal."""
KEPT = re.compile(rb"(rampway_\w+|process_start_time_seconds)(\{[^}]*\})? ")
"""What `metric_relabel_configs` of manifests/overlays/prometheus keeps."""
_MODEL, _REVISION = "MODEL", "REVISION"
Value = Callable[["Pod"], int]


def cumulative(bound_s: float) -> float:
    """Return which share of the answers takes at most so long."""
    if math.isinf(bound_s):
        return 1.0
    return 0.5 * (1 + math.erf(math.log(bound_s / MEDIAN_S) / (SPREAD * math.sqrt(2))))


@dataclass(slots=True)
class Pod:
    """Counters of one pod.

    Attributes:
        page: Its series, with a place for each value.
        at_s: Until when requests were counted.
        rate_per_s: Requests that it gets now.
        requests: Answered so far; a fraction is on its way.
        failed: Of those, with an error of the model.
        lost: Of those, since it turned bad.
    """

    page: bytes
    started_s: float
    at_s: float
    rate_per_s: float = 0.0
    requests: float = 0.0
    failed: int = 0
    lost: int = 0
    bad: bool = False

    def advance(self, now_s: float, dice: Random) -> None:
        """Count what was answered until now."""
        before = int(self.requests)
        self.requests += self.rate_per_s * max(0.0, now_s - self.at_s)
        self.at_s = max(now_s, self.at_s)
        new = int(self.requests) - before
        if self.bad:
            self.failed += new
            self.lost += new
        else:
            self.failed += min(new, poisson(new * ERROR_SHARE, dice))

    @property
    def answered(self) -> int:
        """Requests answered so far."""
        return int(self.requests)


def poisson(mean: float, dice: Random) -> int:
    """Return a Poisson number, for small means (Knuth, TAOCP 2, 3.4.1)."""
    bound, product, found = math.exp(-mean), dice.random(), 0
    while product > bound:
        product *= dice.random()
        found += 1
    return found


def template() -> tuple[bytes, tuple[Value, ...]]:
    """Return the page of one pod with `%d` for each value, and what each value is."""
    metrics = Metrics()
    metrics.meters(_MODEL, _REVISION).loaded("1", "0" * 64, Lineage())
    lines, values = [], []
    for line in metrics.render().splitlines():
        found = KEPT.match(line)
        if found:
            labels = (found[2] or b"{}")[1:-1]
            more = b"," if labels else b""
            lines.append(b'%b{namespace="NAMESPACE",pod="POD"%b%b} %%d\n'
                         % (found[1], more, labels))  # fmt: skip
            values.append(_value(found[1].decode(), labels.decode()))
    return b"".join(lines), tuple(values)


def _value(name: str, labels: str) -> Value:
    """Return what a series of a model server counts, as this exporter plays it."""
    known = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    if name == "rampway_requests_total":
        wanted = known["outcome"] if known["attempt"] == "first" else ""
        return {"ok": lambda pod: pod.answered - pod.failed,
                "model_error": lambda pod: pod.failed}.get(wanted, lambda _: 0)  # fmt: skip
    if name == "rampway_request_duration_seconds_bucket":
        share = cumulative(float(known["le"]))
        return lambda pod: int(share * pod.answered)
    mean_s = MEDIAN_S * math.exp(SPREAD**2 / 2)
    others: dict[str, Value] = {
        "rampway_request_duration_seconds_count": lambda pod: pod.answered,
        "rampway_request_duration_seconds_sum": lambda pod: int(mean_s * pod.answered),
        "rampway_model_info": lambda _: 1,
        "process_start_time_seconds": lambda pod: int(pod.started_s),
    }
    return others.get(name, lambda _: 0)  # nobody reads them here


@dataclass(slots=True)
class Exporter:
    """All pods, by revision.

    Attributes:
        failing_s: When a scrape first saw a failed answer of a revision that had turned bad.
        scrapes: Pages served so far.
    """

    clock: Callable[[], float] = time.time
    dice: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - plays traffic
    failing_s: dict[str, float] = field(default_factory=dict)
    scrapes: int = 0
    _pods: dict[str, list[Pod]] = field(default_factory=dict)
    _shards: list[dict[str, list[Pod]]] = field(default_factory=lambda: [{} for _ in range(SHARDS)])
    _template: tuple[bytes, tuple[Value, ...]] = field(default_factory=template)
    _made: int = 0

    @property
    def pods(self) -> int:
        """How many pods there are."""
        return sum(len(pods) for pods in self._pods.values())

    def add(self, namespace: str, model: str, revision: str, pods: int) -> None:
        """Let a revision have pods, without any request so far."""
        now_s = self.clock()
        self._pods[revision] = []
        for number in range(pods):
            names = {b"NAMESPACE": namespace, b"POD": f"{revision}-{number}", b"MODEL": model,
                     b"REVISION": revision}  # fmt: skip
            page = self._template[0]
            for place, name in names.items():
                page = page.replace(b'"%b"' % place, b'"%b"' % name.encode())
            pod = Pod(page, started_s=now_s, at_s=now_s)
            self._pods[revision].append(pod)
            self._shards[self._made % SHARDS].setdefault(revision, []).append(pod)
            self._made += 1

    def drop(self, revision: str) -> None:
        """Let a revision's pods be gone."""
        self._pods.pop(revision, None)
        for shard in self._shards:
            shard.pop(revision, None)

    def split(self, rates_per_s: Mapping[str, float]) -> None:
        """Give revisions so many requests a second from now on; unknown ones are left out."""
        now_s = self.clock()
        for revision, rate_per_s in rates_per_s.items():
            pods = self._pods.get(revision, [])
            for pod in pods:
                pod.advance(now_s, self.dice)
                pod.rate_per_s = rate_per_s / len(pods)

    def turn(self, revision: str) -> float:
        """Let all answers of a revision fail from now on; return the time."""
        now_s = self.clock()
        for pod in self._pods[revision]:
            pod.advance(now_s, self.dice)
            pod.bad = True
        return now_s

    def page(self, shard: int) -> bytes:
        """Return the metrics of a share of the pods, in Prometheus's text format."""
        now_s, values = self.clock(), self._template[1]
        parts = []
        for revision, pods in self._shards[shard].items():
            for pod in pods:
                pod.advance(now_s, self.dice)
                parts.append(pod.page % tuple([value(pod) for value in values]))
                if pod.lost:
                    self.failing_s.setdefault(revision, now_s)
        self.scrapes += 1
        return b"".join(parts)

    async def serve(self, host: str) -> tuple[web.AppRunner, int]:
        """Serve the pages at /0, /1 …; return the runner, to be cleaned up, and the port."""

        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(0)
            body = self.page(int(request.match_info["shard"]))
            return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

        app = web.Application()
        app.add_routes([web.get(rf"/{{shard:[0-{SHARDS - 1}]}}", answer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, 0)
        await site.start()
        return runner, int(runner.addresses[0][1])
