"""Looks at the metrics: windows, shared queries, and rollouts that end meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import pytest
from unit.shell.pods import Pods

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter as Counted
from rampway.core.checks.counters import Scrape
from rampway.core.checks.history import Past
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.direct import Target
from rampway.shell.looks import (
    BASELINE_S,
    HISTOGRAMS_AT_LEAST,
    HISTOGRAMS_PER_S,
    LONGEST_WINDOW_S,
    OVERLAP_S,
    PAST_TRIES,
    PODS_PER_S,
    ROLLOUTS_PER_S,
    Interest,
    Key,
    Looks,
    _window,
)

NOW_S = 10_000.0
A, B = ("ml", "a"), ("ml", "b")


def interest(name: str = "a", seen_s: float | None = None, **queries: str) -> Interest:
    """Return the interest of a rollout of this ModelDeployment."""
    return Interest("ml", (f"{name}-2", f"{name}-1"), seen_s, queries)


def scrape(revision: str, namespace: str = "ml") -> Scrape:
    """Return a scrape of one pod."""
    return Scrape(namespace, revision, f"{revision}-pod", NOW_S, 0.0, {"ok": 1})


@dataclass
class Source:
    """A metric source that notes what it is asked and lets things happen meanwhile."""

    scraped: tuple[Scrape, ...] = ()
    down: bool = False
    meanwhile: Callable[[], None] = lambda: None
    windows: list[tuple[list[str], float, float]] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    timed: list[tuple[str, bool]] = field(default_factory=list)
    forgetful: bool = False
    counted: list[list[str]] = field(default_factory=list)
    enough: int = 9
    dead: bool = False
    pasts: list[tuple[str, float]] = field(default_factory=list)

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counted] = (),
    ) -> tuple[Scrape, ...]:
        """Return what was scraped."""
        if counters:
            return self._counted(revisions, counters)
        self.timed += [(r.revision, histograms) for r in revisions]
        self.windows.append(([r.revision for r in revisions], since_s, until_s))
        self.meanwhile()
        if self.down:
            raise MetricsUnavailable("Prometheus is down")
        return self.scraped

    def _counted(
        self, revisions: Sequence[RevisionKey], counters: Collection[Counted]
    ) -> tuple[Scrape, ...]:
        """Return one of each counter; too much of it for more revisions than `enough`."""
        self.counted.append([r.revision for r in revisions])
        if self.dead or len(revisions) > self.enough:
            raise MetricsUnavailable("an answer that is too long")
        told = {str(counter): 1.0 for counter in counters}
        return tuple(
            replace(scrape(r.revision, r.namespace), outcomes={}, counters=told) for r in revisions
        )

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Return the same of the past."""
        self.pasts.append((past.revision, until_s))
        if self.down or self.forgetful or (past.counters and self.dead):
            raise MetricsUnavailable("nothing is known of the past")
        told = {str(counter): 1.0 for counter in past.counters}
        return tuple(replace(s, at_s=until_s - 60, counters=told) for s in self.scraped)

    async def queries(self, queries: Collection[str], at_s: float) -> dict[str, Answer]:
        """Answer each with itself."""
        self.asked.append(list(queries))
        if self.dead:
            return {query: Answer(AnswerKind.UNAVAILABLE, at_s=at_s) for query in queries}
        return {query: Answer(AnswerKind.VALUE, 1.0, query, at_s) for query in queries}

    async def close(self) -> None:
        """Do nothing."""


def looking(source: Source, **interests: Interest) -> tuple[Looks, list[Key]]:
    """Return looks with these interests, and the list of those that are notified."""
    told: list[Key] = []
    looks = Looks(source, Pods(), lambda: NOW_S, told.append)
    for name, wanted in interests.items():
        looks.want(("ml", name), wanted)
    return looks, told


@pytest.mark.parametrize(
    ("seen_s", "since_s", "until_s"),
    [
        (None, NOW_S - BASELINE_S, NOW_S),
        (NOW_S - 5, 9960.0, NOW_S),
        (NOW_S - 10, 9960.0, NOW_S),
        (NOW_S - 15, 9945.0, NOW_S),
        (NOW_S - 5000, 4965.0, 4965.0 + LONGEST_WINDOW_S),
    ],
)
def test_b32_windows(seen_s: float | None, since_s: float, until_s: float) -> None:
    """B32: with overlap and on shared bounds; a long absence is caught up in pieces."""
    assert _window(interest(seen_s=seen_s), NOW_S) == (since_s, until_s)


def test_b20_windows_leave_no_gap() -> None:
    """B20: from any point, look after look reads everything up to now, overlapping."""
    seen_s = NOW_S - 5000
    for _ in range(20):
        since_s, until_s = _window(interest(seen_s=seen_s), NOW_S)
        assert since_s <= seen_s - OVERLAP_S
        assert until_s > seen_s or until_s == NOW_S
        seen_s = until_s
    assert seen_s == NOW_S


async def test_rollouts_share_a_window() -> None:
    """One read for all of one window; each gets only its own revisions' scrapes."""
    mine, other = (scrape("a-2"), scrape("a-1")), scrape("b-2")
    source = Source((*mine, other, scrape("a-2", namespace="elsewhere")))
    looks, told = looking(source, a=interest("a", NOW_S - 5), b=interest("b", NOW_S - 6))
    await looks.look()
    assert [names for names, _, _ in source.windows] == [["a-1", "a-2", "b-1", "b-2"]]
    first, second = looks.latest(A), looks.latest(B)
    assert first is not None
    assert second is not None
    assert (first.scrapes, second.scrapes) == (mine, (other,))
    assert first.at_s == NOW_S
    assert told == [A, B]


async def test_b17_without_metrics_the_look_says_so() -> None:
    """B17: an unavailable source is a look with a problem; queries are answered all the same."""
    looks, told = looking(Source(down=True), a=interest(revenue="sum(x)"))
    await looks.look()
    found = looks.latest(A)
    assert found is not None
    assert (found.problem, found.scrapes) == ("Prometheus is down", ())
    assert found.answers["revenue"].message == "sum(x)"
    assert told == [A]


async def test_all_queries_of_a_look_are_asked_in_one_go() -> None:
    """Rollouts of different windows ask together, equal texts once; each gets its own answers."""
    source = Source()
    of_b = interest("b", NOW_S - 60, revenue="sum(x)", cost="sum(z)")
    looks, _ = looking(source, a=interest("a", revenue="sum(x)", sold="sum(y)"), b=of_b)
    await looks.look()
    assert len(source.windows) == 2
    assert source.asked == [["sum(x)", "sum(y)", "sum(z)"]]
    answers = [found.answers for key in (A, B) if (found := looks.latest(key))]
    told = [{name: one.message for name, one in of.items()} for of in answers]
    assert told == [
        {"revenue": "sum(x)", "sold": "sum(y)"},
        {"revenue": "sum(x)", "cost": "sum(z)"},
    ]


async def test_durations_are_read_in_turns() -> None:
    """Of more rollouts than the budget has, each has its turn; requests are read in every look."""
    source, now_s = Source(), [NOW_S]
    looks = Looks(source, Pods(), lambda: now_s[0], lambda _: None)
    number = 3 * HISTOGRAMS_AT_LEAST
    for n in range(number):
        looks.want(("ml", f"m{n:03}"), interest(f"m{n:03}"))
    looks.want(("ml", "plain"), replace(interest("plain"), timed=False))
    turns: Counter[str] = Counter()
    for _ in range(6):
        source.timed.clear()
        await looks.look()
        assert len({revision for revision, _ in source.timed}) == 2 * number + 2
        mine = [name for name, timed in source.timed if timed]
        assert len(mine) == 2 * HISTOGRAMS_AT_LEAST
        seen = [looks.latest(("ml", name)) for name in ("m000", "plain")]
        assert [one.timed_every_s for one in seen if one] == [number / HISTOGRAMS_PER_S, 0]
        turns.update(mine)
        now_s[0] += 1
    assert set(turns.values()) == {2}
    assert len(turns) == 2 * number
    now_s[0] += 3 * HISTOGRAMS_AT_LEAST / HISTOGRAMS_PER_S
    source.timed.clear()
    await looks.look()
    assert sum(timed for _, timed in source.timed) == 2 * number
    found = looks.latest(("ml", "m000"))
    assert found is not None
    assert found.timed_every_s == 0  # all in one look again


async def test_without_questions_nothing_is_asked() -> None:
    """Rollouts without queries of their own cost none."""
    source = Source()
    looks, _ = looking(source, a=interest("a"))
    await looks.look()
    assert source.asked == []


async def test_a_rollout_that_ends_while_others_are_looked_at() -> None:
    """What ended meanwhile is left out, in this window and in a later one; the look goes on."""
    source = Source()
    looks, told = looking(source, a=interest("a"), b=interest("b", NOW_S - 5))
    source.meanwhile = lambda: looks.want(B, None)
    await looks.look()
    assert told == [A]
    source.meanwhile = lambda: looks.want(A, None)
    await looks.look()
    assert told == [A]
    assert looks.latest(A) is None


async def test_a_rollout_that_begins_meanwhile_gets_no_answers_of_another() -> None:
    """An answer about the rollout before is not taken for the one that follows it."""
    source = Source()
    looks, told = looking(source, a=interest("a", revenue="of a-2"))
    source.meanwhile = lambda: looks.want(A, interest("a", revenue="of a-3"))
    await looks.look()
    assert told == []
    assert looks.latest(A) is None
    source.meanwhile = lambda: looks.want(A, interest("a", NOW_S, revenue="of a-3"))
    await looks.look()
    assert told == [A]


async def test_looks_go_on() -> None:
    """Looking is repeated until it is cancelled."""
    source, thrice = Source(), asyncio.Event()
    source.meanwhile = lambda: thrice.set() if len(source.windows) == 3 else None
    looks, _ = looking(source, a=interest())
    task = asyncio.create_task(looks.run(0.01))
    await asyncio.wait_for(thrice.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(source.windows) == 3


async def test_b32_of_many_rollouts_all_are_looked_at_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B32: a look makes a pass of each, and all together are to stay in bounds."""
    waited = list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise asyncio.CancelledError
        looks.want(B, None)

    source, twice = Source(), 2 * int(ROLLOUTS_PER_S)
    looks, _ = looking(source, b=interest("b"))
    for n in range(twice - 1):
        looks.want(("ml", f"m-{n}"), interest("a"))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await looks.run(1.0)
    assert waited == pytest.approx([2.0, 2.0 - 1 / ROLLOUTS_PER_S])


A_POD = Target("ml", "a-2", "a-2-pod", "10.0.0.1")


async def test_a_direct_look_adds_to_prometheuss() -> None:
    """The pods' own counters come beside those of the last look, once each second anew."""
    pods = Pods((scrape("a-2").seen_directly(),))
    source = Source((scrape("a-1"),))
    told: list[Key] = []
    now_s = [NOW_S]
    looks = Looks(source, pods, lambda: now_s[0], told.append)
    looks.want(A, replace(interest("a"), pods=(A_POD,)))
    looks.want(B, interest("b"))
    assert await looks.look_directly() == 1
    assert told == []  # evidence begins with Prometheus
    await looks.look()
    told.clear()
    for _ in range(2):
        now_s[0] += 1
        await looks.look_directly()
    assert told == [A, A]
    assert pods.asked == [["a-2-pod"]] * 3
    latest = looks.latest(A)
    assert latest is not None
    assert latest.at_s == NOW_S + 2
    assert [(s.revision, s.direct) for s in latest.scrapes] == [("a-1", False), ("a-2", True)]


async def test_b17_a_direct_look_hides_no_problem() -> None:
    """B17: with Prometheus down the pods are still heard, and the problem is still told."""
    source = Source(down=True)
    looks, told = looking(source, a=replace(interest("a"), pods=(A_POD,)))
    await looks.look()
    looks.pods = Pods((scrape("a-2").seen_directly(),))
    await looks.look_directly()
    latest = looks.latest(A)
    assert latest is not None
    assert (latest.problem, len(latest.scrapes)) == ("Prometheus is down", 1)
    assert told == [A, A]


def past_of(name: str = "a") -> Past:
    """Return what is wanted of a stable's past."""
    return Past("ml", f"{name}-1", ("p", "q"), NOW_S - 600, 5.0, buckets=False)


async def test_stables_past_comes_with_the_look() -> None:
    """Who wants it gets it with the next look; who does not gets none."""
    source = Source((scrape("a-1"),))
    looks, _ = looking(source, a=replace(interest("a"), past=past_of()), b=interest("b"))
    await looks.look()
    first, second = looks.latest(A), looks.latest(B)
    assert first is not None
    assert second is not None
    assert first.past == (replace(scrape("a-1"), at_s=NOW_S - 60),)
    assert second.past is None
    looks.want(A, interest("a"))
    await looks.look()
    later = looks.latest(A)
    assert later is not None
    assert later.past is None
    assert source.pasts == [("a-1", NOW_S)]


async def test_b17_a_past_that_is_not_told_holds_nobody_up() -> None:
    """B17: the look is as good without; it is tried three times, and anew for another rollout."""
    source = Source((scrape("a-1"),), forgetful=True)
    looks, told = looking(source, a=replace(interest("a"), past=past_of()))
    for _ in range(5):
        await looks.look()
    latest = looks.latest(A)
    assert latest is not None
    assert (latest.past, latest.problem, len(latest.scrapes)) == (None, "", 1)
    assert told == [A] * 5
    assert len(source.pasts) == PAST_TRIES
    looks.want(A, None)
    looks.want(A, replace(interest("a"), past=past_of()))
    await looks.look()
    assert len(source.pasts) == PAST_TRIES + 1


@pytest.mark.parametrize("dead", [False, True])
async def test_b17_a_past_of_users_that_is_not_told_costs_no_other_check(*, dead: bool) -> None:
    """B17: it comes with that of the pods; where it never does, that of the pods comes alone."""
    source = Source((scrape("a-1"),), dead=dead)
    users = replace(past_of(), counters=(Counted("visits"),))
    looks, _ = looking(source, a=replace(interest("a"), past=users))
    found = []
    for _ in range(PAST_TRIES):
        await looks.look()
        latest = looks.latest(A)
        assert latest is not None
        found.append(latest.past and [dict(s.counters) for s in latest.past])
    if dead:
        assert found == [None] * (PAST_TRIES - 1) + [[{}]]
    else:
        assert found[0] == [{}, {"visits": 1.0}]


@pytest.mark.parametrize(("buckets", "fit"), [(False, 31), (True, 4)])
async def test_pasts_are_read_a_few_at_a_time(*, buckets: bool, fit: int) -> None:
    """A thousand rollouts that begin at once do not ask for all their pasts in one look."""
    source = Source()
    names = [f"m{n}" for n in range(3 * fit)]
    looks, _ = looking(source, **{
        n: replace(interest(n), past=replace(past_of(n), buckets=buckets)) for n in names
    })  # fmt: skip
    await looks.look()
    assert len(source.pasts) == fit
    for name in names[:fit]:
        looks.want(("ml", name), interest(name))
    await looks.look()
    assert len(set(source.pasts)) == len(source.pasts) == 2 * fit


async def test_a_silent_pod_makes_no_look() -> None:
    """Where no pod answers, nothing is told: Prometheus alone counts."""
    looks, told = looking(Source(), a=replace(interest("a"), pods=(A_POD,)))
    await looks.look()
    told.clear()
    await looks.look_directly()
    assert told == []


async def test_direct_looks_keep_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more pods than the budget has, each is read less often; a hurry changes nothing there."""
    many = tuple(replace(A_POD, pod=f"pod-{n}") for n in range(3 * int(PODS_PER_S)))
    for pods, hurry, wait_s in (((A_POD,), False, 1.0), (many, False, 3.0), (many, True, 3.0)):
        looks, _ = looking(Source(), a=replace(interest("a"), pods=pods, hurry=hurry))
        reads = await reads_of(looks, monkeypatch, 2.5 * wait_s)
        assert reads == [0.0, wait_s, 2 * wait_s]


async def test_a_hurry_reads_its_own_pods_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something may have begun, its pods are read again within a second, and only these."""
    calm = replace(interest("b"), pods=(replace(A_POD, pod="other", revision="b-1"),))
    looks, _ = looking(Source(), a=replace(interest("a"), pods=(A_POD,), hurry=True), b=calm)
    reads = await reads_of(looks, monkeypatch, 1.2)
    assert reads == [0.0, 0.25, 0.5, 0.75, 1.0]
    asked = looks.pods.asked  # type: ignore[attr-defined]
    assert asked == [["a-2-pod", "other"], *[["a-2-pod"]] * 3, ["a-2-pod", "other"]]


async def reads_of(looks: Looks, monkeypatch: pytest.MonkeyPatch, until_s: float) -> list[float]:
    """Return when pods were read directly until an instant, by a clock that only waiting moves."""
    passed_s, reads = 0.0, list[float]()
    read = looks.pods.scrapes

    async def sleep(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds
        if passed_s > until_s:
            raise asyncio.CancelledError

    async def noted(targets: Sequence[Target]) -> tuple[Scrape, ...]:
        reads.append(passed_s)
        return await read(targets)

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        patched.setattr(looks.pods, "scrapes", noted)
        with pytest.raises(asyncio.CancelledError):
            await looks.run_directly(1.0)
    return reads


ORDERS = Counted("shop_orders_total")


async def test_those_who_need_the_same_counters_share_a_query() -> None:
    """Users' counters of many rollouts are one query; each look has its own revision's."""
    source = Source()
    found, _ = looking(
        source,
        a=Interest("ml", ("a-1",), None, {}, counters=(ORDERS,)),
        b=Interest("ml", ("b-1",), None, {}, counters=(ORDERS,)),
    )
    await found.look()
    assert source.counted == [["a-1", "b-1"]]
    look = found.latest(("ml", "a"))
    assert look is not None
    assert [scrape.revision for scrape in look.scrapes if scrape.counters] == ["a-1"]
    assert not look.unread


async def test_b21_counters_that_are_too_much_are_only_their_owners_trouble() -> None:
    """B21: a shared query that fails is asked for each alone, and the others are counted."""
    source = Source(enough=2)
    found, _ = looking(
        source,
        a=Interest("ml", ("a-1",), None, {}, counters=(ORDERS,)),
        b=Interest("ml", ("b-1", "b-2", "b-3"), None, {}, counters=(ORDERS,)),
    )
    await found.look()
    fine, much = found.latest(("ml", "a")), found.latest(("ml", "b"))
    assert fine is not None
    assert much is not None
    assert [s.revision for s in fine.scrapes if s.counters] == ["a-1"]
    assert (fine.unread, much.unread, much.problem) == ("", "an answer that is too long", "")


async def test_b17_of_a_server_that_is_down_nobody_asks_alone() -> None:
    """B17: many who share a query wait for one failure, not for one each."""
    source = Source(dead=True)
    wanted = {n: Interest("ml", (f"{n}-1",), None, {}, counters=(ORDERS,)) for n in "abcd"}
    found, _ = looking(source, **wanted)
    await found.look()
    assert source.counted == [["a-1", "b-1", "c-1", "d-1"]]
    assert all((look := found.latest(("ml", n))) and look.unread for n in wanted)
