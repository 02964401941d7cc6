"""A better model is rolled out under traffic, once; each test reads what that showed."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.bench import Bench, Obj
from cluster.caller import calling, settle
from cluster.load import Answer
from cluster.prometheus import replayed
from cluster.recorder import Recorder, recording
from cluster.subject import Subject, backends, evidence, identities, ready, share, step, turns

pytestmark = pytest.mark.cluster

REPLICAS = 2
LONG = "12s"
"""Enough for Prometheus's history alone to pass the last step: the operator also asked the pods."""
STEPS = (step(20), step(50), step(80, LONG))
POLICY = evidence(*STEPS)
POLICY["checks"].append({"name": "latency", "latency": {"maxIncrease": "100%", "detect": "10x"}})
SOON = {"against": "Value", "percentile": "95", "value": "2s", "detect": "10x"}
POLICY["checks"].append({"name": "soon", "latency": SOON})


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a rollout of v2 over v1 showed.

    Attributes:
        before: Pods of the candidate while it had half of the requests.
        after: Its pods once it was stable.
        answers: All that the client got, from before the rollout until stable's were gone.
        said: What `kubectl wait` and `kubectl rampway status --wait` said, with their exit codes.
    """

    subject: Subject
    first: str
    second: str
    before: list[Obj]
    after: list[Obj]
    answers: list[Answer]
    left_out: int
    said: dict[str, tuple[int, str]]
    recorder: Recorder


@pytest.fixture(scope="module")
def promotion(
    bench: Bench, story: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Promotion]:
    """Roll v2 out over v1 under traffic."""
    folder: Path = tmp_path_factory.mktemp("promotion")
    with recording(bench.kube, story.namespace, folder) as recorder:
        first = story.start("v1", POLICY, REPLICAS)
        with calling(bench, story.name, folder / "answers.jsonl", story.tell) as caller:
            time.sleep(1)
            story.apply("v2", POLICY, REPLICAS)
            waits = {
                "wait": bench.kube.start(
                    "kubectl", "wait", "--for=condition=Promoted", "--timeout=240s",
                    f"modeldeployment/{story.name}", "-n", story.namespace,
                ),
                "status": bench.kube.start(
                    "kubectl", "rampway", "status", story.name, "-n", story.namespace,
                    "--wait", "--timeout", "240s",
                ),
            }  # fmt: skip
            story.in_force(50)
            second = story.status()["candidate"]["revision"]
            before = story.pods(second)
            story.promoted(120)
            after = story.pods(second)
            said = {name: _said(process) for name, process in waits.items()}
            story.until(lambda: not story.pods(first), "v1's pods gone", 60)
            settle()
        answers = caller.answers()
        left_out = caller.left_out()
        yield Promotion(story, first, second, before, after, answers, left_out, said, recorder)


def _said(process: "subprocess.Popen[str]") -> tuple[int, str]:
    text, _ = process.communicate(timeout=300)
    return process.returncode, text


def test_promotion_loses_no_request(promotion: Promotion) -> None:
    """Not one request fails from the apply to the end of v1's last pod, by the client's count."""
    assert [answer for answer in promotion.answers if answer.failed] == []
    assert promotion.left_out < len(promotion.answers) / 10, "the machine was too busy to ask"
    names = {f"{promotion.subject.name}-{one}" for one in (promotion.first, promotion.second)}
    assert {answer.revision for answer in promotion.answers} == names
    assert promotion.answers[-1].revision == f"{promotion.subject.name}-{promotion.second}"


def test_promotion_moves_more_requests_with_each_step(promotion: Promotion) -> None:
    """The weight rises step by step, and the client's answers follow it."""
    weights = turns(share(c.object) for c in promotion.recorder.changes("HTTPRoute"))
    assert weights == [0, 20, 50, 80, 100, 0]
    candidate = f"{promotion.subject.name}-{promotion.second}"
    third = len(promotion.answers) // 3
    parts = [promotion.answers[at : at + third] for at in (0, third, 2 * third)]
    shares = [sum(a.revision == candidate for a in part) / third for part in parts]
    assert shares == sorted(shares)


def test_promotion_is_judged_again_from_the_history(promotion: Promotion) -> None:
    """`kubectl rampway replay`: by the same checks the long step had all of them pass."""
    subject = promotion.subject
    found = json.loads(replayed(subject.bench, subject.name, subject.namespace, "-o", "json"))
    assert (found["ended"], found["failures"], found["lacking"]) == ("Promoted", [], [])
    assert [*found["stepsPassedAfterSeconds"]] == [one["name"] for one in STEPS]
    assert found["stepsPassedAfterSeconds"][STEPS[-1]["name"]] is not None
    assert {check["state"] for check in found["checks"]} == {"Pass"}


def test_b5_promotion_restarts_nothing(promotion: Promotion) -> None:
    """B5: the candidate's pods serve on as stable's, and each has loaded its model once."""
    assert promotion.before
    assert identities(promotion.before) <= identities(promotion.after)
    assert len(promotion.after) == REPLICAS
    now = promotion.subject.pods(promotion.second)
    assert identities(now) == identities(promotion.after)
    for pod in now:
        served = [r for r in promotion.subject.logs(pod) if r.get("event") == "serving"]
        assert len(served) == 1


def test_b6_no_share_beyond_the_ready_pods(promotion: Promotion) -> None:
    """B6: at each change of the route the candidate has the ready pods for its share."""
    up: dict[str, bool] = {}
    shares: list[int] = []
    for change in promotion.recorder.changes():
        if change.kind == "Pod" and _revision(change.object) == promotion.second:
            up[change.name] = ready(change.object) and not change.gone
        if change.kind == "HTTPRoute":
            shares.append(share(change.object))
            assert shares[-1] <= 100 * sum(up.values()) / REPLICAS
    assert max(shares) == 100


def _revision(obj: Obj) -> str:
    return str(obj["metadata"]["labels"].get("rampway.dev/revision", ""))


def test_b14_one_backend_at_rest(promotion: Promotion) -> None:
    """B14: at rest one backend, `<name>`; in the rollout the backends change and nothing else."""
    name = promotion.subject.name
    routes = [c.object for c in promotion.recorder.changes("HTTPRoute")]
    assert backends(routes[0]) == backends(routes[-1]) == {name: 1}
    candidate = f"{name}-{promotion.second}"
    assert all(set(backends(route)) <= {name, candidate} for route in routes)
    others = [_without_backends(route) for route in routes]
    assert all(other == others[0] for other in others)


def _without_backends(route: Obj) -> Obj:
    (rule,) = route["spec"]["rules"]
    rest = {key: value for key, value in rule.items() if key != "backendRefs"}
    return {**route["spec"], "rules": [rest]}


def test_promotion_ends_waits(promotion: Promotion) -> None:
    """`kubectl wait` for Promoted and `kubectl rampway status --wait` end with 0 and say so."""
    assert promotion.said["wait"][0] == 0, promotion.said
    assert "condition met" in promotion.said["wait"][1]
    assert promotion.said["status"][0] == 0, promotion.said
    assert promotion.said["status"][1].splitlines()[-1].startswith("promoted: ")


def test_promotion_is_written_down(promotion: Promotion) -> None:
    """The rollout's object names each step and all checks; status shows stable by version."""
    (rollout,) = promotion.subject.rollouts()
    status = rollout["status"]
    assert status["phase"] == "Promoted"
    actions = [decision["action"] for decision in status["decisions"]]
    assert actions == ["StepStarted"] * len(STEPS) + ["Promoting", "Promoted"]
    assert {check["name"]: check["state"] for check in status["checks"]} == {
        "errors": "Pass",
        "latency": "Pass",
        "soon": "Pass",
    }
    shown = promotion.subject.bench.kube(
        "get", "modeldeployment", promotion.subject.name, "-n", promotion.subject.namespace
    )
    assert shown.splitlines()[1].split()[1:3] == ["Healthy", "v2"]
