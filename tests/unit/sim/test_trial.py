"""A trial: whole rollouts decided by the core, over traffic that dice draw."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from rampway.api.conditions import RolloutPhase
from rampway.api.policy import Policy
from rampway.cli import counted
from rampway.cli.assumed import NO_HARM, Harm, Traffic, setting
from rampway.sim.answering import lognormal
from rampway.sim.trial import Ended, Trial

STEPS = [
    {"name": "ten", "weight": "10%", "hold": "30s"},
    {"name": "half", "weight": "50%", "hold": "30s"},
]
CHECKS: list[dict[str, Any]] = [
    {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}},
    {"name": "slow", "latency": {"detect": "5x"}},
]
CALM = Traffic(100.0, 0.0, lognormal(0.02, 0.4), "as in tests")
BROKEN = Harm("30 % fail", 0.3)


def run(harm: Harm = NO_HARM, seed: int = 1, traffic: Traffic = CALM, **policy: Any) -> Ended:
    """Play one trial."""
    wanted = Policy.model_validate({"steps": STEPS, "checks": CHECKS} | policy, by_name=False)
    made = setting(None, wanted, traffic, harm)
    return Trial(replace(made, longest_s=3600.0), Random(seed)).run()  # noqa: S311


def test_a_good_candidate_goes_through_all_steps() -> None:
    """It is promoted after the steps' holds and its pods' start, and no sooner."""
    ended = run()
    assert ended.promoted
    assert [name for name, _ in ended.stages] == ["ten", "half"]
    assert 80 < ended.took_s < 300  # two holds of 30 s, and two starts of 10 s
    assert ended.tally.failed == 0
    assert ended.tally.most_pods == 6


def test_the_same_dice_give_the_same_course() -> None:
    """The seed decides everything."""
    assert run(BROKEN, seed=3) == run(BROKEN, seed=3)
    assert run(BROKEN, seed=3) != run(BROKEN, seed=4)


@pytest.mark.parametrize("seed", range(3))
def test_b41_harm_is_rolled_back_at_once(seed: int) -> None:
    """B41: a candidate that fails three times in ten is stopped by its check within a minute."""
    ended = run(BROKEN, seed)
    assert (ended.phase, ended.check) == (RolloutPhase.ROLLED_BACK, "errors")
    assert ended.exposed_s < 60
    assert 0 < ended.tally.failed < ended.tally.answers


def test_a_slow_candidate_is_rolled_back() -> None:
    """Three times as slow is found by the latency check."""
    ended = run(Harm("3x as slow", slowdown=3.0))
    assert (ended.phase, ended.check) == (RolloutPhase.ROLLED_BACK, "slow")


def test_copies_cost_users_nothing() -> None:
    """A candidate that only gets copies is judged, and no user sees what it answers."""
    shadow = {"name": "shadow", "mirror": "100%", "hold": "30s"}
    ended = run(BROKEN, steps=[shadow, *STEPS])
    assert ended.stopped
    assert ended.tally.copies > 0
    assert ended.tally.answers == 0


def test_people_and_thresholds_are_taken_to_agree() -> None:
    """An approval and a threshold hold a trial up no longer than a pass."""
    look = {"name": "look", "approval": {"message": "fine?"}}
    limit = {"name": "orders", "threshold": {"query": "x{{ candidate }}", "min": "3"}}
    ended = run(steps=[STEPS[0], look, STEPS[1]], checks=[*CHECKS, limit])
    assert ended.promoted
    assert [name for name, _ in ended.stages] == ["ten", "look", "half"]


def test_hooks_are_taken_to_succeed() -> None:
    """A hook before promotion is run, and its rollout promoted."""
    call = {"url": "http://hooks/tell"}
    hook = {"name": "tell", "when": "BeforePromotion", "http": call}
    assert run(hooks=[hook]).promoted


@pytest.mark.no_cover
def test_a_watch_that_compares_is_part_of_it() -> None:
    """With a holdback it goes on until the watch is over; without one it ends with promotion."""
    alone = run(watch={"hold": "5m"})
    compared = run(watch={"hold": "5m", "holdback": "10%"})
    assert alone.promoted
    assert compared.promoted
    assert compared.took_s > alone.took_s + 250


@pytest.mark.no_cover
def test_b41_trials_of_several_candidates_share_their_beginning() -> None:
    """B41: each goes on by its own dice as if it were alone, whoever went on before it."""
    wanted = Policy.model_validate({"steps": STEPS, "checks": CHECKS}, by_name=False)
    good, bad = (setting(None, wanted, CALM, harm) for harm in (NO_HARM, BROKEN))

    def begun() -> Trial:
        trial = Trial(good, Random(1))  # noqa: S311
        trial.begin()
        return trial

    shared = begun()
    assert shared.place.tally.answers == 0
    assert shared.rollout is not None
    assert shared.rollout.status.traffic_since
    first = shared.beside(bad.candidate, Random(2)).run()  # noqa: S311
    second = shared.beside(good.candidate, Random(3)).run()  # noqa: S311
    assert (first.stopped, second.promoted) == (True, True)
    assert second == begun().beside(good.candidate, Random(3)).run()  # noqa: S311
    assert first == begun().beside(bad.candidate, Random(2)).run()  # noqa: S311


VISITS = {"exposures": {"metric": "visits"}, "events": {"metric": "orders"}, "detect": "2x"}
BASKET = {
    "sum": {"metric": "basket_sum"}, "count": {"metric": "basket_count"}, "upper": "100",
    "maxChange": "5%",
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "check", "change"),
    [
        ("users=10%:0.5", {"counts": VISITS}, "2x"),
        ("users=40%", {"counts": VISITS | {"harmWhen": "Less"}}, "0.5x"),
        ("users=20,10", {"mean": BASKET}, "1.5x"),
        ("users=40,10", {"mean": BASKET | {"harmWhen": "Less"}}, "0.6x"),
        ("users=10%:0.5", {"counts": VISITS | {"against": "Past"}}, "2x"),
        ("users=40,10", {"mean": BASKET | {"against": "Past", "detect": "1.5x"}}, "1.6x"),
    ],
)
@pytest.mark.no_cover
def test_what_users_count_is_judged(told: str, check: dict[str, Any], change: str) -> None:
    """A harmless candidate passes, one with which users count something else is put back."""
    checks = [{"name": "users"} | check]
    wanted = Policy.model_validate({"steps": STEPS, "checks": checks}, by_name=False)
    traffic = replace(CALM, counted=counted.told([told], wanted))
    harm = Harm("", changed=("users", change))
    good, bad = (
        Trial(setting(None, wanted, traffic, one, longest_s=4 * 3600.0), Random(1)).run()  # noqa: S311
        for one in (NO_HARM, harm)
    )
    assert good.promoted
    assert (bad.phase, bad.check) == (RolloutPhase.ROLLED_BACK, "users")


def test_b41_of_copies_users_count_nothing() -> None:
    """B41: while the candidate gets copies only, nobody sees its answers."""
    checks = [{"name": "users", "counts": VISITS}]
    shadow = {"name": "shadow", "mirror": "100%", "hold": "1m"}
    policy = {"steps": [shadow, *STEPS], "checks": checks}
    wanted = Policy.model_validate(policy, by_name=False)
    traffic = replace(CALM, counted=counted.told(["users=40%"], wanted))
    trial = Trial(setting(None, wanted, traffic, NO_HARM), Random(1))  # noqa: S311
    trial.begin()
    trial.place.go_on(30.0)
    assert trial.place.tally.copies > 0
    told = {s.revision: s.counters for s in trial.place.scrapes(direct=False) if s.counters}
    stable = told.pop(trial.place.stable.revision)
    assert stable["visits"] > 0
    assert [*told.values()] == [{"visits": 0.0, "orders": 0.0}]


def test_a_match_step_gets_the_share_that_is_said() -> None:
    """Requests that a header chooses are the part of all that the setting tells."""
    step = {"name": "some", "match": {"headers": [{"name": "x", "value": "y"}]}, "hold": "100s"}
    wanted = Policy.model_validate({"steps": [step], "checks": []})
    made = setting(None, wanted, CALM, NO_HARM, matched=0.2)
    ended = Trial(made, Random(1)).run()  # noqa: S311
    assert 0.15 < ended.tally.answers / (100 * ended.exposed_s) < 0.25
