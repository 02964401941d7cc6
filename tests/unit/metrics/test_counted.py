"""Users' counters: what is asked for, and what of the answer counts."""

import math
from dataclasses import replace

import pytest

from rampway.core.checks.counters import Counter, Scrape
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.counted import literal, matchers, parted, scrapes_of
from rampway.metrics.direct import Target, read_page
from rampway.metrics.profiles import RAMPWAY
from rampway.metrics.reading import Series

VISITS = Counter("shop_visits_total")
PLACED = Counter("shop_orders_total", (("kind", "placed"),))
BOTH = ("digits-a", "digits-b")
START = "process_start_time_seconds"


def series(name: str, *values: float, pod: str = "shop-1", **labels: str) -> Series:
    """Return a series of a pod, a sample each ten seconds."""
    where = {"__name__": name, "namespace": "ml", "pod": pod} | labels
    return where, [(10.0 * (n + 1), value) for n, value in enumerate(values)]


def test_a_pod_of_others_tells_of_both_revisions() -> None:
    """The label revision says whose a series is; other labels' series are added up."""
    found = scrapes_of(
        [
            series(START, 1, 1),
            series("shop_visits_total", 5, 9, revision="digits-a", page="x"),
            series("shop_visits_total", 1, 2, revision="digits-a", page="y"),
            series("shop_visits_total", 3, 3, revision="digits-b"),
            series("shop_visits_total", 3, 3, revision="digits-z"),
            series("shop_orders_total", 2, 4, revision="digits-a", kind="placed"),
            series("shop_orders_total", 9, 9, revision="digits-a", kind="cart"),
        ],
        [VISITS, PLACED],
        BOTH,
        START,
    )
    told = {(s.revision, s.at_s): dict(s.counters) for s in found}
    assert told == {
        ("digits-a", 10.0): {"shop_visits_total": 6.0, str(PLACED): 2.0},
        ("digits-a", 20.0): {"shop_visits_total": 11.0, str(PLACED): 4.0},
        ("digits-b", 10.0): {"shop_visits_total": 3.0},
        ("digits-b", 20.0): {"shop_visits_total": 3.0},
    }
    assert len({s.key for s in found}) == 2


def test_a_revisions_own_pods_need_not_name_it() -> None:
    """Without the label a series is of the revision whose pod it comes from, else of nobody's."""
    own = "digits-a-5f6-x"
    found = scrapes_of(
        [
            series(START, 1, pod=own),
            series(START, 1, pod="digits-abc-1"),
            series("shop_visits_total", 5, pod=own),
            series("shop_visits_total", 7, pod="digits-abc-1"),
        ],
        [VISITS],
        BOTH,
        START,
    )
    assert [(s.revision, s.pod, s.started_at_s) for s in found] == [("digits-a", own, 1.0)]


def test_b20_what_could_be_counted_twice_is_left_out() -> None:
    """B20: a page without its process's start, and a second page of the same pod, do not count."""
    lost = [series("shop_visits_total", 5, revision="digits-a")]
    assert scrapes_of(lost, [VISITS], BOTH, START) == []
    twice = [
        series(name, value, container=container, revision=revision)
        for container, value in (("app", 5), ("proxy", 50))
        for name, revision in ((START, ""), ("shop_visits_total", "digits-a"))
    ]
    (only,) = scrapes_of(twice, [VISITS], BOTH, START)
    assert only.counters == {"shop_visits_total": 5.0}


def test_b17_a_counter_that_is_no_number_is_no_answer() -> None:
    """B17: NaN is not taken for zero."""
    wrong = [series(START, 1), series("shop_visits_total", math.nan, revision="digits-a")]
    with pytest.raises(ValueError, match="not a number"):
        scrapes_of(wrong, [VISITS], BOTH, START)


def test_slices_are_counted_apart_and_in_the_whole() -> None:
    """Each value of the label is a count of its own; what has none, or a long one, has not."""
    by_region = Counter("shop_visits_total", by="region")
    found = scrapes_of(
        [
            series(START, 1),
            series("shop_visits_total", 5, revision="digits-a", region="eu", page="x"),
            series("shop_visits_total", 2, revision="digits-a", region="eu", page="y"),
            series("shop_visits_total", 3, revision="digits-a", region="a b=c"),
            series("shop_visits_total", 1, revision="digits-a"),
            series("shop_visits_total", 4, revision="digits-a", region="z" * 101),
        ],
        [VISITS, by_region],  # two checks ask for the same, one of them by slices
        BOTH,
        START,
    )
    (only,) = found
    assert only.counters == {
        "shop_visits_total": 15.0,
        "shop_visits_total region=eu": 7.0,
        "shop_visits_total region=a b=c": 3.0,
    }
    assert by_region.slice_of("shop_visits_total region=a b=c") == "a b=c"
    assert not VISITS.slice_of("shop_visits_total region=eu")
    assert matchers([by_region], BOTH, START) == matchers([VISITS], BOTH, START)


def test_b21_a_label_with_very_many_values_is_refused() -> None:
    """B21: who slices by a user's id is told so, instead of filling the operator's memory."""
    by_user = Counter("shop_visits_total", by="user")
    many = [series("shop_visits_total", 1, revision="digits-a", user=f"u{n}") for n in range(501)]
    with pytest.raises(MetricsUnavailable, match="501 values of the label user; expected at most"):
        scrapes_of([series(START, 1), *many], [by_user], BOTH, START)
    assert scrapes_of([series(START, 1), *many], [VISITS], BOTH, START)


def test_what_is_asked_for_is_no_more_than_is_needed() -> None:
    """Only labels that all counters name narrow the query, and nothing of a user's is a pattern."""
    wanted = matchers([VISITS, PLACED], BOTH, START)
    assert wanted == {
        "__name__": f"shop_orders_total|shop_visits_total|{START}",
        "revision": "digits-a|digits-b|",
    }
    odd = Counter("shop_orders_total", (("kind", 'x|y"} or {a="'),))
    assert matchers([PLACED, odd], BOTH, START)["kind"] == 'placed|x\\|y"\\} or \\{a="|'
    assert literal("a-b_c") == "a-b_c"


def test_a_scrape_of_everything_is_parted() -> None:
    """The simulation's scrapes have all counters: ours and those that are asked for part."""
    told = {"shop_visits_total": 4.0, "other": 1.0}
    whole = Scrape("ml", "digits-a", "p", 1.0, 0.0, {"ok": 3}, counters=told)
    own, users = parted(whole, [VISITS])
    assert (own.counters, users.counters) == ({}, {"shop_visits_total": 4.0})
    assert (own.outcomes, users.outcomes) == ({"ok": 3}, {})
    assert [s.counters for s in parted(whole, ())] == [{}]
    sliced = replace(whole, counters=told | {"shop_visits_total region=eu": 3.0, "other x=y": 1.0})
    _, users = parted(sliced, [Counter("shop_visits_total", by="region")])
    assert users.counters == {"shop_visits_total": 4.0, "shop_visits_total region=eu": 3.0}


def test_a_pod_that_is_read_directly_tells_them_too() -> None:
    """The direct look reads users' counters of the model's own pods from the same page."""
    page = "\n".join(
        [
            f"{START} 5",
            'rampway_requests_total{revision="digits-a",outcome="ok",attempt="first"} 7',
            "shop_visits_total 6",
            'shop_orders_total{kind="placed"} 2',
            'shop_orders_total{kind="cart"} 3',
        ]
    )
    target = Target("ml", "digits-a", "digits-a-5f6-x", "10.0.0.1", (VISITS, PLACED))
    own, users = read_page(page, target, 9.0, RAMPWAY)
    assert own.outcomes == {"ok": 7}
    assert users.counters == {"shop_visits_total": 6.0, str(PLACED): 2.0}
    assert own.key != users.key
    assert users.direct
