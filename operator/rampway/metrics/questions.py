"""Users' queries, many in one request: each answer is what its query alone would have given.

See docs/decisions/0025-joined-queries.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.reading import BadQuery, read_value, understood

Ask = Callable[[str, float, float], Awaitable[dict[str, Any]]]
"""Gives the data of the answer to an instant query: text, at what time, seconds it may take."""

LABEL = "rampway_check"
"""Tells to which of the joined queries a series belongs."""
MOST = 64
"""Queries in one request: at a thousand rollouts some 16 requests a look, each short."""
LONGEST = 15_000
"""Characters of one request's query; some compatible servers take no more than 16 KiB."""
JOINED_SHARE = 0.5
"""Of the deadline, for a request of many: they are meant to be fast, the others are asked apart."""
SLOW_S = 0.5
"""A query that takes longer has no place among others."""
APART_S = 300.0
"""So long a query that spoiled a request stays apart, then it is tried again."""
ALONE_AT_ONCE = 8
JOINED_AT_ONCE = 8
PROBE = "vector(1)"
"""What any server answers that answers at all."""


@dataclass(slots=True)
class _Known:
    """What is known of one query.

    Attributes:
        type: Of its result, by the query's text alone; empty until it was answered.
        most: How many may be in a request with it.
        until_s: When that ends.
        asked_s: When it last had its turn alone.
        suspect: Whether it failed then, or was slow.
    """

    type: str = ""
    most: int = MOST
    until_s: float = 0.0
    asked_s: float = 0.0
    suspect: bool = False

    @property
    def joins(self) -> bool:
        """Whether it may be asked with others; a text that nobody answered yet may be anything."""
        return self.type in {"vector", "scalar"} and self.most > 1


@dataclass(slots=True)
class _Round:
    """One look.

    Attributes:
        known: What is known of each query.
        problem: Why nothing at all is answered, empty while that is not known.
    """

    at_s: float
    known: dict[str, _Known]
    problem: str = ""
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def unavailable(self, queries: Iterable[str]) -> dict[str, Answer]:
        """Return the problem as the answer to each."""
        answer = Answer(AnswerKind.UNAVAILABLE, message=self.problem, at_s=self.at_s)
        return dict.fromkeys(queries, answer)


class Questions:
    """Asks many queries in few requests, and remembers how to.

    Args:
        where: Who is asked, for messages.
        ask: Sends one query.
        deadline_s: Longest time of a query that is asked alone.
        clock: Seconds, monotonic.
    """

    def __init__(self, where: str, ask: Ask, deadline_s: float, clock: Callable[[], float]) -> None:
        self._where = where
        self._ask = ask
        self._deadline_s = deadline_s
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._alone_turn = asyncio.Semaphore(ALONE_AT_ONCE)
        self._joined_turn = asyncio.Semaphore(JOINED_AT_ONCE)

    async def answers(self, queries: Collection[str], at_s: float) -> dict[str, Answer]:
        """Answer each text; what is known of texts that are not asked any more is forgotten."""
        this = _Round(at_s, {query: self._known.get(query) or _Known() for query in queries})
        if PROBE not in this.known:  # asked between two looks, it says nothing of what they ask
            self._known = this.known
        groups, alone = self._plan(this.known)
        found = await asyncio.gather(
            self._all_alone(alone, this), *(self._joined(group, this) for group in groups)
        )
        return {query: answer for part in found for query, answer in part.items()}

    def _plan(self, known: dict[str, _Known]) -> tuple[list[list[str]], list[str]]:
        """Return the groups that are asked together, and who is asked alone."""
        for one in known.values():
            if one.most < MOST and self._clock() >= one.until_s:
                one.most = MOST
        able = sorted((q for q in known if known[q].joins), key=lambda query: known[query].most)
        groups: list[list[str]] = []
        size = LONGEST
        for query in able:
            more = len(_labelled(query, known[query].type, MOST)) + len(_OR)
            if size + more > LONGEST or len(groups[-1]) >= known[groups[-1][0]].most:
                groups.append([])
                size = 0
            groups[-1].append(query)
            size += more
        groups = [group for group in groups if len(group) > 1]
        grouped = {query for group in groups for query in group}
        # Whoever waited longest is first: those that time out leave no turn to the last ones.
        alone = sorted(known.keys() - grouped, key=lambda query: (known[query].asked_s, query))
        return groups, alone

    async def _joined(self, group: Sequence[str], this: _Round) -> dict[str, Answer]:
        """Ask a group in one request; if that gives no whole answer, each of them alone."""
        async with self._joined_turn:
            if this.problem:
                return this.unavailable(group)
            types = [this.known[query].type for query in group]
            try:
                data = await self._ask(
                    joined(group, types), this.at_s, JOINED_SHARE * self._deadline_s
                )
                with understood(self._where):
                    return parted(group, data, this.at_s)
            except (BadQuery, MetricsUnavailable):
                if not await self._answers_at_all(this):
                    return this.unavailable(group)
        found = await self._all_alone(group, this)
        self._blame([this.known[query] for query in group])
        return found

    async def _answers_at_all(self, this: _Round) -> bool:
        """Return whether the server answers anything: if not, nobody is asked alone in vain."""
        async with this.probing:
            if not this.problem:
                answer = await self._alone(PROBE, this.at_s, _Known())
                this.problem = "" if answer.kind is AnswerKind.VALUE else answer.message
        return not this.problem

    def _blame(self, group: Sequence[_Known]) -> None:
        """Keep those apart that failed alone as well; if nobody did, ask fewer at a time."""
        guilty = [known for known in group if known.suspect]
        for known in guilty or group:
            known.most = 1 if guilty else len(group) // 2
            known.until_s = self._clock() + APART_S

    async def _all_alone(self, queries: Iterable[str], this: _Round) -> dict[str, Answer]:
        end_s = self._clock() + self._deadline_s

        async def one(query: str) -> Answer:
            known = this.known[query]
            known.suspect = False
            async with self._alone_turn:
                if self._clock() > end_s:
                    text = f"{self._where} did not answer the queries before this one in time"
                    return Answer(AnswerKind.UNAVAILABLE, message=text, at_s=this.at_s)
                return await self._alone(query, this.at_s, known)

        names = list(queries)
        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    async def _alone(self, query: str, at_s: float, known: _Known) -> Answer:
        """Answer one query, and learn of it; every failure is an Answer."""
        began_s = known.asked_s = self._clock()
        known.suspect = True
        try:
            data = await self._ask(query, at_s, self._deadline_s)
            with understood(self._where):
                answer = read_value(query, data, at_s)
                known.type = data["resultType"]
        except BadQuery as error:
            return Answer(AnswerKind.BAD_QUERY, message=f"query {query!r}: {error}", at_s=at_s)
        except MetricsUnavailable as error:
            return Answer(AnswerKind.UNAVAILABLE, message=str(error), at_s=at_s)
        known.suspect = self._clock() - began_s > SLOW_S
        return answer


_OR = "\nor\n"


def joined(queries: Sequence[str], types: Sequence[str]) -> str:
    """Return one query whose result has the series of all of them, told apart by a label.

    Args:
        queries: Each known to parse alone, so that no bracket, quote or comment reaches beyond it.
        types: Of their results: vector or scalar.
    """
    parts = zip(queries, types, strict=True)
    return _OR.join(_labelled(query, kind, k) for k, (query, kind) in enumerate(parts))


def _labelled(query: str, kind: str, number: int) -> str:
    # The line's end closes a comment at the query's end.
    vector = f"vector(\n{query}\n)" if kind == "scalar" else f"(\n{query}\n)"
    return f'label_replace({vector},"{LABEL}","{number}","","")'


def parted(queries: Sequence[str], data: dict[str, Any], at_s: float) -> dict[str, Answer]:
    """Return the answer to each of the joined queries.

    Raises:
        ValueError, LookupError, TypeError: the answer is not one to `joined`.
    """
    if data["resultType"] != "vector":
        raise ValueError(f"expected a vector, got a {data['resultType']}")
    found: list[list[dict[str, Any]]] = [[] for _ in queries]
    for one in data["result"]:
        labels = dict(one["metric"])
        found[int(labels.pop(LABEL))].append({**one, "metric": labels})
    return {
        query: read_value(query, {"resultType": "vector", "result": series}, at_s)
        for query, series in zip(queries, found, strict=True)
    }
