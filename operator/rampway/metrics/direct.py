"""A direct look: the counters of a few pods, read from the pods themselves.

With scrape intervals of 15 to 30 s the scrape dominates every rollback. While a step runs the
operator reads the same counters about once a second; Prometheus stays the ledger, and the source
after a restart.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import structlog
from prometheus_client.parser import text_string_to_metric_families

from rampway.core.checks.counters import Counter, Scrape
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.counted import scrapes_of
from rampway.metrics.profiles import RAMPWAY, Profile
from rampway.metrics.reading import Series, assemble

DEADLINE_S = 0.8
"""A pod that has not answered by then is left to Prometheus; the next second asks again."""
LONGEST_PAGE = 1024 * 1024
AT_ONCE = 20
SILENCES = 3
"""A pod that has not answered so often in a row is let be for a while: others wait for it too."""
LET_BE_S = 5.0
_NO_ANSWER = (
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    LookupError,
    MetricsUnavailable,
)

log = structlog.get_logger("rampway.direct")


@dataclass(frozen=True, slots=True)
class Target:
    """One pod that serves a revision.

    Attributes:
        revision: Name of the revision, as the series name it.
        address: IP address of the pod.
        counters: Counters of users that it may tell of too.
    """

    namespace: str
    revision: str
    pod: str
    address: str
    counters: tuple[Counter, ...] = ()


@dataclass(frozen=True, slots=True)
class _Silent:
    """How often in a row a pod has not answered in time, and when last (epoch seconds)."""

    times: int
    at_s: float


class PodReader(Protocol):
    """Reads counters from pods."""

    async def scrapes(self, targets: Sequence[Target]) -> tuple[Scrape, ...]:
        """Return what those pods say that answer; one that does not is no error."""
        ...


class HttpPodReader:
    """Reads `/metrics` of pods by HTTP.

    Args:
        session: For all requests.
        port: Where the model server serves its metrics.
        clock: Seconds since the epoch: the time of a scrape.
        told: Hears of every read: `ok`, or the kind of error.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        port: int,
        clock: Callable[[], float],
        profile: Profile = RAMPWAY,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._port = port
        self._clock = clock
        self._profile = profile
        self._told = told
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._silent: dict[str, _Silent] = {}

    async def scrapes(self, targets: Sequence[Target]) -> tuple[Scrape, ...]:
        """Return what those pods say that answer in time with a page of reasonable length."""
        now_s = self._clock()
        self._silent = {
            address: silent
            for address, silent in self._silent.items()
            if now_s - silent.at_s < 2 * LET_BE_S
        }
        asked = [target for target in targets if not self._is_let_be(target.address, now_s)]
        found = await asyncio.gather(*(self._one(target) for target in asked))
        return tuple(scrape for scrapes in found for scrape in scrapes)

    def _is_let_be(self, address: str, now_s: float) -> bool:
        silent = self._silent.get(address)
        return silent is not None and silent.times >= SILENCES and now_s - silent.at_s < LET_BE_S

    async def _one(self, target: Target) -> list[Scrape]:
        host = f"[{target.address}]" if ":" in target.address else target.address
        try:
            async with self._limit, asyncio.timeout(DEADLINE_S):
                url = f"http://{host}:{self._port}/metrics"
                async with self._session.get(url) as answer:
                    answer.raise_for_status()
                    page = await _read(answer.content)
            found = read_page(page, target, self._clock(), self._profile)
        except _NO_ANSWER as error:
            log.debug("pod not read", namespace=target.namespace, pod=target.pod, why=repr(error))
            self._told(type(error).__name__)
            if isinstance(error, TimeoutError):
                before = self._silent.get(target.address)
                times = before.times + 1 if before else 1
                self._silent[target.address] = _Silent(times, self._clock())
            return []
        self._silent.pop(target.address, None)
        self._told("ok")
        return found


async def _read(content: aiohttp.StreamReader) -> str:
    page = b""
    async for chunk in content.iter_any():
        page += chunk
        if len(page) > LONGEST_PAGE:
            raise ValueError(f"a page of more than {LONGEST_PAGE} bytes")
    return page.decode()


def read_page(page: str, target: Target, at_s: float, profile: Profile) -> list[Scrape]:
    """Return the scrape that a page of metrics in Prometheus's text format makes.

    Raises:
        ValueError, LookupError: the page is not in that format.
    """
    users = [counter.metric for counter in target.counters]
    names = (profile.requests, profile.buckets, profile.started, *users)
    # Only the lines that count: the parser takes most of the time, and needs no types.
    lines = [line for line in page.splitlines() if line.startswith(names)]
    where = {"namespace": target.namespace, "pod": target.pod}
    series: list[Series] = [
        ({**sample.labels, **where, "__name__": sample.name}, [(at_s, float(sample.value))])
        for family in text_string_to_metric_families("\n".join(lines) + "\n")
        for sample in family.samples
    ]
    found = assemble(series, profile)
    found += scrapes_of(series, target.counters, [target.revision], profile.started)
    return [scrape.seen_directly() for scrape in found if scrape.revision == target.revision]
