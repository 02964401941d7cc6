"""lint --rps: how long steps last at so much traffic."""

from typing import Any

import yaml
from mistakes import full, minimal
from unit.cli.test_lint import MIRROR, policy

from rampway.api.policy import Policy
from rampway.cli import doubts, reckoning
from rampway.cli.linting import lint
from rampway.core import evidence
from rampway.core.evidence import harmless


def said(given: Policy, rps: float | None) -> list[str]:
    """Return what waits longer than it seems, notes included."""
    return [doubt.text for doubt in reckoning.about(given, rps)]


def five(**more: Any) -> Policy:
    """Return a policy with a step of five per cent for two minutes."""
    return policy(steps=[{"name": "five", "weight": "5%", "hold": "2m"} | more])


def test_b18_the_requests_that_a_check_needs_are_those_of_the_evidence() -> None:
    """B18: by the same forecast; a small share of little traffic takes long, of none for ever."""
    given = five()
    (check,) = given.checks
    needed = reckoning.requests_needed(given, check, 5, mirrored=False)
    assert needed is not None
    assert 300 < needed < 1000  # the guide says about 500
    (slow,) = said(given, 10)
    assert f"after about {needed} requests on the candidate: at 10 requests/s and 5 %" in slow
    assert "lasts for ever" in said(given, 0)[0]
    assert said(given, 1000) == []
    copied = reckoning.requests_needed(given, check, 50, mirrored=True)
    assert copied is not None
    latency = policy(checks=[{"name": "slow", "latency": {"percentile": "99"}}])
    assert reckoning.requests_needed(latency, latency.checks[0], 50, mirrored=False)


def test_b18_proof_of_harmlessness_is_reckoned_with() -> None:
    """B18: what rules harm out beside a stable without errors, by the floor that is tolerated."""
    steps = [{"name": "five", "weight": "5%", "hold": "2m"}]
    needs = []
    for floor in ("1%", "0.1%"):
        asked = {"maxIncrease": "10%", "ignoreBelow": floor, "require": "HarmRuledOut"}
        proof = policy(steps=steps, checks=[{"name": "e", "errorRate": asked}])
        needed = reckoning.requests_needed(proof, proof.checks[0], 5, mirrored=False)
        assert needed is not None
        needs.append(needed)
    # log(20) / 1 %, times the phi of bursts that nobody can rule out where nothing ever fails.
    assert 300 * harmless.PRIOR.phi < needs[0] < 600 * harmless.PRIOR.phi
    assert needs[1] > 5 * needs[0]
    (slow,) = said(proof, 100)
    assert slow.endswith("; traffic, weight or ignoreBelow would shorten it")


def test_b18_what_cannot_be_proved_beside_a_stable_without_errors_is_said() -> None:
    """B18: nothing is tolerated of nothing, and `detect` is not asked by a proof."""
    asked = {"maxIncrease": "100%", "ignoreBelow": "0%", "require": "HarmRuledOut"}
    (text,) = said(policy(checks=[{"name": "e", "errorRate": asked}]), None)
    assert text.startswith("check e would never pass beside a stable without errors: more than")
    assert "detect" not in text


def test_b18_many_times_no_failure_is_none_and_said() -> None:
    """B18: where nothing is ignored, more has to be tolerated and not less."""
    (text,) = said(policy(checks=[{"name": "e", "errorRate": {"ignoreBelow": "0%"}}]), None)
    assert text.startswith("check e would never pass beside a stable without errors: 3x as many")
    assert text.endswith("ignore some, by ignoreBelow above 0%")


def test_a_harm_that_nothing_tells_from_what_is_tolerated() -> None:
    """No traffic would let such a check pass, so no rate has to be told."""
    (text,) = said(policy(checks=[{"name": "e", "latency": {"detect": "1.001x"}}]), None)
    assert text.startswith("check e would never pass: no number of requests tells detect 1.001x")


def test_the_requests_asked_for_are_reckoned_with() -> None:
    """A million requests at one in twenty seconds: not what the check alone would take."""
    (text,) = said(five(minRequests=600), 10)
    assert text.startswith("step five lasts about 20 min, not 2 min: minRequests 600 at 10 req")
    (text,) = said(five(minRequests=1_000_000), 1)
    assert text.startswith("step five lasts about 231 days, not 2 min: minRequests 1000000")
    assert "lasts for ever" in said(five(minRequests=1), 0)[0]
    assert said(five(minRequests=600), 1000) == []
    rise = [{"name": "rise", "ramp": {"over": "10m"}, "minRequests": 100}]
    (text,) = said(policy(steps=rise, checks=[]), 10)
    assert text.startswith(
        "step rise lasts about 41 min, not 10 min: minRequests 100 in each of its"
    )
    assert text.endswith("at 10 requests/s and from 1 %")


def test_a_ramps_stages_and_the_whole_of_it_are_told_apart() -> None:
    """Only its first, smallest stage waits for the check's requests."""
    rise = [{"name": "rise", "ramp": {"over": "2h"}}]
    (text,) = said(policy(steps=rise), 20)
    assert "the first of the 9 stages of ramp rise lasts about" in text
    assert "not 13 min, and all of it about" in text
    assert ", not 2.0 h; traffic" in text


def test_what_matches_is_not_reckoned_and_that_is_said() -> None:
    """Nobody knows from a rate how many requests bear a header; a mirror is reckoned."""
    beta = {"name": "beta", "match": {"headers": [{"name": "x", "value": "y"}]}}
    (text,) = said(policy(steps=[beta], checks=[]), 10)
    assert text == "step beta: how many requests match is not known from --rps: not reckoned"
    assert said(policy(steps=[beta]), None) == []
    assert "step shadow lasts" in said(policy(steps=MIRROR), 1)[0]


def found(manifest: Any, rps: float | None) -> list[str]:
    """Return what is found in a file that holds this."""
    return [one.text for one in lint("f", yaml.safe_dump(manifest), rps).findings]


def test_without_a_policy_the_built_in_one_is_reckoned_with() -> None:
    """Also without `policyRef`: then nobody knows from this file."""
    note, *slow = found(minimal(), 1)
    assert note.startswith("no policy: looked at with the built-in one; a ClusterRolloutPolicy")
    assert [text.split()[1] for text in slow] == ["errors", "latency"]
    given = minimal()
    given["spec"]["rollout"] = {"policyRef": {"name": "careful"}}
    assert found(given, 1) == [
        "policyRef careful: its steps and checks are looked at where they are written"
    ]


def test_nothing_is_reckoned_before_the_mistakes_are_gone() -> None:
    """And that is said, lest silence be taken for enough traffic."""
    given = full()
    given["spec"]["rollout"]["policy"]["steps"][0]["hold"] = 90
    _, note = found(given, 1)
    assert note == (
        "warnings are looked for and --rps is reckoned with once the mistakes in the spec are gone"
    )


def test_what_users_count_is_not_reckoned_with() -> None:
    """No rate of requests tells how many visits there are: that is said where a rate is given."""
    counts = {"events": {"metric": "orders"}, "exposures": {"metric": "visits"}}
    given = policy(checks=[{"name": "orders", "counts": counts}])
    (text,) = said(given, 10)
    assert text == "check orders: how many visits there are is not known from --rps: not reckoned"
    assert said(given, None) == []


VALUE = {"against": "Value", "value": "1%", "detect": "3x", "ignoreBelow": "0.5%"}


def held(kind: str, **asked: Any) -> Policy:
    """Return a policy with one check that is held against a value."""
    return five().model_copy(
        update={"checks": policy(checks=[{"name": "held", kind: asked}]).checks}
    )


def test_b18_a_check_against_a_value_is_reckoned_with() -> None:
    """B18: without an event it passes at the very request at which the operator lets it."""
    given = held("errorRate", **VALUE)
    needed = reckoning.requests_needed(given, given.checks[0], 5, mirrored=False)
    assert needed is not None
    cleared = [evidence.log_cleared(n, 0, 0.03, evidence.UNTOLD_PHI) for n in (needed - 1, needed)]
    assert cleared[0] < evidence.LOG_BAR <= cleared[1]
    (slow,) = said(given, 10)
    assert f"check held passes after about {needed} requests on the candidate: at 10 req" in slow
    assert "step five lasts about" in slow
    assert said(given, None) == []
    assert "until check held has" in reckoning.hopeless(given, 1, 60)


def test_b18_durations_against_a_value_are_reckoned_with() -> None:
    """B18: their percentile is how often longer ones are usual; a warm-up comes on top."""
    quick = VALUE | {"percentile": "99", "value": "200ms"}
    needs = []
    for more in ({}, {"warmUp": {"requests": 50}}):
        given = held("latency", **quick, **more)
        needs.append(reckoning.requests_needed(given, given.checks[0], 5, mirrored=False))
    assert needs[0] is not None
    assert needs[1] == needs[0] + 50


def test_b18_what_users_count_against_a_value_is_told_in_its_own_number() -> None:
    """B18: how many exposures, at the value itself where less is harm; never how long."""
    counters = {"events": {"metric": "orders"}, "exposures": {"metric": "visits"}}
    needs = []
    for value, harm_when in (("1%", "More"), ("10%", "Less")):
        asked = {"against": "Value", "value": value, "harmWhen": harm_when, "detect": "3x"}
        given = held("counts", **counters, **asked)
        (text,) = said(given, 10)
        needed = reckoning.requests_needed(given, given.checks[0], 5, mirrored=False)
        assert needed is not None
        assert text == (
            "check held: how many visits there are is not known from --rps: not reckoned; it "
            f"passes after about {needed} on the candidate"
        )
        needs.append(needed)
    rates = (0.0, 0.1)
    harms = (0.03, 0.1 / 3)
    for needed, rate, harm, fewer in zip(needs, rates, harms, (False, True), strict=True):
        assert needed == evidence.requests_to_clear(0, rate, harm, evidence.UNTOLD_PHI, fewer=fewer)


def test_b18_a_check_that_practically_never_passes_is_told() -> None:
    """B18: a harm so near to what is usual that no traffic tells it."""
    counters = {"events": {"metric": "orders"}, "exposures": {"metric": "visits"}}
    near = {"harmWhen": "Less", "maxChange": "0%", "ignoreBelow": "0%", "detect": "1.001x"}
    (text,) = said(held("counts", **counters, against="Value", value="10%", **near), 10)
    assert text.endswith(
        "a hundred million would not let it pass: narrow its bounds, or raise detect"
    )


def test_b18_a_past_is_not_reckoned_with_and_that_is_said() -> None:
    """B18: how often harm is usual is stable's to show, and of no file."""
    assert said(held("errorRate", against="Past"), 10) == [
        "check held: how often harm is usual in stable's past is not known from --rps: not reckoned"
    ]
    assert said(held("errorRate", against="Past"), None) == []


def test_b18_what_a_value_tolerates_is_told_once() -> None:
    """B18: `detect` within the tolerance is a doubt of lint's own, whatever the traffic."""
    given = held("errorRate", **VALUE | {"detect": "1.2x"})
    assert said(given, 10) == []
    assert sum("never passes" in doubt.text for doubt in doubts.about(given)) == 1
