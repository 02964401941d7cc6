"""simulate: what is asked, the figures, the picture, and what is wrong with the question."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from unit.cli import scenes
from unit.cli.conftest import Connect

from rampway.api.policy import Policy
from rampway.cli import assumed, counted, measured, sight
from rampway.cli import simulate as verb
from rampway.cli.app import app
from rampway.cli.assumed import Traffic
from rampway.sim.answering import lognormal

HEAD = """\
apiVersion: rampway.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  steps:
  - {name: half, weight: 50%, hold: 20s}
  checks:
"""
POLICY = (
    HEAD
    + """\
  - {name: errors, errorRate: {ignoreBelow: 1%, detect: 5x}}
  - {name: orders, threshold: {query: "orders{{ candidate }}", min: "1"}}
"""
)
FAST = ["--rps", "100", "--runs", "4", "--seed", "3", "--jobs", "1", "--errors", "30%"]


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., Result]:
    """Type `simulate` with a file of this text."""

    def go(text: str, *words: str) -> Result:
        path = tmp_path / "a.yaml"
        path.write_text(text)
        return CliRunner().invoke(app, ["simulate", str(path), *words])

    return go


def test_the_table_says_time_harm_and_dice(typed: Callable[..., Result], tmp_path: Path) -> None:
    """A row for each candidate, false rollbacks with their error, the seed; and the picture."""
    picture = tmp_path / "a.svg"
    result = typed(POLICY, *FAST, "--picture", str(picture))
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert rows["no harm"].split("  ", 1)[1].lstrip().startswith("0 of 4")
    assert "4 of 4" in rows["30 % fail"]
    said = "False rollbacks: 0 of 4, 0 % ± 0 (95 % certain: at most 60 %); the policy allows 1%"
    assert said in result.stdout
    assert "thresholds stay within their limits" in result.stdout
    assert "--seed 3" in result.stdout
    drawn = ET.fromstring(picture.read_text())  # noqa: S314 - we wrote it
    words = [node.text for node in drawn.iter() if node.tag.endswith("text")]
    assert {"no harm", "30 % fail"} <= set(words)


@pytest.mark.no_cover
def test_steps_that_outlast_every_trial_are_named(typed: Callable[..., Result]) -> None:
    """Nothing waits there but the clock: no hint to look for what waits."""
    text = HEAD.replace("20s", "24h").replace("checks:", "checks: []")
    said = typed(text, "--rps", "1", "--runs", "2", "--jobs", "1").stdout
    assert "2 of 2 had neither ended nor been stopped after 24.0 h, as its steps" in said
    assert "hold for 24.0 h in all" in " ".join(said.split())


def test_b41_traffic_that_ends_no_trial_is_said_before_them(
    typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B41: in one sentence, how long evidence takes; and one hint, not one for each candidate."""
    monkeypatch.setattr(verb, "LONGEST_S", 120.0)
    few = ["--runs", "2", "--jobs", "1", "--errors", "1.1x", "--errors", "1.2x"]
    result = typed(POLICY, "--rps", "1", *few)
    assert result.stderr.startswith("note: at 1 requests/s and 50 % it takes about ")
    assert " min until check errors has the " in result.stderr
    said = " ".join(result.stdout.split())
    assert said.count("had neither ended nor been stopped after") == 3
    assert said.count("may say which step waits") == 1
    assert typed(POLICY, "--rps", "100", *few).stderr == ""


VALUE = '{against: Value, percentile: "90", value: 80ms}'


@pytest.mark.parametrize(
    ("asked", "histogram", "why"),
    [
        ("{}", "0.05:90,+Inf:99", "no two bounds as far apart as maxIncrease 20% tolerates"),
        ("{}", "0.05:90,0.055:95,+Inf:99", "no two bounds as far apart as"),
        ("{}", "0.05:90,0.1:99,+Inf:99", ""),
        (VALUE, "0.05:90,0.09:95,+Inf:99", "no bound from 96 ms (value and maxIncrease) on"),
        (VALUE, "0.05:90,0.1:99,+Inf:99", ""),
    ],
)
def test_b41_a_histogram_too_coarse_for_a_check_is_said(
    typed: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    histogram: str,
    why: str,
) -> None:
    """B41: slowness shows at bounds; where none are that a check needs, nothing ever passes."""
    monkeypatch.setattr(verb, "LONGEST_S", 60.0)
    words = ["--rps", "100", "--runs", "2", "--jobs", "1", "--slower", "3x", "--histogram"]
    said = typed(HEAD + f"  - {{name: slow, latency: {asked}}}\n", *words, histogram).stderr
    told = f"note: check slow never passes: the histogram has {why}"
    assert told in said if why else "never passes" not in said


def test_a_token_that_cannot_be_read_ends_as_other_files(typed: Callable[..., Result]) -> None:
    """With exit code 4, and in words."""
    found = typed(POLICY, "--rps", "5", "--token", "/no/such")
    assert found.exit_code == 4
    assert found.stderr == "error: /no/such cannot be read: no such file or directory\n"


def test_b41_answers_beyond_the_last_bound_are_said(
    typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B41: no bound shows that they take longer still, so the check of latency passes nothing."""
    monkeypatch.setattr(verb, "LONGEST_S", 60.0)
    words = ["--rps", "100", "--runs", "2", "--jobs", "1", "--slower", "3x", "--latency"]
    slow = HEAD + "  - {name: slow, latency: {}}\n"
    assert "check slow never passes: answers take longer than" in typed(slow, *words, "10m").stderr
    assert "never passes" not in typed(slow, *words, "1s").stderr


def test_b41_a_harm_that_is_none_to_a_check_is_said(
    typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B41: nothing passes a check whose `detect` lies within what it tolerates."""
    monkeypatch.setattr(verb, "LONGEST_S", 60.0)
    check = "errorRate: {against: Value, value: 60%, detect: 2x, maxIncrease: 90%}"
    said = typed(HEAD + f"  - {{name: errors, {check}}}\n", *FAST).stderr
    assert "note: check errors never passes: at most 100 % is no harm, and that of detect" in said
    assert "given up after 0 h, which takes a while; Ctrl-C ends it" in said


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("replicas: 0", "no rollout begins: scaled to zero (spec.replicas): nothing serves"),
        ("replicas: 3", "no rollout begins: step half asks for 20 %, and 1 candidate pod beside 3"),
    ],
)
def test_b41_a_rollout_that_never_begins_is_said(
    typed: Callable[..., Result], spec: str, why: str
) -> None:
    """B41: in the operator's words, and how to try it with as many pods as it takes."""
    steps = [line.strip() for line in POLICY.replace("50%", "20%").splitlines()[4:]]
    text = "\n".join(
        ["apiVersion: rampway.dev/v1alpha1", "kind: ModelDeployment", "metadata: {name: digits}",
         "spec:", "  model: {uri: http://m/1}", f"  {spec}", "  traffic: {type: Replicas}",
         "  rollout:", "    policy:", *(f"      {line}" for line in steps)]
    )  # fmt: skip
    result = typed(text, *FAST)
    assert result.exit_code == 4
    assert result.stderr.startswith(f"error: ModelDeployment digits: {why}")
    assert result.stderr.rstrip().endswith("With another number of pods: --replicas N")
    assert typed(text, *FAST, "--replicas", "4").exit_code == 0


def test_steps_without_requests_are_no_matter_of_small_harm(typed: Callable[..., Result]) -> None:
    """An approval alone sends the candidate nothing: whatever it does, nobody sees it."""
    text = HEAD.replace("weight: 50%, hold: 20s", "approval: {message: Look}")
    said = typed(text + "  - {name: errors, errorRate: {}}\n", *FAST).stdout
    told = " ".join(said.split())
    assert "promoted: no step sends the candidate a request, so nothing can be seen." in told
    assert "harm as small as this" not in told


def test_b41_programs_get_the_same_figures_each_time(typed: Callable[..., Result]) -> None:
    """B41: JSON has all ranges; with one seed twice the same, whatever was tried beside it."""
    first, again = (json.loads(typed(POLICY, *FAST, "-o", "json").stdout) for _ in range(2))
    assert first == again
    good, bad = first["candidates"]
    assert good["promotedAfterSeconds"]["median"] > 20
    assert good["stoppedAfterSeconds"] is None
    assert bad["stopped"]["count"] == 4
    assert bad["stoppedBy"] == {"errors": 4}
    assert bad["badAnswers"]["mean"] > 1
    assert first["seed"] == 3


def test_b41_a_warm_up_is_played_and_said(typed: Callable[..., Result]) -> None:
    """B41: it is left out in a trial too; what cannot be known of it is said."""
    words = ["--rps", "100", "--runs", "3", "--seed", "3", "--jobs", "1", "--slower", "4x"]
    checks = "  - {name: slow, latency: {detect: 5x WARM}}\n"
    plain, cold = (
        json.loads(typed(HEAD + checks.replace(" WARM", more), *words, "-o", "json").stdout)
        for more in ("", ", warmUp: {requests: 400}")
    )
    (added,) = set(cold["takenForGranted"]) - set(plain["takenForGranted"])
    assert added.startswith("a warm-up is left out")
    late, soon = (of["candidates"][1]["stoppedAfterSeconds"]["median"] for of in (cold, plain))
    assert cold["candidates"][1]["stoppedBy"] == {"slow": 3}
    assert late > soon + 5, "at 50 requests a second of the candidate"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected --rps N, or --of NAME"),
        (["--rps", "0"], "--rps: expected more than 0"),
        (["--rps", "5", "--errors", "7"], "--errors: factor '7': expected for example 3x or 1.5x"),
        (["--rps", "5", "--errors", "150%"], "expected at most 100%; seen: 150%"),
        (["--rps", "5", "--slower", "fast"], "factor 'fast'"),
        (["--rps", "5", "--histogram", "1:5,2:3,+Inf:9"], "counts from 0 on never fall"),
        (["--rps", "5", "--histogram", "zero"], "expected for example 0.01:120"),
        (["--rps", "5", "--picture", "a.png"], "ends in .svg; seen: a.png"),
        (["--rps", "5", "--picture", "/no/a.svg"], "expected a folder that exists; seen: /no"),
        (["--rps", "inf"], "'--rps': expected a finite number; seen: inf"),
        (["--rps", "5", "--latency", "0s"], "'--latency': expected 1ms at least; seen: 0s"),
        (["--rps", "5", "--scrape-interval", "20ms"], "expected 1s at least; seen: 20ms"),
        (["--of", "digits", "--prometheus", "prom:9090"], "expected http://HOST:PORT or https:"),
        (["--rps", "5", "--window", "2h"], "--window: is for traffic that --of measures"),
        (["--rps", "5", "--of", "digits"], "--of: FILE has the policy and --rps the traffic"),
        (["--of", "digits", "--latency", "20ms"], "--latency: --of measures it; with --rps all"),
        (["--of", "digits", "--error-rate", "0%"], "--error-rate: --of measures it"),
        (
            ["--rps", "5", "--latency", "50ms", "--histogram", "1:5,+Inf:9"],
            "--latency: --histogram tells the durations",
        ),
        (["--rps", "5", "--window", "0s"], "'--window': expected 1m at least; seen: 0s"),
        (["--rps", "5", "--histogram", "+Inf:9"], "bounds rise, two at least"),
        (["--rps", "5", "--histogram", "1:-5,+Inf:9"], "counts from 0 on"),
        (["--rps", "5", "--histogram", "1:5,+Inf:inf"], "counts from 0 on"),
        (["--rps", "5", "--slower", "0.5x"], "--slower: expected more than 1x; seen: 0.5x"),
        (
            ["--rps", "5", "--error-rate", "4%", "--errors", "3%"],
            "--errors: expected more failures than stable's 4 %; seen: 3%",
        ),
        (["--rps", "5", "--error-rate", "2"], "percentage '2'"),
    ],
)
def test_what_is_wrong_with_the_question_is_said(
    typed: Callable[..., Result], words: list[str], said: str
) -> None:
    """Usage errors name what was seen and what was expected."""
    result = typed(POLICY, *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POLICY.replace("50%", "500%"), "the file has mistakes"),
        ("kind: Service\napiVersion: v1\nmetadata: {name: a}\n", "has no policy"),
        (POLICY + "---\n" + POLICY.replace("careful", "other"), "say --policy NAME"),
    ],
)
def test_a_file_without_one_policy_is_refused(
    typed: Callable[..., Result], text: str, said: str
) -> None:
    """The file's mistakes, none, or several policies: exit code 4 and what to do."""
    result = typed(text, "--rps", "5")
    assert result.exit_code == 4
    assert said in result.stderr


def test_a_policy_is_found_by_its_name(typed: Callable[..., Result]) -> None:
    """Of several the one that is named; a ModelDeployment's reference is followed in the file."""
    both = POLICY + "---\n" + POLICY.replace("careful", "other")
    found = json.loads(typed(both, *FAST, "--policy", "other", "-o", "json").stdout)
    assert found["of"] == "RolloutPolicy other"


@pytest.mark.no_cover
def test_a_live_model_deployment_tells_policy_and_traffic(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--of reads its policy from the cluster and its traffic from Prometheus."""
    connect(scenes.healthy)

    async def told(*_: object) -> Traffic:
        return Traffic(100.0, 0.0, lognormal(0.02, 0.4), "as measured")

    monkeypatch.setattr(measured, "measure", told)
    words = ["simulate", "--of", "digits", "--runs", "2", "--seed", "1", "--jobs", "1"]
    result = CliRunner().invoke(app, [*words, "--errors", "100%", "-o", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["of"], found["traffic"]) == ("ModelDeployment digits", "as measured")
    assert found["candidates"][1]["stopped"]["count"] == 2


def test_a_prometheus_that_is_not_reached_is_told_how_to_be(connect: Connect) -> None:
    """What does not answer from here is port-forwarded."""
    connect(scenes.healthy)
    words = ["simulate", "--of", "digits", "--prometheus", "http://127.0.0.1:9"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 4
    assert "port-forward" in result.stderr


def test_usual_harms_are_those_that_the_checks_look_for() -> None:
    """Multiples of what is ignored where stable fails less; slowness only with a latency check."""
    calm = Traffic(10.0, 0.001, lognormal(0.02, 0.4), "")
    checks = [{"name": "errors", "errorRate": {"ignoreBelow": "1%"}}]
    policy = Policy.model_validate({"checks": checks}, by_name=False)
    rates = [harm.error_rate for harm in assumed.usual(calm, policy)]
    assert rates == [0.02, 0.05, 0.2, 1.0]
    assert [h.slowdown for h in assumed.usual(calm, Policy())][-2:] == [1.5, 3.0]


@pytest.mark.parametrize(("stables", "rates"), [(0.0, [0.01, 0.05, 0.2, 1.0]), (1.0, [])])
def test_usual_harms_are_shares_where_no_multiple_is_one(
    stables: float, rates: list[float]
) -> None:
    """Of no failures, none of them ignored, there is no multiple; beside all nothing is worse."""
    known = Traffic(10.0, stables, lognormal(0.02, 0.4), "")
    checks = [{"name": "errors", "errorRate": {"ignoreBelow": "0%"}}]
    policy = Policy.model_validate({"checks": checks}, by_name=False)
    assert [harm.error_rate for harm in assumed.usual(known, policy)] == rates


def test_what_was_found_is_shown_where_no_picture_can_be_drawn(
    typed: Callable[..., Result], tmp_path: Path
) -> None:
    """What cannot be written costs the picture, not minutes of trials."""
    (tmp_path / "all.svg").mkdir()
    result = typed(POLICY, *FAST, "--picture", f"{tmp_path}/all.svg")
    assert result.exit_code == 4
    assert result.stderr.startswith(f"error: {tmp_path}/all.svg cannot be written")
    assert "30 % fail" in result.stdout


def test_b41_what_users_count_is_left_out_and_said() -> None:
    """B41: a check of which nothing is told is left out, and that is said with what would do."""
    counters = {"exposures": {"metric": "visits_total"}, "events": {"metric": "orders_total"}}
    checks = [{"name": "errors", "errorRate": {}}, {"name": "orders", "counts": counters}]
    known = Traffic(10.0, 0.0, lognormal(0.02, 0.4), "")
    policy, notes = assumed.tried(Policy.model_validate({"checks": checks}, by_name=False), known)
    assert [check.name for check in policy.checks] == ["errors"]
    words = "what it counts is not known here (--counted orders=...)"
    assert notes == [f"check orders is left out: {words}"]


COUNTED = (
    HEAD
    + """\
  - name: orders
    counts:
      exposures: {metric: visits_total}
      events: {metric: orders_total}
      harmWhen: Less
      detect: 2x
"""
)


@pytest.mark.no_cover
def test_what_users_count_is_tried_where_it_is_told(typed: Callable[..., Result]) -> None:
    """Half as many orders are found by their check; without --changed what it is to detect."""
    words = ["--rps", "100", "--runs", "3", "--seed", "3", "--jobs", "1", "-o", "json"]
    told = ["--counted", "orders=20%"]
    found = json.loads(typed(COUNTED, *words, *told, "--changed", "orders=0.4x").stdout)
    good, bad = found["candidates"]
    assert (good["stopped"]["count"], bad["stoppedBy"]) == (0, {"orders": 3})
    assert (bad["candidate"], bad["changed"]) == ("orders 0.4x", {"orders": "0.4x"})
    assert found["takenForGranted"] == ["what users count comes at once, and once a scrape"]
    usual = json.loads(typed(COUNTED, *words, *told).stdout)["candidates"]
    assert [one["candidate"] for one in usual] == ["no harm", "orders 0.5x"]


@pytest.mark.no_cover
def test_b41_slices_are_left_out_and_said(typed: Callable[..., Result]) -> None:
    """B41: a check with slices is tried as it is without them, which is said."""
    words = [*FAST[:-2], "--counted", "orders=20%", "--changed", "orders=0.4x", "-o", "json"]
    sliced = COUNTED + "      slices: {by: region}\n"
    whole, told = (json.loads(typed(text, *words).stdout) for text in (COUNTED, sliced))
    assert told["candidates"] == whole["candidates"]
    assert whole["candidates"][1]["stoppedBy"] == {"orders": 4}
    added = set(told["takenForGranted"]) - set(whole["takenForGranted"])
    assert added == {"slices are not played: the whole is judged alone, and a little sooner"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--counted", "visits=3%"], "a check by counts or mean; there is orders"),
        (["--counted", "orders"], "expected CHECK=..."),
        (["--counted", "orders=300%"], "expected at most 100%"),
        (["--counted", "orders=3%:many"], "expected a number from 0 on; seen: 'many'"),
        (["--changed", "orders=0.5x"], "expected --counted orders=... as well"),
        (["--counted", "orders=3%", "--changed", "orders=half"], "factor 'half'"),
        (["--counted", "orders=3%", "--changed", "orders=2x"], "expected less than 1x, which is"),
    ],
)
def test_what_is_wrong_with_what_users_count_is_said(
    typed: Callable[..., Result], words: list[str], said: str
) -> None:
    """Another check's name, shares above one, or a candidate's change of what is not known."""
    result = typed(COUNTED, "--rps", "5", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


HELD = HEAD + "  - {name: held, errorRate: {against: Value, value: 2%, detect: 5x}}\n"


def test_b41_what_stops_stable_itself_is_no_false_rollback(typed: Callable[..., Result]) -> None:
    """B41: a value that stable is beyond is named in the note, the table and the figures."""
    words = (*FAST, "--error-rate", "20%")
    result = typed(HELD, *words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    why = (
        "stable itself is beyond the value of check held: at most 2.7 % is no harm, and stable has"
    )
    assert f"note: {why} 20 %" in result.stderr
    assert "no harm (beyond held) 4 of 4" in said
    advice = "a candidate like it is stopped rightly: raise the value"
    rightly = "4 of 4 were stopped by that: no false rollbacks."
    assert f"S{why[1:]} 20 %; {advice}. {rightly}" in said
    assert "False rollbacks by other checks: 0 of 4" in said
    found = json.loads(typed(HELD, *words, "-o", "json").stdout)
    assert found["stableBeyond"] == {"held": f"{why} 20 %; {advice}"}
    assert found["candidates"][0]["stoppedBy"] == {"held": 4}


def _held(kind: str, **asked: object) -> Policy:
    return Policy.model_validate({"checks": [{"name": "held", kind: {"against": "Value"} | asked}]})


@pytest.mark.parametrize(
    ("error_rate", "median", "checks", "beyond"),
    [
        ("2.5%", "50ms", {"kind": "errorRate", "value": "2%"}, False),
        ("3%", "50ms", {"kind": "errorRate", "value": "2%"}, True),
        ("0%", "50ms", {"kind": "latency", "percentile": "99", "value": "200ms"}, False),
        ("0%", "300ms", {"kind": "latency", "percentile": "99", "value": "200ms"}, True),
    ],
)
def test_b41_what_stable_is_beyond_is_told_by_what_is_tolerated(
    error_rate: str, median: str, checks: dict[str, str], *, beyond: bool
) -> None:
    """B41: what lies within the tolerance is no harm of stable's."""
    asked = dict(checks)
    given = _held(asked.pop("kind"), **asked)
    found = sight.beyond(given, assumed.traffic(10, error_rate, median, None))
    assert list(found) == ["held"] * beyond


@pytest.mark.parametrize(
    ("mean", "names"), [("4,1", []), ("2,1", ["held"])], ids=["as usual", "too small"]
)
def test_b41_a_mean_that_is_too_small_is_beyond_its_value(mean: str, names: list[str]) -> None:
    """B41: in its own unit, and where less is harm below what is tolerated."""
    series = {"sum": {"metric": "stars_sum"}, "count": {"metric": "stars_count"}}
    bounds = {"lower": "1", "upper": "5", "value": "4", "harmWhen": "Less"}
    given = _held("mean", **series, **bounds)
    plain = assumed.traffic(10, "0%", "50ms", None)
    assert sight.beyond(given, plain) == {}
    told = replace(plain, counted=counted.told([f"held={mean}"], given))
    found = sight.beyond(given, told)
    assert list(found) == names
    assert all("and stable has 2; " in text for text in found.values())
    assert all(text.endswith("rightly: lower the value") for text in found.values())
