"""Each strategy once with a good model and once with a bad one, under traffic, side by side.

Five ModelDeployments go through two waves: in the first each gets a good model, in the second a bad
one. Each test reads what its own showed: the order of things and how they ended.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.bench import Bench, Obj, program
from cluster.caller import Caller, calling, settle
from cluster.load import Answer
from cluster.recorder import Change, Recorder, recording
from cluster.subject import Subject, condition, evidence, identities, ready, step, turns

from rampway.api.labels import DEPLOYMENT, REVISION
from rampway.core.traffic.split import Split
from rampway.routers import rules

pytestmark = pytest.mark.cluster

RATE_PER_S = 20.0
NAMES = ("shadow", "green", "ramp", "ab", "watched")
FIRST, GOOD, BAD = "a", "b", "v3"
PATIENCE_S = 240.0
SHORT, LONG = "2s", "5m"
"""How long steps last at least: a good model is to pass soon, a bad one to be found out."""
BORN_BY = {"green": "x-preview: yes", "ab": "cookie: seen=1; group=b"}
"""What the requests of a second client bear; those of the first bear nothing."""
PREVIEW = {"headers": [{"name": "x-preview", "value": "yes"}]}
GROUP_B = {"cookie": {"name": "group", "value": "b"}}
RISE = (40, 46, 51, 57, 62, 68, 73, 79, 84, 90)
LISTENS = (
    "python3",
    "-c",
    """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
HTTPServer(("", 8080), Listener).serve_forever()
""",
)
"""Prints what hooks say, a line each."""


def chosen(name: str, match: Mapping[str, Any], hold: str) -> Obj:
    """Return a step with requests chosen by what they bear, until some were answered."""
    return {"name": name, "match": match, "hold": hold, "minRequests": 40}


def shadow(hold: str) -> Obj:
    """Return copies first, then half of the requests; a person decides until it is promoted."""
    copies = {"name": "copies", "mirror": "100%", "hold": hold, "minRequests": 60}
    return evidence(copies | {"automation": {"level": "Assist"}}, step(50))


def green(hold: str) -> Obj:
    """Return blue-green: a preview, a person's consent, one switch, a watch that ends."""
    steps = (chosen("preview", PREVIEW, hold), {"name": "go", "approval": {"message": "tested?"}})
    return evidence(*steps, strategy="BlueGreen", watch={"hold": "8s", "holdback": "10%"})


def ramp(hold: str, image: str, hooks: str) -> Obj:
    """Return a ramp with a Job before it, and calls once it has ended."""
    prove = 'import os; assert os.environ["RAMPWAY_WHEN"] == "BeforeRollout"'
    job = {"image": image, "command": ["python3", "-c", prove]}
    call = {"http": {"url": f"{hooks}told"}}
    rise = {"from": "40%", "to": "90%", "over": hold, "shape": "Linear"}
    return evidence(
        {"name": "rise", "ramp": rise},
        hooks=[
            {"name": "smoke", "when": "BeforeRollout", "job": job},
            {"name": "well", "when": "AfterPromotion", **call},
            {"name": "ill", "when": "AfterRollback", **call},
        ],
    )


def watched(hold: str) -> Obj:
    """Return a step before a long watch: half of the requests, or for a bad model consent alone.

    So a person can pass it by all evidence.
    """
    look = {"name": "look", "approval": {"message": "sure?"}}
    first = step(50, hold) if hold == SHORT else look
    return evidence(first, watch={"hold": "10m", "holdback": "30%"})


def policies(bench: Bench, hold: str) -> dict[str, Obj]:
    """Return the policy of each ModelDeployment."""
    return {
        "shadow": shadow(hold),
        "green": green(hold),
        "ramp": ramp(hold, bench.images["model-server"], bench.hooks),
        "ab": evidence(chosen("group-b", GROUP_B, hold)),
        "watched": watched(hold),
    }


@dataclass(frozen=True, slots=True)
class Case:
    """One ModelDeployment on its way.

    Attributes:
        first: The revision that it began with.
        everybody: Its clients.
        born: Clients whose requests bear what a step chooses by, if it has such a step.
    """

    subject: Subject
    first: str
    everybody: Caller
    born: Caller | None

    def service(self, revision: str) -> str:
        """Return the name of a revision's Service, by which its answers are known."""
        return f"{self.subject.name}-{revision}"

    def candidates(self) -> tuple[str, str]:
        """Return the good revision and the bad one."""
        good, bad = (one["spec"]["candidate"]["revision"] for one in self.subject.rollouts())
        return good, bad

    def answers(self) -> list[Answer]:
        """Return the answers to all its clients."""
        return [*self.everybody.answers(), *(self.born.answers() if self.born else [])]

    def waits_for_consent(self) -> None:
        """Wait until a person is asked."""
        self.subject.until(
            lambda: self.subject.last().get("reason") == "WaitingForApproval",
            f"{self.subject.name} waits for approval", PATIENCE_S,
        )  # fmt: skip

    def say(self, verb: str, *words: str) -> None:
        """Type a verb of the plugin."""
        name, space = self.subject.name, self.subject.namespace
        self.subject.bench.kube("rampway", verb, name, *words, "-n", space)


@dataclass(frozen=True, slots=True)
class Story:
    """What both waves showed.

    Attributes:
        good_s: When the good models had come to rest everywhere (seconds since 1970).
        bad_s: When the bad ones were off everywhere.
        told: What hooks said to their listener, in order.
    """

    cases: Mapping[str, Case]
    recorder: Recorder
    good_s: float
    bad_s: float
    told: Sequence[Obj]

    def course(self, name: str) -> list[str]:
        """Return who was given what by a route, in order."""
        case = self.cases[name]
        good, bad = map(case.service, case.candidates())
        who = {case.service(case.first): "first", good: "good", bad: "bad", "": ""}
        routes = self.recorder.changes("HTTPRoute", case.subject.name)
        splits = [rules.read(change.object, 0, case.subject.name) for change in routes]
        return turns(f"{who[split.candidate]} {shown(split)}".strip() for split in splits)


def shown(split: Split) -> str:
    """Return what a split gives the candidate, in a word or two."""
    parts = [f"{split.weight_pct}%"] if split.weight_pct else []
    parts += ["copies"] if split.mirror_pct else []
    parts += ["chosen"] if split.headers else []
    return ", ".join(parts) or "rest"


def begin(bench: Bench, story: Subject, folder: Path, clients: ExitStack) -> dict[str, Case]:
    """Apply all of them, wait until they serve, and begin to ask."""
    subjects = {name: story.sibling(name) for name in NAMES}
    bench.kube.apply(*(subject.manifest(FIRST) for subject in subjects.values()))
    found = {}
    for name, subject in subjects.items():
        subject.promoted(PATIENCE_S)

        def client(kind: str, header: str, subject: Subject = subject) -> Caller:
            out = folder / f"{subject.name}-{kind}.jsonl"
            begun = calling(bench, subject.name, out, subject.tell, RATE_PER_S, header=header)
            return clients.enter_context(begun)

        born = client("born", BORN_BY[name]) if name in BORN_BY else None
        found[name] = Case(subject, subject.stable(), client("everybody", ""), born)
    return found


def release(bench: Bench, cases: Mapping[str, Case], model: str, hold: str) -> None:
    """Give each a model, by its policy, all at the same time."""
    wanted = policies(bench, hold)
    bench.kube.apply(
        *(one.subject.manifest(model, wanted[name], deadline="5m") for name, one in cases.items())
    )


def good_wave(bench: Bench, cases: Mapping[str, Case]) -> None:
    """Give each a good model, say what people have to say, wait until all is at rest."""
    release(bench, cases, GOOD, SHORT)
    green, watched = cases["green"], cases["watched"]
    green.waits_for_consent()
    green.say("approve", "go")
    watched.subject.until(
        lambda: watched.subject.status().get("phase") == "Watching", "the watch", PATIENCE_S
    )
    settle()  # so that the old revision has its share
    watched.say("undo")
    for name, case in cases.items():
        end = "Aborted" if name == "watched" else "Promoted"
        case.subject.until(
            lambda case=case, end=end: (  # type: ignore[misc]  # mypy knows no defaults of lambdas
                case.subject.last().get("phase") == end
                and rules.read(case.subject.route(), 0, case.subject.name).at_rest
            ),
            f"{name} {end}", PATIENCE_S,
        )  # fmt: skip


def bad_wave(bench: Bench, cases: Mapping[str, Case]) -> None:
    """Give each a bad model and wait until all are rolled back; one is promoted by a person."""
    release(bench, cases, BAD, LONG)
    watched = cases["watched"]
    watched.waits_for_consent()
    watched.say("promote")
    for case in cases.values():
        case.subject.rolled_back(PATIENCE_S)


@pytest.fixture(scope="module")
def waves(
    bench: Bench, story: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """Send all of them through both waves."""
    folder = tmp_path_factory.mktemp("strategies")
    listener = program(bench.home, "hooks", bench.images["model-server"], LISTENS)
    bench.kube.apply(*listener)
    with recording(bench.kube, story.namespace, folder) as recorder, ExitStack() as clients:
        cases = begin(bench, story, folder, clients)
        good_wave(bench, cases)
        good_s = settle()
        bad_wave(bench, cases)
        bad_s = settle()
        shadow = cases["shadow"]
        served = shadow.service(shadow.subject.stable())
        shadow.subject.until(
            lambda: any(
                (one.revision, one.automation) == (served, "use")
                for one in shadow.everybody.answers(good_s)
            ),
            "the promoted revision's answers are to be used", PATIENCE_S,
        )  # fmt: skip
        settle()
        said = bench.kube("logs", "deployment/hooks", "-n", bench.home).splitlines()
        told = [json.loads(line) for line in said if line.startswith("{")]
        yield Story(cases, recorder, good_s, bad_s, told)


@pytest.mark.parametrize("name", NAMES)
def test_good_models_lose_no_request(waves: Story, name: str) -> None:
    """With a good model not one request fails, whatever the strategy, by the clients' count."""
    case = waves.cases[name]
    good, _ = case.candidates()
    answers = [one for one in case.answers() if one.sent_s < waves.good_s]
    assert [one for one in answers if one.failed] == []
    assert {one.revision for one in answers} == {case.service(case.first), case.service(good)}


@pytest.mark.parametrize("name", NAMES)
def test_bad_models_are_rolled_back(waves: Story, name: str) -> None:
    """A bad model is named and put back for its errors; then stable alone answers, without one."""
    case = waves.cases[name]
    good, bad = case.candidates()
    assert condition(case.subject.status(), "Promoted")["reason"] == "CheckFailed"
    assert case.subject.status()["candidate"]["revision"] == bad
    stable = case.first if name == "watched" else good
    assert case.subject.stable() == stable
    after = [one for one in case.answers() if one.sent_s >= waves.bad_s]
    assert {one.revision for one in after} == {case.service(stable)}
    assert [one for one in after if one.failed] == []


def test_shadow_answers_nobody(waves: Story) -> None:
    """Copies come first, then weights; a bad model falls among the copies, and nobody met it."""
    case = waves.cases["shadow"]
    assert waves.course("shadow") == [
        "rest", "good copies", "good 50%", "good 100%", "rest", "bad copies", "rest",
    ]  # fmt: skip
    _, bad = case.candidates()
    assert [one for one in case.answers() if one.failed] == []
    assert case.service(bad) not in {one.revision for one in case.answers()}


def test_shadow_tells_applications_more_with_its_steps(waves: Story) -> None:
    """A step's degree of automation is in the candidate's answers, the promoted one's later on.

    Stable's own never changes, and no pod is restarted for it.
    """
    case = waves.cases["shadow"]
    good, _ = case.candidates()
    answers = case.everybody.answers()
    stable = [one.automation for one in answers if one.revision == case.service(case.first)]
    assert turns(stable) == ["use"]
    theirs = [one.automation for one in answers if one.revision == case.service(good)]
    assert turns(theirs) == ["suggest", "use"]
    pods = identities(case.subject.pods(good))
    assert {restarts for _, restarts in pods} == {0}


def test_blue_green_is_one_switch_with_the_old_one_warm(waves: Story) -> None:
    """Only who asks for the preview meets the new one before the one switch; a person agreed.

    The old one is ready until the watch is over.
    """
    case = waves.cases["green"]
    assert waves.course("green") == [
        "rest", "good chosen", "good 100%", "rest", "first 10%", "rest", "bad chosen", "rest",
    ]  # fmt: skip
    rollout = case.subject.rollouts()[0]
    made = [decision["action"] for decision in rollout["status"]["decisions"]]
    assert made.index("Approved") < made.index("Promoting") < made.index("WatchEnded")
    name = rollout["metadata"]["name"]
    ended = next(
        change.revision
        for change in waves.recorder.changes("ModelRollout", name)
        if (change.object.get("status") or {}).get("phase") == "Promoted"
    )
    assert case.first in ready_revisions(waves.recorder, case.subject.name, ended)
    _, bad = case.candidates()
    assert case.service(bad) not in case.everybody.revisions()
    assert not case.everybody.failed()
    assert case.born is not None
    assert {one.revision for one in case.born.failed()} == {case.service(bad)}


def ready_revisions(recorder: Recorder, name: str, at: int) -> set[str]:
    """Return which revisions of a ModelDeployment had a ready pod at an instant of the store."""
    pods: dict[str, Change] = {}
    for change in recorder.changes("Pod"):
        if change.revision <= at and change.object["metadata"]["labels"].get(DEPLOYMENT) == name:
            pods[change.name] = change
    up = (pod.object for pod in pods.values() if ready(pod.object) and not pod.gone)
    return {str(pod["metadata"]["labels"][REVISION]) for pod in up}


def test_a_ramp_rises_by_itself(waves: Story) -> None:
    """Each weight of a ramp follows the one before it; a bad model falls on its way up."""
    course = waves.course("ramp")
    end = course.index("rest", 1)
    assert course[: end + 1] == [
        "rest",
        *(f"good {weight}%" for weight in RISE),
        "good 100%",
        "rest",
    ]
    fell = course.index("rest", end + 1)
    assert course[end + 1 : fell] == [f"bad {weight}%" for weight in RISE[: fell - end - 1]]
    assert course[fell:] == ["rest"]


def test_b29_hooks_are_a_job_and_calls(waves: Story) -> None:
    """B29: a Job ran before the first request of each, once; calls told the end of each."""
    case = waves.cases["ramp"]
    good, bad = case.subject.rollouts()
    runs = [{run["key"]: run["state"] for run in one["status"]["hooks"]} for one in (good, bad)]
    assert runs == [
        {"smoke": "Succeeded", "well": "Succeeded"},
        {"smoke": "Succeeded", "ill": "Succeeded"},
    ]
    told = {said["idempotency_key"]: (said["when"], said["candidate"]) for said in waves.told}
    assert list(told.values()) == [
        ("AfterPromotion", good["spec"]["candidate"]["revision"]),
        ("AfterRollback", bad["spec"]["candidate"]["revision"]),
    ]
    jobs = case.subject.bench.kube.items("jobs", case.subject.namespace, case.subject.label())
    assert len(jobs) == 2
    for job in jobs:
        assert job["status"]["succeeded"] == 1
        assert not job["status"].get("failed")


def test_ab_is_for_its_group_alone(waves: Story) -> None:
    """Who bears the cookie gets the candidate and nobody else does, good or bad."""
    case = waves.cases["ab"]
    good, bad = map(case.service, case.candidates())
    assert waves.course("ab") == [
        "rest", "good chosen", "good 100%", "rest", "bad chosen", "rest",
    ]  # fmt: skip
    assert not case.everybody.failed()
    assert case.everybody.revisions() == {case.service(case.first), good}
    assert case.born is not None
    assert {one.revision for one in case.born.failed()} == {bad}


def test_b09_b27_the_watch_returns_to_warm_pods(waves: Story) -> None:
    """B9, B27: undone by a person, then returned by a check; both times everything, at once."""
    case = waves.cases["watched"]
    assert waves.course("watched") == [
        "rest", "good 50%", "good 100%", "rest", "first 30%", "first 100%",
        "rest", "bad 100%", "rest", "first 30%", "first 100%", "rest",
    ]  # fmt: skip
    good, bad = (one["status"] for one in case.subject.rollouts())
    assert (good["phase"], good["reason"]) == ("Aborted", "Undone")
    assert (bad["phase"], bad["reason"]) == ("RolledBack", "CheckFailed")
    made = [decision["action"] for decision in bad["decisions"]]
    assert made.index("Promoting") < made.index("RollingBack")
