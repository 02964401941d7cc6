"""plan: steps that keep harm within a budget, or why there are none."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from rampway.api.policy import Policy
from rampway.cli import assumed, drafting, planning
from rampway.cli.app import app
from rampway.cli.assumed import Traffic
from rampway.cli.doubts import Level
from rampway.cli.drafting import Budget
from rampway.cli.linting import lint
from rampway.cli.planning import Option, costs
from rampway.cli.simulating import Outcome
from rampway.sim.answering import lognormal
from rampway.sim.trial_place import Setting
from rampway.sim.trials import chance, play, spread

FAST = ["--runs", "4", "--seed", "1", "--jobs", "1"]
CALM = Traffic(100.0, 0.001, lognormal(0.02, 0.4), "")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "FEW", 3)


def typed(*words: str) -> Result:
    """Type `plan`."""
    return CliRunner().invoke(app, ["plan", *words, *FAST])


@pytest.mark.no_cover
def test_a_plan_is_a_policy_that_lint_accepts() -> None:
    """It is written with what it costs, and keeps to the budget."""
    result = typed("--max-bad-answers", "60", "--detect", "10x", "--rps", "200")
    assert result.exit_code == 0, result.output
    found = lint("plan.yaml", result.stdout, 200.0).findings
    assert [one for one in found if one.level is Level.ERROR] == []
    made = yaml.safe_load(result.stdout)
    policy = Policy.model_validate(made["spec"], by_name=False)
    assert policy.checks[0].error_rate is not None
    assert policy.checks[0].error_rate.detect == "10x"
    assert "4 of 4 stopped, 100 % ± 0 (95 % certain: at least 40 %)" in result.stdout
    assert "bad answers in the mean until then" in result.stdout
    assert "Extra pods:" in result.stdout


def written(path: Path, spec: dict[str, Any]) -> str:
    """Write a policy, and return where."""
    head = {"apiVersion": "rampway.dev/v1alpha1", "kind": "RolloutPolicy"}
    path.write_text(yaml.safe_dump(head | {"metadata": {"name": "mine"}, "spec": spec}))
    return str(path)


@pytest.mark.no_cover
def test_the_checks_of_a_file_stay(tmp_path: Path) -> None:
    """Only the steps are planned; programs get the policy with its figures."""
    spec = {
        "falseRollbackRate": "2%",
        "checks": [{"name": "fails", "errorRate": {"ignoreBelow": "1%"}}],
    }
    words = ["--max-bad-answers", "80", "--detect", "10x", "--rps", "200", "-o", "json"]
    found = json.loads(typed(written(tmp_path / "a.yaml", spec), *words).stdout)
    made = found["policy"]["spec"]
    assert made["falseRollbackRate"] == "2%"
    asked = {"ignoreBelow": "1%", "detect": "10x"}
    assert made["checks"] == [{"name": "fails", "errorRate": asked}]
    good, bad = found["candidates"]
    assert bad["badAnswers"]["mean"] <= 80
    assert good["promotedAfterSeconds"]["median"] <= 7200
    assert found["badAnswersPerHourOncePromoted"] == pytest.approx(200 * 3600 * 0.1)


@pytest.mark.no_cover
def test_a_watch_stays_and_what_steps_asked_is_told(tmp_path: Path) -> None:
    """New steps have neither the approvals nor the degrees of automation of those before."""
    spec = {
        "steps": [
            {"name": "look", "approval": {"message": "Look"}},
            {"name": "half", "weight": "50%", "automation": {"level": "Assist"}},
        ],
        "watch": {"hold": "1h", "holdback": "5%"},
    }
    words = ["--max-bad-answers", "80", "--detect", "10x", "--rps", "200"]
    said = typed(written(tmp_path / "a.yaml", spec), *words).stdout
    assert yaml.safe_load(said)["spec"]["watch"] == spec["watch"]
    lost = "# Not taken over from the steps before: approvals and degrees of automation."
    assert lost in said.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-bad-answers", "1", "--rps", "200"], "so many it takes to tell this harm"),
        (["--max-bad-answers", "50", "--rps", "2"], "at 2 requests a second"),
    ],
)
@pytest.mark.no_cover
def test_b41_what_is_impossible_is_said_with_what_would_do(words: list[str], said: str) -> None:
    """B41: too small a budget, or too little traffic for the time: why, and three ways out."""
    result = typed(*words, "--detect", "10x", "--finish-within", "5m")
    assert result.exit_code == 1
    assert result.stderr.startswith("impossible: ")
    assert said in result.stderr
    assert "--mirror" in result.stderr
    assert "a larger --detect" in result.stderr
    assert ("a longer --finish-within" in result.stderr) == (words[1] == "50")
    assert ("more --max-bad-answers" in result.stderr) == (words[1] == "1")


@pytest.mark.no_cover
def test_b41_a_harm_that_is_the_whole_cannot_be_larger() -> None:
    """B41: where all answers fail a larger --detect helps nobody."""
    rates = ["--rps", "50", "--error-rate", "30%"]
    result = typed("--max-bad-answers", "1", "--detect", "5x", *rates)
    assert result.exit_code == 1
    assert "where 100 % fail (5x)" in result.stderr
    assert "a larger --detect" not in result.stderr


def test_b41_far_too_little_traffic_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """B41: how long evidence takes, before a single trial; what would do is not more harm."""
    monkeypatch.setattr(planning, "play", None)
    result = typed("--max-bad-answers", "50", "--rps", "0.01", "--finish-within", "1h")
    assert result.exit_code == 1
    assert result.stderr.startswith("impossible: at 0.01 requests/s and 50 % it takes about ")
    assert " days until check errors has the " in result.stderr
    assert "not within 60 min. What would do: a longer --finish-within" in result.stderr
    assert "--mirror" in result.stderr


ALARM = {"name": "alarm", "threshold": {"query": "up", "min": "1"}}
FAR = {"against": "Value", "value": "5%"}


@pytest.mark.parametrize(
    ("check", "stables", "said"),
    [
        (ALARM, "0.1%", "no check of the policy (alarm) counts the model's failed answers"),
        (ALARM, "0%", "What would do: a check with errorRate."),
        (
            {"name": "fails", "errorRate": FAR},
            "0.1%",
            "check fails calls up to 6 % no harm (against: Value), so none sees that 5 % fail",
        ),
        ({"name": "fails", "errorRate": {}}, "100%", "What would do: an --error-rate below 100%."),
        (
            {"name": "fails", "errorRate": {"ignoreBelow": "0%"}},
            "0%",
            "stable has no failures and the checks ignore none, so 10x as many are none",
        ),
        (
            {"name": "fails", "errorRate": {"against": "Value", "value": "2%"}},
            "4%",
            "stable has 4 %; a candidate like it is stopped rightly: raise the value.",
        ),
    ],
)
def test_b41_harm_that_no_check_can_see_gets_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Any, stables: str, said: str
) -> None:
    """B41: it is said before a trial which check is blind to it, and what would see it."""
    monkeypatch.setattr(planning, "play", None)
    file = written(tmp_path / "a.yaml", {"checks": [check]})
    words = ["--max-bad-answers", "500", "--detect", "10x", "--rps", "200"]
    result = typed(file, *words, "--error-rate", stables)
    assert result.exit_code == 1
    assert result.stderr.startswith("impossible: ")
    assert said in result.stderr


def test_b41_a_histogram_too_coarse_for_a_check_gets_no_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B41: its check of latency would wait for ever, which is said before a trial."""
    monkeypatch.setattr(planning, "play", None)
    result = typed("--max-bad-answers", "50", "--rps", "200", "--histogram", "0.05:9,+Inf:10")
    assert result.exit_code == 1
    assert result.stderr.startswith("impossible: check latency never passes: the histogram has")


def test_b41_a_harm_that_is_none_to_a_check_gets_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B41: nothing passes a check whose `detect` lies within what it tolerates."""
    monkeypatch.setattr(planning, "play", None)
    vain = {"against": "Value", "value": "60%", "detect": "2x", "maxIncrease": "90%"}
    checks = [{"name": "errors", "errorRate": {}}, {"name": "vain", "errorRate": vain}]
    file = written(tmp_path / "a.yaml", {"checks": checks})
    result = typed(file, "--max-bad-answers", "500", "--rps", "200", "--error-rate", "1%")
    assert result.exit_code == 1
    assert result.stderr.startswith("impossible: check vain never passes: at most 100 % is no harm")


@pytest.mark.no_cover
def test_b41_harm_that_passes_unseen_gets_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B41: a check that passes long before it tells the harm from its value is no protection."""
    monkeypatch.setattr(planning, "SHARES_PCT", (20, 50))
    near = {"name": "fails", "errorRate": {"against": "Value", "value": "0.8%"}}
    near["errorRate"] |= {"ignoreBelow": "0.1%"}  # type: ignore[operator]  # a mapping
    file = written(tmp_path / "a.yaml", {"checks": [near]})
    words = ["--max-bad-answers", "9000", "--detect", "10x", "--error-rate", "0.1%"]
    result = typed(file, *words, "--rps", "100", "--finish-within", "10m")
    assert result.exit_code == 1, result.output
    assert "where 1 % fail (10x), even steps that begin with 20 % promote" in result.stderr
    assert "such candidates; 20 % is the most. check fails calls up to 0.98 %" in result.stderr
    assert "an errorRate against Stable" in result.stderr


def tried(runs: int, stopped: int, took_s: float, *, promoted: bool) -> Outcome:
    """Return what became of candidates of which so many were stopped."""
    bad = assumed.NO_HARM if promoted else assumed.Harm("2 % fail", 0.02)
    some, none = spread([took_s]), spread([])
    rest = some if stopped < runs else none
    found = some if stopped else none
    return Outcome(bad, runs, chance(stopped, runs), 0, rest, found, found, found, some, some, 4,
                   {}, {})  # fmt: skip


@pytest.mark.parametrize(("stopped", "is_one"), [(10, True), (8, True), (7, False), (0, False)])
def test_b41_a_plan_finds_the_harm_in_four_trials_of_five(stopped: int, is_one: bool) -> None:
    """B41: however little it costs until it is promoted, harm that slips through is no plan."""
    good = tried(10, 0, 60.0, promoted=True)
    option = Option(50, Policy(), good, tried(10, stopped, 60.0, promoted=False))
    assert option.within(Budget(100, "20x", 3600.0)) is is_one


def test_b41_what_slips_through_is_told_with_its_cost() -> None:
    """B41: bad answers an hour of all requests, beside stable's own; no figure is missing."""
    good = tried(10, 0, 60.0, promoted=True)
    for stopped, was in ((10, "One that is promoted all the same"), (9, "1 of 10 was promoted")):
        bad = tried(10, stopped, 60.0, promoted=False)
        said = "\n".join(costs(Option(50, Policy(), good, bad), CALM, 3, 1))
        assert "nan" not in said
        assert was in said
        assert "costs 7200 bad answers an hour from then on, where stable has 360" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--detect", "1x"], "expected more than 1x; seen: 1x"),
        (["--detect", "many"], "factor 'many'"),
        (["--finish-within", "5s"], "expected 1m at least; seen: 5s"),
        (["--rps", "5", "--name", "My_Plan"], "expected the name of a Kubernetes object"),
        (["--max-bad-answers", "inf"], "expected a finite number; seen: inf"),
        ([], "expected --rps N"),
    ],
)
def test_what_is_wrong_with_the_question_is_said(words: list[str], said: str) -> None:
    """Usage errors name what was seen and what was expected."""
    result = typed("--max-bad-answers", "50", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.no_cover
def test_b41_a_plan_is_tried_again_by_other_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """B41: no trial that sorted shares out is among those whose figures are told."""
    dice: dict[int, set[int]] = {}

    def noted(made: Setting, candidates: Any, runs: int, seed: int, **more: Any) -> Any:
        dice.setdefault(runs, set()).add(seed)
        return play(made, candidates, runs, seed, **more)

    monkeypatch.setattr(planning, "play", noted)
    assert typed("--max-bad-answers", "60", "--detect", "10x", "--rps", "200").exit_code == 0
    assert dice.keys() == {planning.FEW, 4}
    assert dice[planning.FEW].isdisjoint(dice[4])


@pytest.mark.parametrize("first", planning.SHARES_PCT)
@pytest.mark.parametrize("mirror", [False, True])
def test_steps_rise_from_the_first_share(first: int, mirror: bool) -> None:
    """Every first share gives steps that the API accepts; each is three times the one before."""
    budget = Budget(50, "2x", 3600.0, mirror)
    policy = drafting.planned(Policy(), first, budget, CALM)
    weights = [step.weights_pct[0] for step in policy.steps if step.weights_pct]
    assert weights[0] == first
    assert all(b == 3 * a for a, b in pairwise(weights))
    assert (policy.steps[0].mirror is not None) == mirror
    assert sum(step.hold_s for step in policy.steps) <= budget.finish_s / 2


@pytest.mark.parametrize("detect", ["2x", "4x", "10x"])
def test_what_is_ignored_leaves_room_for_the_harm(detect: str) -> None:
    """What the check tolerates of stable's failures is well below the harm to detect."""
    policy = drafting.planned(Policy(), 5, Budget(50, detect, 3600.0), CALM)
    check = policy.checks[0].error_rate
    assert check is not None
    tolerated = check.ratio * CALM.error_rate + check.floor
    assert 1.4 * tolerated < check.detect_ratio * CALM.error_rate
    assert check.floor <= CALM.error_rate
