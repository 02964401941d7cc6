"""Users' counters of all that need them: those who need the same ones share a query."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Counter, Scrape
from rampway.metrics.base import MetricSource, MetricsUnavailable, RevisionKey
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
    much of is not the others' trouble.
    """
    groups: dict[_Asked, dict[Key, Interest]] = {}
    for key, interest in interests.items():
        if interest.counters:
            asked = (*window(interest), interest.counters)
            groups.setdefault(asked, {})[key] = interest
    found: dict[Key, Counted] = {}
    for asked, group in groups.items():
        together = await _read(client, asked, group)
        for key, interest in group.items():
            alone = len(group) > 1 and bool(together.problem)
            read = await _read(client, asked, {key: interest}) if alone else together
            found[key] = Counted(_of(interest, read.scrapes), read.problem)
    return found


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
