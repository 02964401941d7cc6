"""Shares by numbers of pods: what is possible, never more than asked (B6, B18)."""

from hypothesis import given
from hypothesis import strategies as st

from rampway.api.policy import Policy
from rampway.core.traffic import podshare

PODS = st.integers(1, 60)


def policy(*weights: str) -> Policy:
    """Return a policy with these weights."""
    steps = [{"name": f"s{n}", "weight": weight} for n, weight in enumerate(weights)]
    return Policy.model_validate({"steps": steps, "checks": []})


def test_b6_shares_by_hand() -> None:
    """B6: one of four is a quarter; whole percents are rounded down; some is never none."""
    found = [
        podshare.share_pct(c, s) for c, s in ((0, 3), (1, 3), (2, 3), (3, 3), (1, 2), (1, 250))
    ]
    assert found == [0, 25, 40, 50, 33, 1]
    assert podshare.share_pct(2, 0) == 100
    assert [podshare.pods_for(w, 3, 3) for w in (24, 25, 39, 40, 99, 100)] == [0, 1, 1, 2, 3, 3]


@given(weight=st.integers(1, 99), stable=PODS)
def test_b6_the_share_is_the_largest_that_is_not_too_much(weight: int, stable: int) -> None:
    """B6: never more than asked for, and one pod more would be, or there are no more."""
    pods = podshare.pods_for(weight, stable, stable)
    assert podshare.share_pct(pods, stable) <= weight
    assert pods == stable or podshare.share_pct(pods + 1, stable) > weight
    assert podshare.within(weight, pods, stable) == podshare.share_pct(pods, stable)
    assert podshare.within(weight, pods + 1, stable) in {0, podshare.share_pct(pods + 1, stable)}


@given(weight=st.integers(1, 50), replicas=PODS)
def test_b18_the_replicas_that_an_objection_names_are_enough(weight: int, replicas: int) -> None:
    """B18: a policy is refused if and only if one pod is too much; what is advised helps."""
    asked = policy(f"{weight}%", "100%")
    words = podshare.objection(asked, replicas)
    assert bool(words) == (podshare.share_pct(1, replicas) > weight)
    if words:
        enough = int(words.split(", or ", 1)[1].split(" replicas", 1)[0])
        assert podshare.objection(asked, enough) == ""
        assert podshare.objection(asked, enough - 1)


def test_b6_stages_tell_what_was_asked_for() -> None:
    """B6: weight, number of pods and words are those that are given; all of it stays all."""
    first, last = podshare.by_pods(policy("30%", "100%"), 3, 3)
    assert (first.weight_pct, first.asked_pct, first.pods) == (25, 30, 1)
    assert first.shown == "25% (30% asked)"
    assert (last.weight_pct, last.pods, last.shown) == (100, 3, "100%")
    steps = [{"name": "w", "weight": "30%"}, {"name": "look", "approval": {}}]
    look = podshare.by_pods(Policy.model_validate({"steps": steps}), 3, 3)[1]
    assert look.shown == "25% (30% asked, approval)"
    (small,) = podshare.by_pods(policy("5%"), 3, 3)
    assert small.impossible
    assert not small.exposes
