"""Evidence from Prometheus, read strictly: an answer is whole and of the right type, or none.

prometheus-api-client drops warnings, so a partial answer looks whole, and has no total deadline:
see docs/decisions/0001-prometheus-client.md.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past
from rampway.metrics.access import Access
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.counted import literal, matchers, scrapes_of
from rampway.metrics.profiles import RAMPWAY, Profile
from rampway.metrics.questions import Questions
from rampway.metrics.reading import (
    BadQuery,
    Series,
    assemble,
    data_of,
    read_matrix,
    understood,
)

Told = Callable[[str, float, int], None]
DEADLINE_S = 5.0
SERVERS_SHARE = 0.9
"""Prometheus is asked to give up before we do, so that it can say that it did."""
AT_ONCE = 20
LONGEST_ANSWER = 64 * 1024 * 1024
NAMES_PER_QUERY = 6000
"""Characters of namespaces and revisions in one query; with the rest it stays under 8 kB."""
POD_PREFIX = 46
"""Kubernetes cuts long names of ReplicaSets' pods; so much of a revision's name is always kept."""


class PrometheusSource:
    """Reads one Prometheus by its HTTP API; retries nothing, the next look is the retry.

    Args:
        url: Base address, for example http://prometheus:9090.
        deadline_s: Longest time of a query in all, waiting for its turn included.
        profile: Names of the series.
        token_file: File with a bearer token, read anew for each query as tokens are rotated.
        access: What each request bears, and whom it trusts.
        longest_answer: Bytes of an answer, unpacked, beyond which it is given up.
        told: Hears of every query: HTTP status, `timeout` or `no answer`; seconds; bytes.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = DEADLINE_S,
        profile: Profile = RAMPWAY,
        token_file: Path | None = None,
        access: Access | None = None,
        longest_answer: int = LONGEST_ANSWER,
        told: Told | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._where = f"Prometheus at {self._url}"
        self._deadline_s = deadline_s
        self._profile = profile
        self._token_file = token_file
        self._access = access or Access()
        self._longest = longest_answer
        self._told = told or (lambda *_: None)
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        self._questions = Questions(self._where, self._ask, deadline_s, time.monotonic)

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Return every scrape in (since_s, until_s] of the pods of these revisions, by time."""
        if counters:
            return await self._of_users(revisions, since_s, until_s, counters)
        found: list[Scrape] = []
        profile = self._profile
        names = [profile.requests, *([profile.buckets] if histograms else []), profile.started]
        # An answer with histograms is seven times as long, and is held in memory as a whole.
        for part in portions(revisions, NAMES_PER_QUERY // 3 if histograms else NAMES_PER_QUERY):
            wanted = {(r.namespace, r.revision) for r in part}
            query = _selector(names, part, until_s - since_s)
            series = await self._samples(query, until_s)
            with understood(self._where):
                found += [
                    scrape
                    for scrape in assemble(series, self._profile)
                    if since_s < scrape.at_s <= until_s
                    and (scrape.namespace, scrape.revision) in wanted
                ]
        return tuple(sorted(found, key=lambda s: s.at_s))

    async def _of_users(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        counters: Collection[Counter],
    ) -> tuple[Scrape, ...]:
        found: list[Scrape] = []
        started = self._profile.started
        for part in portions(revisions):
            names = [revision.revision for revision in part]
            spaces = "|".join(sorted({literal(r.namespace) for r in part}))
            wanted = {"namespace": spaces} | matchers(counters, names, started)
            series = await self._samples(_ranged(wanted, until_s - since_s), until_s)
            with understood(self._where):
                told = scrapes_of(series, counters, names, started)
            keys = set(part)
            found += [
                scrape
                for scrape in told
                if since_s < scrape.at_s <= until_s
                and RevisionKey(scrape.namespace, scrape.revision) in keys
            ]
        return tuple(sorted(found, key=lambda s: s.at_s))

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Return what the pods had counted at each step in (past.since_s, until_s], by time."""
        if past.counters:
            return await self._past_of_users(past, until_s)
        if not past.pods:
            return ()
        profile = self._profile
        names = [profile.requests, *([profile.buckets] if past.buckets else []), profile.started]
        pods = "|".join(literal(pod) for pod in past.pods)
        wanted = _wanted(names, literal(past.namespace), pods)
        series = await self._samples(_subquery(wanted, past, until_s), until_s)
        with understood(self._where):
            found = [s for s in assemble(series, self._profile) if s.revision == past.revision]
        return tuple(sorted(found, key=lambda s: s.at_s))

    async def _past_of_users(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        names, started = [past.revision], self._profile.started
        wanted = {"namespace": literal(past.namespace)} | matchers(past.counters, names, started)
        series = await self._samples(_subquery(wanted, past, until_s), until_s)
        with understood(self._where):
            found = scrapes_of(series, past.counters, names, started)
        return tuple(sorted(found, key=lambda s: s.at_s))

    async def queries(self, queries: Collection[str], at_s: float) -> dict[str, Answer]:
        """Answer users' instant queries, many in one request; every failure is an Answer."""
        return await self._questions.answers(queries, at_s)

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _samples(self, query: str, until_s: float) -> list[Series]:
        try:
            data = await self._ask(query, until_s, self._deadline_s)
        except BadQuery as error:
            raise MetricsUnavailable(f"{self._where} refused {query!r}: {error}") from error
        with understood(self._where):
            return read_matrix(data)

    async def _ask(self, query: str, at_s: float, within_s: float) -> dict[str, Any]:
        # In whole milliseconds: Prometheus takes 4500ms, but not 4.5s.
        timeout = f"{math.ceil(SERVERS_SHARE * within_s * 1000)}ms"
        form = {"query": query, "time": f"{at_s:.3f}", "timeout": timeout}
        time_s = asyncio.get_running_loop().time
        began_s, result, body = time_s(), "no answer", b""
        try:
            async with asyncio.timeout(within_s), self._limit:
                status, body = await self._post(form)
            result = str(status)
        except TimeoutError as error:
            result = "timeout"
            text = f"{self._where} did not answer within {within_s:g} s"
            raise MetricsUnavailable(text) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise MetricsUnavailable(f"{self._where}: {error}") from error
        finally:
            self._told(result, time_s() - began_s, len(body))
        return data_of(self._where, status, body)

    async def _post(self, form: dict[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._access.trust())
            self._session = aiohttp.ClientSession(connector=connector)
        url, headers = f"{self._url}/api/v1/query", self._headers()
        async with self._session.post(
            url, params=self._access.parameters, data=form, headers=headers, allow_redirects=False
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > self._longest:
                    text = f"{self._where}: answer longer than {self._longest} bytes"
                    raise MetricsUnavailable(text)
            return answer.status, bytes(body)

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return self._access.all_headers()
        return {"Authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"}


def _selector(names: Sequence[str], revisions: Sequence[RevisionKey], length_s: float) -> str:
    """Return one range selector for all series: one answer is one consistent state.

    The start time names no revision, so pods are selected by the names they have from it. Only
    counts of requests have an attempt, and second ones are no new questions.
    """
    spaces = "|".join(sorted({literal(r.namespace) for r in revisions}))
    pods = "|".join(sorted({literal(r.revision[:POD_PREFIX]) for r in revisions}))
    return _ranged(_wanted(names, spaces, f"({pods}).*"), length_s)


def _subquery(wanted: Mapping[str, str], past: Past, until_s: float) -> str:
    """Return a query of as many samples as there are steps, however often was scraped."""
    window = f"[{math.ceil(until_s - past.since_s)}s:{math.ceil(past.step_s)}s]"
    return _series(wanted) + window


def _ranged(wanted: Mapping[str, str], length_s: float) -> str:
    # One more millisecond: the end of the window is rounded to one.
    return f"{_series(wanted)}[{math.ceil(length_s * 1000) + 1}ms]"


def _wanted(names: Sequence[str], spaces: str, pods: str) -> dict[str, str]:
    return {"__name__": "|".join(names), "namespace": spaces, "pod": pods, "attempt": "first|"}


def _series(wanted: Mapping[str, str]) -> str:
    """Return a selector of series by regular expressions, one for each label."""
    return f"{{{','.join(f'{name}=~{_quoted(text)}' for name, text in wanted.items())}}}"


def portions(
    revisions: Sequence[RevisionKey], longest: int = NAMES_PER_QUERY
) -> Iterator[list[RevisionKey]]:
    """Split revisions so that the names of each portion fit into one query."""
    part: list[RevisionKey] = []
    size = 0
    for revision in revisions:
        more = len(revision.namespace) + len(revision.revision[:POD_PREFIX]) + 2
        if part and size + more > longest:
            yield part
            part, size = [], 0
        part.append(revision)
        size += more
    if part:
        yield part


def _quoted(text: str) -> str:
    """Return a string literal of PromQL; it has the escapes of JSON."""
    return json.dumps(text, ensure_ascii=False)
