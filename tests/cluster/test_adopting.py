"""Others serve by the user's rule already: the first revision is a rollout against them (B16)."""

import json
import signal
import time
from collections import Counter
from typing import Any

import pytest
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.site import PLACE, REF, ROUTE, Site, untouched
from cluster.subject import SHARED_PROCESSES, Subject, condition, step

from rampway.api.labels import adopted

pytestmark = pytest.mark.cluster

STEPS = {"steps": [step(20, "8s"), step(50, "5s")], "checks": []}
ENDLESS = {**STEPS, "steps": [step(50, "5m")]}
OTHERS = {"older": 3, "old": 1}
"""Services of others, and their weights in the rule."""
REVISION = "others"


def serve_by_others(subject: Subject) -> None:
    """Have the model served by a Deployment that Rampway knows nothing of, behind two Services."""
    template = Subject(subject.bench, subject.namespace, f"t-{subject.name}")
    first = template.start("a")
    kube, space = subject.bench.kube, subject.namespace
    pods = kube.json("get", "deployment", f"{template.name}-{first}", "-n", space)["spec"]
    spec = pods["template"]["spec"]
    told = {"RAMPWAY_MODEL_NAME": subject.name, "RAMPWAY_REVISION": REVISION}
    for one in spec["containers"][0]["env"]:
        one["value"] = told.get(one["name"], one["value"])
    mark = {"app": "others"}
    made = {"replicas": 1, "selector": {"matchLabels": mark},
            "template": {"metadata": {"labels": mark}, "spec": spec}}  # fmt: skip
    meta = {"name": "others", "namespace": space}
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": made})
    for name in OTHERS:
        service = {"selector": mark, "ports": [{"port": 80, "targetPort": 8080}]}
        kube.apply({"apiVersion": "v1", "kind": "Service",
                    "metadata": {"name": name, "namespace": space}, "spec": service})  # fmt: skip
    kube("rollout", "status", "deployment/others", "-n", space, "--timeout=240s")
    kube("delete", "modeldeployment", template.name, "-n", space, "--wait=false")


@pytest.fixture
def site(subject: Subject) -> Site:
    """Return the user's route; its rule sends everything to two Services of others."""
    serve_by_others(subject)
    made = Site(subject)
    made.apply()
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in OTHERS.items()]
    path = f"/spec/rules/{PLACE}/backendRefs"
    patch = json.dumps([{"op": "replace", "path": path, "value": refs}])
    words = ("patch", "httproute", ROUTE, "-n", subject.namespace, "--type=json", "-p", patch)
    subject.bench.kube(*words)
    return made


def weights(route: dict[str, Any]) -> dict[str, int]:
    """Return the weights of the rule's backends, by Service."""
    return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][PLACE]["backendRefs"]}


def note(subject: Subject, route: dict[str, Any]) -> str | None:
    """Return what the route tells of how the rule was."""
    found: str | None = (route["metadata"].get("annotations") or {}).get(adopted(subject.name))
    return found


def test_b16_others_are_stable_and_the_first_revision_is_a_rollout(
    subject: Subject, site: Site, calling: Calling, recorded: Recorder
) -> None:
    """B16: a fifth, a half, everything; in their proportions, and no request fails."""
    before = untouched(site.route())
    with calling() as caller:
        subject.apply("b", STEPS, traffic=REF)
        subject.in_force(20)
        candidate = f"{subject.name}-{subject.status()['candidate']['revision']}"
        assert weights(site.route()) == {"older": 240, "old": 80, candidate: 80}
        assert condition(subject.status(), "Ready")["status"] == "True"
        since_s = settle()
        time.sleep(4)
        seen = Counter(answer.revision for answer in caller.answers(since_s))
        subject.promoted(90)
        after_s = settle()
        settle()
        assert caller.revisions(after_s) == {candidate}
    assert not caller.failed()
    assert 0.05 <= seen[candidate] / sum(seen.values()) <= 0.35, seen
    assert set(seen) == {REVISION, candidate}
    assert weights(site.route()) == {subject.name: 1}
    assert [one["status"]["phase"] for one in subject.rollouts()] == ["Promoted"]
    for change in recorded.changes("HTTPRoute", ROUTE):
        told = untouched(change.object)
        told["metadata"]["annotations"].pop(adopted(subject.name), None)
        assert told == before
    assert note(subject, site.route()) is None


@pytest.mark.parametrize("how", [pytest.param("hang", marks=pytest.mark.faults), "deletion"])
def test_b16_they_have_their_rule_back_byte_for_byte(
    subject: Subject, site: Site, calling: Calling, how: str
) -> None:
    """B16, B23, B34: the candidate hangs, or its model is deleted: the rule is as it was."""
    before = site.route()["spec"]
    with calling() as caller:
        subject.apply("b", ENDLESS, traffic=REF, server=dict(SHARED_PROCESSES))
        subject.in_force(50)
        assert note(subject, site.route()) is not None
        if how == "deletion":
            words = ("delete", "modeldeployment", subject.name, "-n", subject.namespace)
            subject.bench.kube(*words, "--timeout=240s")
        else:
            (pod,) = subject.pods()
            subject.signal(pod, signal.SIGSTOP)
        subject.until(lambda: site.route()["spec"] == before, "the rule as it was", 30)
        since_s = settle()
        settle()
        assert caller.revisions(since_s) == {REVISION}
        assert not caller.failed(since_s)
    assert note(subject, site.route()) is None
    if how == "hang":
        assert subject.rolled_back()["reason"] == "CandidateNotReady"
        return
    assert not caller.failed()
    kube, space = subject.bench.kube, subject.namespace
    subject.until(
        lambda: not kube.items("deployments,services", space, subject.label()), "it is gone", 90
    )
