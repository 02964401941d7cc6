"""lint: what a valid ModelDeployment may not do as its author thinks, and what is begun never."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from mistakes import full, minimal
from typer.testing import CliRunner
from unit.core.builders import observation

from rampway.api.conditions import Reason
from rampway.api.parse import parse_deployment
from rampway.cli import reckoning
from rampway.cli.app import app
from rampway.cli.doubts import Level
from rampway.cli.linting import lint
from rampway.core.model.policies import Policies, Trouble

Spec = dict[str, Any]
STEPS = [{"name": "half", "weight": "50%", "hold": "90s"}]


def found(manifest: Any, rps: float | None = None) -> list[str]:
    """Return what is found in a file that holds this, with the level of each."""
    findings = lint("f", yaml.safe_dump_all([manifest]), rps).findings
    return [f"{one.level}: {one.text}" for one in findings]


def begun(**spec: Any) -> Spec:
    """Return a ModelDeployment with these parts of its spec, and a policy that is sound."""
    given = minimal()
    given["spec"] |= {"rollout": {"policy": {"steps": STEPS}}} | spec
    return given


def of_steps(*steps: Spec) -> Spec:
    """Return the `rollout` with these steps."""
    return {"policy": {"steps": [{"name": f"s{n}"} | step for n, step in enumerate(steps)]}}


def test_a_query_that_a_source_may_refuse_is_told() -> None:
    """A threshold is not asked of a Prometheus that confines nothing, unless it is open."""
    given = full()
    note = "note: revenue: a query of your own is asked of a MetricSource, of a Cluster"
    for kind, told in (("ClusterMetricSource", 1), ("MetricSource", 0)):
        given["spec"]["metrics"] = {"sourceRef": {"kind": kind, "name": "ours"}}
        assert sum(text.startswith(note) for text in found(given)) == told
    del given["spec"]["metrics"]
    assert sum(text.startswith(note) for text in found(given)) == 1


def test_a_leap_in_automation_is_told() -> None:
    """The last step's degree is not the spec's, which counts once it is promoted."""
    given = minimal()
    steps = [{"name": "half", "weight": "50%", "automation": {"level": "Assist"}}]
    given["spec"]["rollout"] = {"policy": {"steps": steps}}
    leap = "step half ends with automation Assist, and once promoted the model has Full"
    assert any(leap in text for text in found(given))
    given["spec"]["automation"] = {"level": "Assist"}
    assert not any("automation" in text for text in found(given))


def test_a_deadline_that_nothing_meets_is_told() -> None:
    """`0s` gives up every candidate."""
    given = full()
    given["spec"]["rollout"]["progressDeadline"] = "0s"
    assert any("progressDeadline 0s: no pod starts as fast" in text for text in found(given))


def test_what_a_queue_may_wait_for_is_told() -> None:
    """A person who is asked, and the holds and the watch in any case; without it nothing."""
    given = minimal()
    steps = [{"name": "half", "weight": "50%", "hold": "90s"}, {"name": "look", "approval": {}}]
    checks = [{"name": "slow", "latency": {}, "onFailure": "Pause"}]
    watch = {"hold": "1h", "holdback": "5%"}
    rollout: dict[str, object] = {"policy": {"steps": steps, "checks": checks, "watch": watch}}
    given["spec"]["rollout"] = rollout
    assert not any("onNewRevision" in text for text in found(given))
    rollout["onNewRevision"] = "Queue"
    person, long = (text for text in found(given) if "onNewRevision" in text)
    assert person.startswith(
        "note: onNewRevision Queue: a newer revision, also an urgent one, waits"
    )
    assert "the approval of step look and a person, should check slow fail of" in person
    assert person.endswith("the rollout under way; `kubectl rampway abort` frees it")
    assert "a rollout takes 1h1m30s at least, its watch included, and so long" in long
    del rollout["policy"]
    assert sum("onNewRevision Queue: " in text for text in found(given)) == 1


def test_b07_the_queue_is_reckoned_with_the_traffic_that_is_told() -> None:
    """B7: what its checks and minRequests wait for is longer than its holds."""
    given = begun(rollout={"policy": {"steps": STEPS}, "onNewRevision": "Queue"})
    policy = parse_deployment(placed(given)).spec.rollout.policy
    assert policy is not None
    for rps in (5.0, 50.0):
        lasts = reckoning.long(reckoning.lasts_s(policy, rps))
        assert f"a rollout takes {lasts} at {rps:g} requests/s, and so" in "".join(
            found(given, rps)
        )
    assert reckoning.lasts_s(policy, 5.0) > reckoning.lasts_s(policy, 50.0) > 90
    assert "a rollout takes for ever at 0 requests/s, and so long" in "".join(found(given, 0.0))


def test_b07_strict_is_passed_by_a_queue_that_waits_for_people(tmp_path: Path) -> None:
    """B7: who says Queue, and asks people, wants both: that is no warning."""
    steps = [STEPS[0], {"name": "look", "approval": {}}]
    rollout = {"policy": {"steps": steps}, "onNewRevision": "Queue"}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(begun(rollout=rollout)))
    result = CliRunner().invoke(app, ["lint", "--strict", str(path)])
    assert result.exit_code == 0, result.stdout
    assert "waits for the approval of step look" in result.stdout


VAIN: dict[str, tuple[Spec, str]] = {
    "no replicas": ({"replicas": 0}, "replicas 0: nothing serves, and a new revision is only"),
    "confidence beside Assist": (
        {"automation": {"level": "Assist", "confidence": "95%"}},
        "confidence 95% counts for nothing with level Assist: only Partial asks it",
    ),
    "confidence beside Full in a step": (
        {"rollout": of_steps(STEPS[0] | {"automation": {"confidence": "95%"}})},
        "confidence 95% counts for nothing with level Full: only Partial asks it",
    ),
    "an approval that is to hold": (
        {"rollout": of_steps(STEPS[0], {"approval": {}, "hold": "5m"})},
        "step s1: an approval lasts until it is given, and its hold 5m counts for nothing",
    ),
    "requests for an approval": (
        {"rollout": of_steps(STEPS[0], {"approval": {}, "minRequests": 5})},
        "step s1: an approval waits for a person, and its minRequests 5 count for nothing",
    ),
    "a ramp that is to hold": (
        {"rollout": of_steps({"ramp": {"over": "1h"}, "hold": "5m"})},
        "step s0: a ramp lasts as long as its over says (1h), and its hold 5m counts for nothing",
    ),
}


@pytest.mark.parametrize("name", VAIN)
def test_what_counts_for_nothing_is_told(name: str) -> None:
    """Each is valid, and each does not do what its author thinks."""
    spec, words = VAIN[name]
    (told,) = (text for text in found(begun(**spec)) if not text.startswith("note"))
    assert told.startswith(f"warning: {words}")


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 0, "paused": True},
        {"automation": {"level": "Partial", "confidence": "95%"}, "rollout": {}},
        {"automation": {"level": "Full", "confidence": "90%"}},
        {"rollout": of_steps(STEPS[0], {"approval": {}, "hold": "1m", "minRequests": 0})},
    ],
)
def test_what_the_api_server_fills_in_is_no_doubt(spec: Spec) -> None:
    """Defaults, as `kubectl get -o yaml` prints them; zero under a pause is meant."""
    assert [text for text in found(begun(**spec)) if not text.startswith("note")] == []


def test_what_a_watch_says_of_unpaired_answers_is_meant() -> None:
    """Holdback 0% is warned of until the watch says what such an answer does."""
    watch = {"hold": "1h", "holdback": "0%"}
    policy: Spec = {"steps": STEPS, "watch": watch}
    assert any("holdback 0%" in text for text in found(begun(rollout={"policy": policy})))
    policy["watch"] = watch | {"onUnpaired": "Notify"}
    assert not any("holdback 0%" in text for text in found(begun(rollout={"policy": policy})))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"weight": "25%"}, []),
        ({"weight": "45%"}, ["step s asks for 45 %, and 2 candidate pods beside 3 of stable get"]),
        (
            {"weight": "10%"},
            ["no rollout begins (StepsNotPossible): step s asks for 10 %, and 1 candidate pod"],
        ),
        (
            {"mirror": "10%"},
            ["no rollout begins (StepsNotPossible): step s copies or chooses requests"],
        ),
    ],
)
def test_what_pods_cannot_give_is_said_of_a_file(steps: dict[str, str], words: list[str]) -> None:
    """Without a gateway: a share that is rounded down, one that is too small, a copy."""
    rollout = {"steps": [{"name": "s"} | steps], "watch": {"hold": "1h", "holdback": "1%"}}
    spec: dict[str, Any] = {
        "model": {"uri": "http://m/1"},
        "replicas": 3,
        "traffic": {"type": "Replicas"},
        "rollout": {"policy": rollout},
    }
    manifest = {"apiVersion": "rampway.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"name": "digits"}, "spec": spec}  # fmt: skip
    held = "holdback 1%: numbers of pods keep none of it back"
    refused = words and words[0].startswith("no rollout")
    found = [one.text for one in lint("f", json.dumps(manifest), None).findings]
    mine = [text for text in found if "pods" in text or "no rollout" in text]
    expected = words if refused else [*words, held]
    assert len(mine) == len(expected), found
    assert all(one.startswith(text) for one, text in zip(mine, expected, strict=True))
    spec["traffic"] = {"ownedRoute": {"parentRefs": [{"name": "eg"}]}}
    found = [one.text for one in lint("f", json.dumps(manifest), None).findings]
    assert not any("no rollout" in text or "beside 3" in text for text in found)


def placed(manifest: Spec) -> Spec:
    """Return a manifest as the API server has it."""
    meta = {"namespace": "ml", "uid": "u", "generation": 1}
    return manifest | {"metadata": manifest["metadata"] | meta}


REPLICAS = {"traffic": {"type": "Replicas"}}
SCARCE = {"capacity": {"fallback": "Proportional", "maxSurge": 1}}
POSSIBLE = [
    REPLICAS | {"replicas": 3, "rollout": of_steps({"weight": "25%"})},
    REPLICAS | {"replicas": 0, "rollout": of_steps({"weight": "1%"})},
    SCARCE | {"replicas": 4, "rollout": of_steps({"weight": "50%"})},
]
IMPOSSIBLE = [
    REPLICAS | {"replicas": 3, "rollout": of_steps({"weight": "25%"}, {"weight": "30%"})}
    | {"replicas": 2},
    REPLICAS | {"replicas": 3, "rollout": of_steps({"mirror": "10%"})},
    SCARCE | {"replicas": 4, "rollout": of_steps({"mirror": "100%"})},
]  # fmt: skip


@pytest.mark.parametrize("spec", [*POSSIBLE, *IMPOSSIBLE])
def test_b18_lint_refuses_what_the_operator_never_begins(spec: Spec) -> None:
    """B18: StepsNotPossible is an error with the operator's own words, and nothing else is one."""
    given = begun(**spec)
    decided = observation(deployment=parse_deployment(placed(given)), policies=Policies()).policy
    refused = isinstance(decided, Trouble)
    assert refused is (spec in IMPOSSIBLE)
    wrong = [text for text in found(given) if text.startswith("error")]
    if isinstance(decided, Trouble):
        assert decided.reason == Reason.STEPS_NOT_POSSIBLE
        assert wrong == [f"error: no rollout begins (StepsNotPossible): {decided.message}"]
    else:
        assert wrong == []


def test_a_step_that_pods_cannot_give_has_its_line() -> None:
    """Not that of all steps."""
    spec = REPLICAS | {"replicas": 2, "rollout": of_steps({"weight": "33%"}, {"weight": "40%"})}
    text = yaml.safe_dump(begun(**spec), sort_keys=False)
    (one,) = (
        f for f in lint("f", text, None).findings if f.level is Level.WARNING and "s1" in f.text
    )
    assert text.splitlines()[one.line - 1].strip() == "- name: s1"
    ramp = {"ramp": {"from": "33%", "to": "50%", "over": "1h"}}
    (told,) = (t for t in found(begun(**spec | {"rollout": of_steps(ramp)})) if "asks for" in t)
    assert told.endswith("get 33 %; 8 of its stages are given in part like this")


def test_it_is_only_a_warning_where_another_may_say_otherwise() -> None:
    """Replicas that are left out, which an autoscaler may set; the built-in policy."""
    left_out = found(begun(**REPLICAS, rollout=of_steps({"weight": "20%"})))
    words = "warning: no rollout begins with 1 replica (StepsNotPossible): step s0 asks for 20 %"
    assert any(text.startswith(words) for text in left_out)
    words = "warning: no rollout begins with the built-in policy (StepsNotPossible): step five"
    assert any(text.startswith(words) for text in found(begun(**REPLICAS, replicas=2, rollout={})))


def test_a_shared_policy_of_the_same_file_is_looked_at_with_who_names_it() -> None:
    """By kind, namespace and name; one of another namespace is another one."""
    ref = {"policyRef": {"name": "careful"}, "onNewRevision": "Queue"}
    mine = begun(**REPLICAS, replicas=2, rollout=ref)
    shared = {"apiVersion": mine["apiVersion"], "kind": "RolloutPolicy"}
    shared |= {"metadata": {"name": "careful"}, "spec": of_steps({"mirror": "10%"})["policy"]}
    text = yaml.safe_dump_all([mine, shared], sort_keys=False)
    findings = lint("f", text, None).findings
    (one,) = (f for f in findings if f.level is Level.ERROR)
    assert one.text.startswith("no rollout begins (StepsNotPossible): step s0 copies")
    assert one.about == "ModelDeployment digits"
    assert text.splitlines()[one.line - 1].strip() == "policyRef:"
    assert any("onNewRevision Queue: a rollout takes 1m at least" in f.text for f in findings)
    shared["metadata"] |= {"namespace": "elsewhere"}
    apart = lint("f", yaml.safe_dump_all([mine, shared]), None).findings
    assert not any(f.level is Level.ERROR for f in apart)
