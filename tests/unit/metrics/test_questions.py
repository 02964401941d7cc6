"""B17, B21: queries that are asked together, and what becomes of those that spoil it."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.questions import (
    APART_S,
    JOINED_AT_ONCE,
    JOINED_SHARE,
    LABEL,
    LONGEST,
    MOST,
    PROBE,
    SLOW_S,
    Questions,
    joined,
    parted,
)
from rampway.metrics.reading import BadQuery

NOW_S = 1_760_000_000.0
DEADLINE_S = 4.0
PART = re.compile(rf'label_replace\((?:vector)?\(\n(.*?)\n\),"{LABEL}","(\d+)","",""\)', re.DOTALL)
VECTOR = {"resultType": "vector", "result": [{"metric": {}, "value": [NOW_S, "1"]}]}
SCALAR = {"resultType": "scalar", "result": [NOW_S, "2"]}


@dataclass
class Server:
    """Answers a query by its first word; a request of many gives all, or what one of them raises.

    Attributes:
        most: A request of more queries than this is refused.
        takes_s: How long each query takes; the clock goes on by so much.
        down: Nothing is answered, not even the probe.
    """

    most: int = 1000
    takes_s: float = 0.01
    down: bool = False
    now_s: float = 100.0
    asked: list[list[str]] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)

    async def ask(self, query: str, _at_s: float, within_s: float) -> dict[str, Any]:
        """Answer as Prometheus would."""
        parts = {int(n): text for text, n in PART.findall(query)}
        self.asked.append(list(parts.values()) or [query])
        self.deadlines.append(within_s)
        await asyncio.sleep(0)
        if self.down:
            raise MetricsUnavailable("Prometheus is down")
        if len(parts) > self.most:
            raise MetricsUnavailable("too many samples")
        if not parts:
            return self._one(query)
        result = [
            {**one, "metric": {**one["metric"], LABEL: str(number)}}
            for number, text in parts.items()
            for one in _series(self._one(text))
        ]
        return {"resultType": "vector", "result": result}

    def _one(self, query: str) -> dict[str, Any]:
        word = query.split(maxsplit=1)[0]
        self.now_s += SLOW_S + 1 if word == "slow" else self.takes_s
        if word == "bad":
            raise BadQuery("parse error")
        if word == "heavy":
            raise MetricsUnavailable("too many samples")
        series = [{"metric": {"pod": name}, "value": [NOW_S, "1"]} for name in "ab"]
        if word == "several":
            return {"resultType": "vector", "result": series}
        if word == "none":
            return {"resultType": "vector", "result": []}
        if word == "text":
            return {"resultType": "string", "result": [NOW_S, "x"]}
        return SCALAR if word == "scalar" else VECTOR

    def took(self) -> list[list[str]]:
        """Return what was asked since, the requests sorted, and forget it."""
        found, self.asked = sorted(self.asked), []
        return found


def _series(data: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if data["resultType"] == "string":
        raise BadQuery("expected a vector, got a string")
    if data["resultType"] == "scalar":
        return [{"metric": {}, "value": data["result"]}]
    found: list[dict[str, Any]] = data["result"]
    return found


def questions(server: Server) -> Questions:
    """Return questions that know of nothing yet."""
    return Questions("Prometheus", server.ask, DEADLINE_S, lambda: server.now_s)


async def learned(server: Server, queries: list[str]) -> Questions:
    """Return questions that have asked these before."""
    found = questions(server)
    await found.answers(queries, NOW_S)
    server.took()
    server.deadlines.clear()
    return found


MIXED = ["up a", "up b", "scalar c", "several d", "none e", "text f", "bad g"]


async def test_b21_a_text_is_asked_alone_before_it_is_asked_with_others() -> None:
    """B21: what nobody has parsed yet reaches no neighbour; what never can stays alone."""
    server = Server()
    asked = questions(server)
    first = await asked.answers(MIXED, NOW_S)
    assert server.took() == sorted([query] for query in MIXED)
    second = await asked.answers(MIXED, NOW_S)
    assert server.took() == [["bad g"], ["text f"], MIXED[:5]]
    assert second == first
    assert [first[query].kind for query in MIXED] == [
        AnswerKind.VALUE, AnswerKind.VALUE, AnswerKind.VALUE, AnswerKind.SEVERAL_SERIES,
        AnswerKind.NO_DATA, AnswerKind.WRONG_TYPE, AnswerKind.BAD_QUERY,
    ]  # fmt: skip
    assert first["scalar c"].value == 2.0
    assert 'gives 2 series, the first is {pod="a"}' in second["several d"].message


async def test_one_alone_is_asked_as_it_is() -> None:
    """A single query needs no label."""
    server = Server()
    asked = await learned(server, ["up"])
    await asked.answers(["up"], NOW_S)
    assert server.took() == [["up"]]
    assert server.deadlines == [DEADLINE_S]


async def test_a_request_has_bounds() -> None:
    """So many queries and so many characters in one request, and no more; none is left out."""
    many, long = [f"up {n}" for n in range(3 * MOST)], [f"up {n:04000}" for n in range(7)]
    for queries, requests in ((many, 3), (long, 3)):
        server = Server()
        asked = await learned(server, queries)
        answers = await asked.answers(queries, NOW_S)
        assert sorted(answers) == sorted(queries)
        took = server.took()
        assert len(took) == requests
        assert max(map(len, took)) <= MOST
        assert max(len(joined(group, ["scalar"] * len(group))) for group in took) <= LONGEST + 100
        assert sorted(query for group in took for query in group) == sorted(queries)


async def test_b21_who_spoils_a_request_is_asked_alone_for_a_while() -> None:
    """B21: a query that fails or is slow holds only itself: the others go on together at once."""
    for spoiler in ("heavy x", "bad x", "slow x"):
        server = Server()
        good = [f"up {n}" for n in range(5)]
        asked = await learned(server, [*good, "none x"])
        asked._known[spoiler] = asked._known["none x"]  # it did well before
        if spoiler == "slow x":
            server.most = 5
        found = await asked.answers([*good, spoiler], NOW_S)
        assert [found[query].kind for query in good] == [AnswerKind.VALUE] * 5
        server.took()
        server.most = 1000
        for _ in range(2):
            await asked.answers([*good, spoiler], NOW_S)
            assert server.took() == sorted([good, [spoiler]])
        server.now_s += APART_S
        await asked.answers([*good, spoiler], NOW_S)
        assert len(max(server.took(), key=len)) == 6, "it is never tried again"


async def test_a_request_that_is_too_much_is_halved() -> None:
    """Where each is fine alone and all are too much, fewer are asked at a time."""
    server = Server(most=3)
    queries = [f"up {n}" for n in range(16)]
    asked = await learned(server, queries)
    for size in (16, 8, 4):
        found = await asked.answers(queries, NOW_S)
        assert {answer.kind for answer in found.values()} == {AnswerKind.VALUE}
        assert max(map(len, server.took())) == size
    for _ in range(2):
        await asked.answers(queries, NOW_S)
        assert [len(group) for group in server.took()] == [2] * 8


async def test_b17_of_a_server_that_is_down_nobody_asks_one_by_one() -> None:
    """B17: when nothing is answered at all, all are unavailable, for some requests in all."""
    server = Server(takes_s=0)
    queries = [f"up {n}" for n in range(30 * MOST)]
    asked = await learned(server, queries)
    server.down = True
    found = await asked.answers(queries, NOW_S)
    down = Answer(AnswerKind.UNAVAILABLE, message="Prometheus is down", at_s=NOW_S)
    assert set(found.values()) == {down}
    took = server.took()
    assert [group for group in took if len(group) == 1] == [[PROBE]]
    assert len(took) <= JOINED_AT_ONCE + 1
    server.down = False
    found = await asked.answers(queries, NOW_S)
    assert {answer.kind for answer in found.values()} == {AnswerKind.VALUE}
    assert len(server.took()) == 30, "the outage was taken for theirs"


async def test_b17_slow_ones_leave_time_to_the_others() -> None:
    """B17: of more slow queries than a look has time for each has its turn, look by look."""
    server = Server()
    slow = [f"slow {n}" for n in range(9)]
    asked = questions(server)
    answered = set[str]()
    for _ in range(3):
        found = await asked.answers([*slow, "text"], NOW_S)
        answered |= {
            query for query, one in found.items() if one.kind is not AnswerKind.UNAVAILABLE
        }
        late = {one.message for one in found.values() if one.kind is AnswerKind.UNAVAILABLE}
        assert late <= {"Prometheus did not answer the queries before this one in time"}
    assert answered == {*slow, "text"}


async def test_many_have_less_time_than_one() -> None:
    """A request of many is given up early, so that there is time left to ask one by one."""
    server = Server()
    asked = await learned(server, ["up a", "up b"])
    await asked.answers(["up a", "up b"], NOW_S)
    assert server.deadlines == [JOINED_SHARE * DEADLINE_S]


async def test_what_is_not_asked_any_more_is_forgotten() -> None:
    """A rollout that ended leaves nothing behind."""
    server = Server()
    asked = await learned(server, ["up a", "up b", "up c"])
    await asked.answers(["up a"], NOW_S)
    assert set(asked._known) == {"up a"}


async def test_a_probe_between_two_looks_forgets_nothing() -> None:
    """Who only asks whether the server is there leaves the others together."""
    server = Server()
    asked = await learned(server, ["up a", "up b"])
    await asked.answers([PROBE], NOW_S)
    server.took()
    await asked.answers(["up a", "up b"], NOW_S)
    assert server.took() == [["up a", "up b"]]


def test_b21_a_comment_ends_within_its_query() -> None:
    """B21: brackets are on lines of their own, so a comment at a query's end swallows none."""
    assert joined(["up # hm", "1"], ["vector", "scalar"]) == (
        f'label_replace((\nup # hm\n),"{LABEL}","0","","")\nor\n'
        f'label_replace(vector(\n1\n),"{LABEL}","1","","")'
    )


@pytest.mark.parametrize(
    "data",
    [
        SCALAR,
        {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]},
        {"resultType": "vector", "result": [{"metric": {LABEL: "7"}, "value": [1, "1"]}]},
        {"resultType": "vector", "result": [{"metric": {LABEL: "x"}, "value": [1, "1"]}]},
    ],
)
def test_b17_an_answer_of_another_kind_is_none(data: dict[str, Any]) -> None:
    """B17: series that belong to nobody make the answer no answer."""
    with pytest.raises((ValueError, LookupError)):
        parted(["a", "b"], data, NOW_S)
