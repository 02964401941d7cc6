"""Evidence from Prometheus, read strictly: an answer is whole and of the right type, or none.

prometheus-api-client drops warnings, so a partial answer looks whole, and has no total deadline:
see docs/decisions/0001-prometheus-client.md.
"""

import asyncio
import math
import re
from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson

from rampway.core.answers import Answer, AnswerKind
from rampway.core.counters import Scrape
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.profiles import RAMPWAY, Profile

DEADLINE_S = 5.0
AT_ONCE = 20
LONGEST_ANSWER = 64 * 1024 * 1024
REVISIONS_PER_QUERY = 40
POD_PREFIX = 46
"""Kubernetes cuts long names of ReplicaSets' pods; so much of a revision's name is always kept."""
_BAD_QUERY = 400

Sample = tuple[float, str]
Series = tuple[dict[str, str], list[Sample]]


class PrometheusSource:
    """Reads one Prometheus by its HTTP API; retries nothing, the next look is the retry.

    Args:
        url: Base address, for example http://prometheus:9090.
        deadline_s: Longest time of a query in all.
        profile: Names of the series.
    """

    def __init__(
        self, url: str, *, deadline_s: float = DEADLINE_S, profile: Profile = RAMPWAY
    ) -> None:
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._profile = profile
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def scrapes(
        self, revisions: Sequence[RevisionKey], since_s: float, until_s: float
    ) -> tuple[Scrape, ...]:
        """Return every scrape in (since_s, until_s] of the pods of these revisions, by time."""
        found: list[Scrape] = []
        for first in range(0, len(revisions), REVISIONS_PER_QUERY):
            part = revisions[first : first + REVISIONS_PER_QUERY]
            series = await self._samples(self._selector(part, until_s - since_s), until_s)
            known = {(r.namespace, r.revision) for r in part}
            found += [
                scrape
                for scrape in assemble(series, self._profile)
                if scrape.at_s > since_s and (scrape.namespace, scrape.revision) in known
            ]
        return tuple(sorted(found, key=lambda s: s.at_s))

    async def query(self, query: str, at_s: float) -> Answer:
        """Answer one instant query of a user."""
        try:
            data = await self._ask(query, at_s)
        except BadQuery as error:
            return Answer(AnswerKind.BAD_QUERY, message=f"query {query!r}: {error}", at_s=at_s)
        except MetricsUnavailable as error:
            return Answer(AnswerKind.UNAVAILABLE, message=str(error), at_s=at_s)
        return read_value(query, data, at_s)

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()

    def _selector(self, revisions: Sequence[RevisionKey], length_s: float) -> str:
        """Return one range selector for all series: one answer is one consistent state."""
        spaces = _any_of({r.namespace for r in revisions})
        pods = _any_of({r.revision[:POD_PREFIX] for r in revisions})
        p = self._profile
        names = "|".join((p.requests, p.buckets, p.started))
        window = f"[{max(1, math.ceil(length_s * 1000))}ms]"
        return f'{{__name__=~"{names}",namespace=~"{spaces}",pod=~"({pods}).*"}}{window}'

    async def _samples(self, query: str, until_s: float) -> list[Series]:
        try:
            data = await self._ask(query, until_s)
        except BadQuery as error:
            raise MetricsUnavailable(f"Prometheus refused our query: {error}") from error
        if data.get("resultType") != "matrix":
            raise MetricsUnavailable(f"expected a matrix, got {data.get('resultType')}")
        return [(s["metric"], [(float(t), v) for t, v in s["values"]]) for s in data["result"]]

    async def _ask(self, query: str, at_s: float) -> dict[str, Any]:
        form = {"query": query, "time": f"{at_s:.3f}", "timeout": f"{self._deadline_s:g}s"}
        try:
            async with self._limit, asyncio.timeout(self._deadline_s):
                status, body = await self._post(form)
        except TimeoutError as error:
            text = f"Prometheus at {self._url} did not answer within {self._deadline_s:g} s"
            raise MetricsUnavailable(text) from error
        except (aiohttp.ClientError, OSError) as error:
            raise MetricsUnavailable(f"Prometheus at {self._url}: {error}") from error
        return self._checked(status, body)

    async def _post(self, form: dict[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.post(f"{self._url}/api/v1/query", data=form) as answer:
            chunks, size = [], 0
            async for chunk in answer.content.iter_any():
                size += len(chunk)
                if size > LONGEST_ANSWER:
                    raise MetricsUnavailable(
                        f"Prometheus at {self._url}: answer longer than {LONGEST_ANSWER} bytes"
                    )
                chunks.append(chunk)
            return answer.status, b"".join(chunks)

    def _checked(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            text = f"Prometheus at {self._url}: status {status}, not JSON: {body[:80]!r}"
            raise MetricsUnavailable(text) from error
        if not isinstance(answer, dict):
            raise MetricsUnavailable(f"Prometheus at {self._url}: not an answer: {body[:80]!r}")
        words = f"{answer.get('errorType', '')}: {answer.get('error', '')}"
        if status == _BAD_QUERY:
            raise BadQuery(words)
        if answer.get("status") != "success":
            raise MetricsUnavailable(f"Prometheus at {self._url}: status {status}: {words}")
        if answer.get("warnings"):
            text = f"Prometheus at {self._url}: partial answer: {'; '.join(answer['warnings'])}"
            raise MetricsUnavailable(text)
        data: dict[str, Any] = answer["data"]
        return data


def _any_of(names: set[str]) -> str:
    """Return a regular expression for PromQL's quotes that matches just these names."""
    return "|".join(re.escape(name) for name in sorted(names)).replace("\\", "\\\\")


class BadQuery(Exception):  # noqa: N818 - the user's mistake, in Prometheus's words
    """Prometheus cannot parse or run this query, and never will."""


def assemble(series: Sequence[Series], profile: Profile) -> list[Scrape]:
    """Group samples of the same pod and instant into scrapes; one without a start time is none.

    Requests and events thus always come from the same scrape.
    """
    pods: dict[tuple[str, str], str] = {}
    parts: dict[tuple[str, str, float], dict[str, Any]] = {}
    for labels, samples in series:
        pod = (labels.get("namespace", ""), labels.get("pod", ""))
        if "revision" in labels:
            pods[pod] = labels["revision"]
        for at_s, text in samples:
            value = float(text)
            if not math.isfinite(value):
                continue
            part = parts.setdefault((*pod, at_s), {"outcomes": {}, "buckets": []})
            name = labels.get("__name__")
            if name == profile.started:
                part["started"] = value
            elif name == profile.requests and labels.get("attempt", "first") == "first":
                part["outcomes"][labels.get("outcome", "")] = round(value)
            elif name == profile.buckets:
                part["buckets"].append((float(labels["le"]), round(value)))
    return [
        Scrape(
            namespace=namespace,
            revision=pods[namespace, pod],
            pod=pod,
            at_s=at_s,
            started_at_s=part["started"],
            outcomes=part["outcomes"],
            buckets=tuple(sorted(part["buckets"])),
        )
        for (namespace, pod, at_s), part in parts.items()
        if "started" in part and part["outcomes"] and (namespace, pod) in pods
    ]


def read_value(query: str, data: dict[str, Any], at_s: float) -> Answer:
    """Return the one value of an instant query's answer, or why there is none (B17, B21)."""
    kind, result = data.get("resultType"), data.get("result") or []
    if kind == "scalar":
        return _number(query, result[1], at_s)
    if kind != "vector":
        text = f"query {query!r} gives a {kind}; expected one number (an instant vector)"
        return Answer(AnswerKind.WRONG_TYPE, message=text, at_s=at_s)
    if not result:
        text = f"query {query!r} found no data"
        return Answer(AnswerKind.NO_DATA, message=text, at_s=at_s)
    if len(result) > 1:
        shown = ", ".join(str(one.get("metric")) for one in result[:3])
        text = (
            f"query {query!r} gives {len(result)} series ({shown} …); expected one: aggregate "
            "with sum() or name the labels"
        )
        return Answer(AnswerKind.SEVERAL_SERIES, message=text, at_s=at_s)
    return _number(query, result[0]["value"][1], at_s)


def _number(query: str, text: str, at_s: float) -> Answer:
    value = float(text)
    if not math.isfinite(value):
        words = f"query {query!r} gives {text}, not a number"
        return Answer(AnswerKind.NOT_A_NUMBER, message=words, at_s=at_s)
    return Answer(AnswerKind.VALUE, value, at_s=at_s)
