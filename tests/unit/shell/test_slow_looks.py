"""A Prometheus that answers later than the pods are read: nothing that it said is lost (B17)."""

from dataclasses import replace

from unit.shell.pods import Pods
from unit.shell.test_looks import A_POD, NOW_S, A, Source, interest, scrape

from rampway.shell.looks import Looks


async def test_b17_a_look_that_outlasts_a_look_at_the_pods_is_read() -> None:
    """B17: it was begun before, so evidence is beyond it already; it comes with the next look."""
    now_s = [NOW_S]
    source = Source((scrape("a-1"),))
    looks = Looks(source, Pods((scrape("a-2").seen_directly(),)), lambda: now_s[0], lambda _: None)
    wanted = replace(interest("a"), pods=(A_POD,))

    def seen() -> None:
        """Let the evidence take in what there is, as a pass does."""
        latest = looks.latest(A)
        assert latest is not None
        looks.want(A, replace(wanted, seen_s=max(latest.at_s, NOW_S + 7)))

    looks.want(A, wanted)
    await looks.look()
    now_s[0] = NOW_S + 5
    later = replace(scrape("a-1"), at_s=NOW_S + 4)

    def slow() -> None:
        """Let two seconds go by, in which the pods are read and taken in."""
        now_s[0] = NOW_S + 7
        source.scraped = (later,)
        looks.want(A, replace(wanted, seen_s=NOW_S + 7))

    source.meanwhile = slow
    await looks.look()
    seen()
    now_s[0] = NOW_S + 8
    await looks.look_directly()
    latest = looks.latest(A)
    assert latest is not None
    assert latest.at_s == NOW_S + 8
    assert later in latest.scrapes
    looks.want(A, replace(wanted, seen_s=NOW_S + 8))
    kept = looks.latest(A)
    assert kept is not None
    assert kept.scrapes == ()  # read, so it is held no longer
