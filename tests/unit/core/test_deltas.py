"""B20: per-pod counters become counts per interval; nothing scraped is lost or counted twice."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import (
    FORGET_S,
    Delta,
    Ledger,
    advance,
    from_json,
    start_ledger,
    to_json,
)
from rampway.core.evidence import UNTOLD, Histogram

T0_S = 1_760_000_000.0
INF = float("inf")


def scrape(
    after_s: float,
    ok: int,
    *,
    failed: int = 0,
    started_s: float = -500.0,
    pod: str = "a",
    fast: int | None = None,
) -> Scrape:
    """Return a scrape so many seconds after T0; `fast` of its requests took at most 0.1 s."""
    number = ok + failed
    return Scrape(
        namespace="space",
        revision="digits-1",
        pod=pod,
        at_s=T0_S + after_s,
        started_at_s=T0_S + started_s,
        outcomes={"ok": ok, "model_error": failed},
        buckets=UNTOLD if fast is None else Histogram.of({0.1: fast, INF: number}),
    )


def counted(ledger: Ledger, scrapes: Iterable[Scrape]) -> tuple[Ledger, Delta]:
    """Advance, and return what the one revision counted."""
    ledger, deltas = advance(ledger, scrapes)
    return ledger, deltas.get("digits-1", Delta())


def requests(scrapes: Iterable[Scrape]) -> int:
    """Return the requests counted from an empty ledger that began at T0."""
    return counted(start_ledger(T0_S), scrapes)[1].requests


def test_b20_difference_of_one_process() -> None:
    """B20: one process start: outcomes and buckets are differences, of the same scrape."""
    _, found = counted(
        start_ledger(T0_S), [scrape(0, 100, failed=1, fast=90), scrape(5, 107, failed=3, fast=95)]
    )
    assert found == Delta({"ok": 7, "model_error": 2}, Histogram.of({0.1: 5, INF: 9}))


def test_b20_pod_from_before_the_rollout_begins_at_its_first_scrape() -> None:
    """B20: what a pod counted before the rollout's first look counts nothing."""
    assert requests([scrape(1, 1000)]) == 0


def test_b20_pod_born_after_the_first_look_counts_from_zero() -> None:
    """B20: a pod that started later has nothing from before: all it says counts."""
    assert requests([scrape(9, 12, started_s=5)]) == 12


def test_b20_new_process_counts_from_zero() -> None:
    """B20: a later start time in the same pod is a new process: nothing of it is lost."""
    assert requests([scrape(0, 100), scrape(5, 110), scrape(20, 4, started_s=12)]) == 14


def test_b20_more_after_a_restart_than_before_is_no_difference() -> None:
    """B20: a new process that overtook the old one's counts still counts from zero."""
    assert requests([scrape(0, 100), scrape(60, 150, started_s=12)]) == 150


def test_b20_step_back_of_a_replicated_prometheus_is_dropped() -> None:
    """B20: a decrease without a new start is dropped; the highest accepted stays the measure."""
    assert requests([scrape(0, 100), scrape(5, 120), scrape(6, 115), scrape(7, 118)]) == 20
    later = [scrape(0, 100), scrape(5, 120), scrape(6, 115), scrape(10, 130)]
    assert requests(later) == 30


@pytest.mark.parametrize(
    "odd",
    [
        scrape(5, 120, failed=1, fast=100),
        scrape(5, 120, failed=2, fast=80),
        replace(scrape(5, 120), outcomes={"ok": 120}),
    ],
    ids=["an outcome", "a bucket", "an outcome that is gone"],
)
def test_b20_any_decrease_drops_the_whole_scrape(odd: Scrape) -> None:
    """B20: requests and events come from one scrape: if one of them steps back, none counts."""
    base = scrape(0, 100, failed=2, fast=90)
    ledger, found = counted(start_ledger(T0_S), [base, odd])
    assert found.requests == 0
    assert ledger.last["space", "a", ""] == base


def test_b20_start_time_that_goes_back_is_dropped() -> None:
    """B20: an echo of the old process after the new one is no news."""
    echo = [
        scrape(0, 100),
        scrape(20, 4, started_s=12),
        scrape(21, 105),
        scrape(25, 6, started_s=12),
    ]
    assert requests(echo) == 6


def test_start_times_that_tremble_are_one_process() -> None:
    """A client that rounds the boot time moves the start by a second: no new process."""
    trembling = [scrape(0, 100), scrape(5, 110, started_s=-499.0), scrape(9, 115, started_s=-500.0)]
    assert requests(trembling) == 15


def test_b20_histogram_stored_in_part_is_made_up_for() -> None:
    """B20: where buckets are missing for a scrape, the next whole one brings what they held."""
    whole, later = scrape(0, 100, fast=90), scrape(10, 120, fast=105)
    for broken in (scrape(5, 110), replace(scrape(5, 110), buckets=Histogram.of({INF: 110}))):
        _, found = counted(start_ledger(T0_S), [whole, broken, later])
        assert found == Delta({"ok": 20, "model_error": 0}, Histogram.of({0.1: 15, INF: 20}))


def test_bound_that_appears_later_counts_from_there() -> None:
    """What a bound held when it was first seen belongs to no interval."""
    wider = replace(scrape(5, 110), buckets=Histogram.of({0.1: 95, 0.2: 99, INF: 110}))
    last = replace(scrape(9, 120), buckets=Histogram.of({0.1: 96, 0.2: 101, INF: 120}))
    ledger, found = counted(start_ledger(T0_S), [scrape(0, 100, fast=90), wider])
    assert found.buckets == Histogram.of({0.1: 5, INF: 10})
    assert counted(ledger, [last])[1].buckets == Histogram.of({0.1: 1, 0.2: 2, INF: 10})


def test_b20_long_unseen_pod_is_forgotten_and_never_counted_twice() -> None:
    """B20: after an hour unseen a pod leaves the ledger; if it comes back, it begins anew."""
    ledger, found = counted(start_ledger(T0_S), [scrape(20, 50, started_s=10)])
    assert found.requests == 50
    ledger, found = counted(ledger, [scrape(30 + FORGET_S, 1, pod="b", started_s=3000)])
    assert ledger.last.keys() == {("space", "b", "")}
    ledger, found = counted(ledger, [scrape(40 + FORGET_S, 60, started_s=10)])
    assert found.requests == 0
    assert counted(ledger, [scrape(45 + FORGET_S, 62, started_s=10)])[1].requests == 2


def test_b20_what_was_forgotten_stays_forgotten() -> None:
    """B20: looks in which nobody is forgotten do not take back that somebody was."""
    ledger, _ = counted(start_ledger(T0_S), [scrape(20, 50, started_s=10)])
    ledger, _ = counted(ledger, [scrape(30 + FORGET_S, 1, pod="b", started_s=3000)])
    ledger, _ = counted(ledger, [scrape(35 + FORGET_S, 1, pod="b", started_s=3000)])
    assert counted(ledger, [scrape(40 + FORGET_S, 60, started_s=10)])[1].requests == 0


def test_duplicate_of_an_idle_pod_does_not_turn_back_its_time() -> None:
    """Counters that stood still are no reason to take an older scrape for the last one."""
    ledger, _ = counted(start_ledger(T0_S), [scrape(0, 100), scrape(30, 100)])
    ledger, _ = counted(ledger, [scrape(15, 100)])
    assert ledger.last_scrapes() == {("space", "a", ""): T0_S + 30}


def test_b20_new_process_takes_over_no_histogram() -> None:
    """B20: the old process's histogram is no measure for the new one's."""
    _, found = counted(
        start_ledger(T0_S),
        [
            scrape(0, 100, fast=90),
            scrape(20, 4, started_s=12),
            scrape(25, 500, started_s=12, fast=450),
        ],
    )
    assert found.requests == 500
    assert found.buckets == UNTOLD


def test_nobody_is_forgotten_while_prometheus_is_away() -> None:
    """A gap of hours in all pods alike loses nothing: the counters went on."""
    ledger, _ = counted(start_ledger(T0_S), [scrape(0, 100), scrape(0, 7, pod="b")])
    _, found = counted(ledger, [scrape(9 * FORGET_S, 900), scrape(9 * FORGET_S, 17, pod="b")])
    assert found.requests == 810


def test_histogram_of_a_revision_adds_its_pods() -> None:
    """The latency bounds are chosen from all pods of stable together, and of no other revision."""
    other = replace(scrape(0, 50, fast=1, pod="c"), revision="digits-2")
    ledger, _ = advance(
        start_ledger(T0_S), [scrape(0, 100, fast=90), scrape(0, 10, fast=4, pod="b"), other]
    )
    assert ledger.total("digits-1").buckets == Histogram.of({0.1: 94, INF: 110})
    assert ledger.total("digits-3").buckets == UNTOLD


def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    """A pod is known by namespace and name."""
    elsewhere = replace(scrape(1, 5, started_s=-9), namespace="elsewhere")
    ledger, _ = counted(start_ledger(T0_S), [scrape(0, 100), elsewhere])
    assert ledger.last_scrapes() == {("space", "a", ""): T0_S, ("elsewhere", "a", ""): T0_S + 1}


BOUNDS = (0.1, 0.2, INF)
Counts = dict[str, int]


class Process:
    """One serving process and its true counts, for the property tests."""

    def __init__(self, pod: str, started_s: float) -> None:
        self.pod, self.started_s = pod, started_s
        self.counts: Counts = {"ok": 0, "model_error": 0}
        self.cells = [0, 0, 0]

    def serve(self, ok: int, failed: int, cell: int) -> None:
        """Answer requests, all of them of one duration."""
        self.counts["ok"] += ok
        self.counts["model_error"] += failed
        self.cells[cell] += ok + failed

    def scraped(self, at_s: float) -> Scrape:
        """Return what a scrape says now."""
        sums = Histogram.of({b: sum(self.cells[: i + 1]) for i, b in enumerate(BOUNDS)})
        revision = f"digits-{self.pod}"[:-1]
        return Scrape("space", revision, self.pod, at_s, self.started_s, dict(self.counts), sums)


ACTS = st.tuples(
    st.sampled_from(["x1", "x2", "y1"]),
    st.sampled_from(["serve", "serve", "scrape", "scrape", "restart"]),
    st.integers(0, 20),
    st.integers(0, 3),
    st.integers(0, 2),
)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[list[Scrape]], dict[str, Delta]]:
    """Draw looks, each a list of scrapes, and what they must add up to, by revision.

    Looks overlap, as the operator's do: each brings its own scrapes, and any of those of the look
    before once more; in any order, some twice, some with an echo that steps back.
    """
    now_s, looks, fresh = T0_S, [], list[Scrape]()
    processes = {p: Process(p, T0_S - 100 if p == "x1" else T0_S + 2) for p in ("x1", "x2", "y1")}
    ended: list[list[Scrape]] = []
    seen: dict[str, list[Scrape]] = {p: [] for p in processes}
    for pod, act, number, failed, cell in draw(st.lists(ACTS, max_size=60)):
        now_s += 3
        if act == "serve":
            processes[pod].serve(number, failed, cell)
        elif act == "restart":
            ended.append(seen[pod])
            seen[pod], processes[pod] = [], Process(pod, now_s)
        else:
            fresh.append(processes[pod].scraped(now_s + 1))
            seen[pod].append(fresh[-1])
            if len(seen[pod]) > 1 and draw(st.booleans()):
                echo = replace(seen[pod][-2], at_s=now_s + 2)
                fresh.append(echo)
        if draw(st.integers(0, 4)) == 0:
            looks.append(fresh)
            fresh = []
    looks.append(fresh)
    mixed = [
        draw(st.permutations([*look, *_some(draw, look), *_some(draw, before)]))
        for before, look in zip([[], *looks], looks, strict=False)
    ]
    return mixed, _truth([*ended, *seen.values()])


def _some(draw: st.DrawFn, scrapes: Sequence[Scrape]) -> list[Scrape]:
    return [one for one in scrapes if draw(st.booleans())]


def _truth(processes: Iterable[Sequence[Scrape]]) -> dict[str, Delta]:
    """Return what each process said last, less its baseline if it is older than the rollout."""
    whole: dict[str, Delta] = {}
    for scrapes in processes:
        if not scrapes:
            continue
        first, last = scrapes[0], scrapes[-1]
        mine = Delta(last.outcomes, last.buckets)
        if first.started_at_s < T0_S:
            less = {name: -count for name, count in first.outcomes.items()}
            mine = mine.plus(Delta(less, Histogram.of({b: -count for b, count in first.buckets})))
        whole[last.revision] = whole.get(last.revision, Delta()).plus(mine)
    return whole


def _plain(whole: dict[str, Delta]) -> dict[str, tuple[Counts, dict[float, int]]]:
    """Return what was counted at all, by revision: outcomes, and buckets by bound."""
    return {
        revision: (
            {name: count for name, count in delta.outcomes.items() if count},
            {bound: count for bound, count in delta.buckets if count},
        )
        for revision, delta in whole.items()
    }


def _add_up(looks: Iterable[Iterable[Scrape]], *, restarting: bool) -> dict[str, Delta]:
    ledger, whole = start_ledger(T0_S), dict[str, Delta]()
    for look in looks:
        if restarting:
            ledger = from_json(json.loads(json.dumps(to_json(ledger))))
        ledger, deltas = advance(ledger, look)
        for revision, delta in deltas.items():
            whole[revision] = whole.get(revision, Delta()).plus(delta)
    return whole


@given(stories())
def test_b20_sums_are_the_truth(story: tuple[list[list[Scrape]], dict[str, Delta]]) -> None:
    """B20: under any duplicates, orders, echoes and restarts the deltas add up to the truth."""
    looks, truth = story
    assert _plain(_add_up(looks, restarting=False)) == _plain(truth)


@given(stories())
def test_b32_replay_is_as_if_never_interrupted(
    story: tuple[list[list[Scrape]], dict[str, Delta]],
) -> None:
    """B32: an operator that restarts before every look counts the very same."""
    looks, truth = story
    assert _plain(_add_up(looks, restarting=True)) == _plain(truth)


def test_b32_checkpoint_gives_back_the_ledger() -> None:
    """B32: pods with different bounds, outcomes and no histogram at all come back as they were."""
    odd = replace(
        scrape(3, 5, pod="c"), outcomes={"ok": 5}, buckets=Histogram.of({0.5: 0, 1.0: 3, INF: 3})
    )
    scrapes = [scrape(1, 100, fast=90), scrape(2.125, 7, pod="b"), odd]
    ledger = replace(advance(start_ledger(T0_S), scrapes)[0], forgotten_s=T0_S - 5)
    assert from_json(json.loads(json.dumps(to_json(ledger)))) == ledger
    assert from_json(to_json(start_ledger(T0_S))) == start_ledger(T0_S)


def test_b32_checkpoint_is_small() -> None:
    """B32: a hundred pods, each with 52 buckets of which 20 are in use, fit in 20 kB."""
    bounds = [*(0.001 * 1.2**k for k in range(51)), INF]
    cells = [0] * 15 + [37] * 20 + [0] * 17
    buckets = Histogram.of({b: sum(cells[: k + 1]) for k, b in enumerate(bounds)})
    pods = (f"digits-0123456789-abcdefghij-{k:05}" for k in range(100))
    scrapes = [replace(scrape(1.234, 740, pod=pod), buckets=buckets) for pod in pods]
    text = json.dumps(to_json(advance(start_ledger(T0_S), scrapes)[0]), separators=(",", ":"))
    assert len(text) < 20_000


@pytest.mark.parametrize("field", ["namespaces", "revisions", "bounds", "outcomes"])
def test_checkpoint_that_lacks_a_table_is_refused(field: str) -> None:
    """A damaged checkpoint is a ValueError, so that its reader begins anew."""
    data = to_json(advance(start_ledger(T0_S), [scrape(1, 100, fast=90)])[0])
    with pytest.raises(ValueError, match=r"outside its tables|zip\(\) argument"):
        from_json(data | {field: []})
