"""Users' counters of all that need them: those who need the same ones share a query."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.metrics.base import MetricSource, MetricsUnavailable, RevisionKey
from rampway.metrics.questions import PROBE
from rampway.shell.interest import Interest, Key

_Asked = tuple[float, float, tuple[Counter, ...]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted for one ModelDeployment.

    Attributes:
        problem: Why it could not be read, else empty.
    """

    scrapes: tuple[Scrape, ...] = ()
    problem: str = ""


NOTHING = Counted()


@dataclass(frozen=True, slots=True)
class Beside:
    """What a look reads beside the counters of pods.

    Attributes:
        answers: To users' queries, by their texts.
        pasts: What was read of stable's past.
        counted: What users count.
    """

    answers: Mapping[str, Answer]
    pasts: Mapping[Key, tuple[Scrape, ...]]
    counted: Mapping[Key, Counted]


async def counted(
    client: MetricSource,
    interests: Mapping[Key, Interest],
    window: Callable[[Interest], tuple[float, float]],
) -> dict[Key, Counted]:
    """Return what users' counters say, for those who need them.

    A query that many share and that fails is asked for each of them alone: what one of them has too
    much of is not the others' trouble. Of a server that answers nothing nobody asks alone in vain.
    """
    groups: dict[_Asked, dict[Key, Interest]] = {}
    for key, interest in interests.items():
        if interest.counters:
            asked = (*window(interest), interest.counters)
            groups.setdefault(asked, {})[key] = interest
    read = await asyncio.gather(*(_of_all(client, *group) for group in groups.items()))
    return {key: told for group in read for key, told in group.items()}


async def _of_all(
    client: MetricSource, asked: _Asked, group: Mapping[Key, Interest]
) -> dict[Key, Counted]:
    """Return what was counted for each of those who need the same."""
    together = await _read(client, asked, group)
    reads = [together] * len(group)
    if len(group) > 1 and together.problem and await _answers(client, asked):
        each = ({key: interest} for key, interest in group.items())
        reads = await asyncio.gather(*(_read(client, asked, alone) for alone in each))
    return {
        key: Counted(_of(interest, read.scrapes), read.problem)
        for (key, interest), read in zip(group.items(), reads, strict=True)
    }


async def _answers(client: MetricSource, asked: _Asked) -> bool:
    """Whether the server answers anything."""
    found = await client.queries([PROBE], asked[1])
    return found[PROBE].kind is not AnswerKind.UNAVAILABLE


async def _read(client: MetricSource, asked: _Asked, group: Mapping[Key, Interest]) -> Counted:
    since_s, until_s, counters = asked
    wanted = {RevisionKey(i.namespace, name) for i in group.values() for name in i.revisions}
    try:
        scrapes = await client.scrapes(sorted(wanted), since_s, until_s, counters=counters)
    except MetricsUnavailable as error:
        return Counted(problem=str(error))
    return Counted(scrapes)


def _of(interest: Interest, scrapes: tuple[Scrape, ...]) -> tuple[Scrape, ...]:
    return tuple(
        s for s in scrapes if s.namespace == interest.namespace and s.revision in interest.revisions
    )
