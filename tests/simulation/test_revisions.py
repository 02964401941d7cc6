"""Revisions: what makes one, what it is called, and which one serves (B1 to B4)."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    NAME,
    SETTLE_S,
    Stage,
    model,
    policy,
    quick,
    serving,
    step,
)

from rampway.api import labels
from rampway.api.parse import parse_deployment
from rampway.core.model import revision
from rampway.core.observation import Defaults
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World

OTHER_BYTES = "b" * 64


def hash_of(**spec: Any) -> str:
    """Return the hash of the revision that a spec names."""
    whole = {"traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}}} | spec
    manifest = {"metadata": {"name": NAME, "namespace": SPACE}, "spec": whole}
    return revision.revision_hash(parse_deployment(manifest).spec)


def forget_status(stage: Stage, *, rollouts: bool = False) -> None:
    """Wipe the status of the ModelDeployment, and of its rollouts: a restored backup has none."""
    store = stage.world.store
    wiped = [(kinds.MODEL_DEPLOYMENT, stage.name)]
    if rollouts:
        wiped += [(kinds.MODEL_ROLLOUT, r.name) for r in stage.world.rollouts(stage.name)]
    for kind, name in wiped:
        store.patch(kind, SPACE, name, {"status": None}, subresource="status")
        assert not store.get(kind, SPACE, name).get("status")


def upgrade_operator(world: World, image: str) -> None:
    """Start another operator whose default image of the model server is this one."""
    world.kill()
    world.start()
    gatherer = replace(world.reconciler.gatherer, defaults=Defaults(image))
    world.reconciler.gatherer = gatherer


# B1


def test_b01_first_apply_goes_straight_to_100_percent() -> None:
    """The first revision gets everything without a rollout, a check, or a look at the metrics."""
    stage = Stage(World())
    stage.world.cluster.scraping = False
    stage.apply(model=model(1), replicas=2, rollout={"policy": policy()})
    stage.until_phase("Healthy", SETTLE_S)
    assert stage.world.rollouts(NAME) == []
    assert stage.backends() == {NAME: 1}
    assert stage.stable == stage.desired
    assert stage.world.condition(NAME, "Promoted") == "True"
    assert stage.world.condition(NAME, "Ready") == "True"
    stage.run(3)
    stage.send()
    stage.run(5)
    assert set(stage.ledger.by_revision) == {stage.desired}


def test_b01_a_change_before_the_first_serving_is_a_first_apply() -> None:
    """While nothing has ever served, each change starts anew and leaves nothing of the last."""
    stage = Stage(World())
    stage.apply(model=model(1), replicas=2, rollout={"policy": policy()})
    first = stage.desired
    stage.world.behave(first, Behaviour(never_ready=True))
    stage.run(30)
    assert stage.phase == "Pending"
    stage.release(2, Behaviour(fails_to_load="no such file"))
    stage.run(30)
    assert stage.phase == "Pending"
    stage.release(3)
    stage.until_phase("Healthy", SETTLE_S)
    assert stage.world.rollouts(NAME) == []
    assert stage.stable == stage.desired
    assert [d["metadata"]["labels"][labels.REVISION] for d in stage.deployments()] == [stage.stable]
    stage.run(10)
    assert stage.world.cluster.pods(SPACE, first) == []


def test_b01_a_change_after_the_first_serving_is_a_rollout_even_if_nothing_is_ready() -> None:
    """A revision that has once served is stable also when none of its pods is ready."""
    stage = serving()
    stage.harmed = True
    first = stage.stable
    stage.world.behave(first, Behaviour(fails_to_load="the store is gone"))
    for pod in stage.world.cluster.pods(SPACE, first):
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.run(3)
    assert stage.world.condition(NAME, "Ready") == "False"
    stage.release(2)
    stage.run(3)
    assert len(stage.world.rollouts(NAME)) == 1
    assert stage.stable == first


def test_b01_a_wiped_status_is_rebuilt_at_rest() -> None:
    """An object at rest that lost its status has the same one again, and nothing is rolled out."""
    stage = serving()
    pods, before = stage.running(stage.stable), stage.world.status(NAME)
    forget_status(stage)
    stage.run(2)
    after = stage.world.status(NAME)
    assert (after.phase, after.stable) == (before.phase, before.stable)
    assert stage.world.rollouts(NAME) == []
    assert stage.running(stage.stable) == pods


def test_b01_a_status_wiped_in_a_rollout_does_not_promote() -> None:
    """With all status gone in the middle of a rollout, the candidate goes through every step."""
    stage = serving()
    first = stage.stable
    stage.release(2)
    stage.until_step("half")
    forget_status(stage, rollouts=True)
    stage.run(2)
    assert stage.stable == first
    assert stage.weight_pct <= 10
    stage.until_step("ten")
    stage.until_step("half")
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


@pytest.mark.parametrize("rollouts", [False, True])
def test_b01_a_status_wiped_after_a_rollback_keeps_the_verdict(rollouts: bool) -> None:
    """What was rolled back stays so without any status: the verdict is on its Deployment."""
    stage = serving()
    stage.harmed = True
    first, bad = stage.stable, stage.release(2, BROKEN)
    stage.until_phase("RolledBack")
    assert stage.workload(bad)["metadata"]["annotations"][labels.VERDICT].startswith("RolledBack")
    stage.heal()
    forget_status(stage, rollouts=rollouts)
    stage.run(90)
    assert stage.phase == "RolledBack"
    assert stage.world.condition(NAME, "Promoted") == "False"
    assert stage.stable == first
    assert bad in stage.world.status(NAME).message


def test_b01_a_verdict_without_its_rollout_still_counts() -> None:
    """The rollout that refused a revision was deleted: its verdict counts until the spec moves."""
    stage = serving()
    stage.harmed = True
    bad = stage.release(2, BROKEN)
    stage.until_phase("RolledBack")
    stage.heal()
    for rollout in stage.world.rollouts(NAME):
        stage.world.store.delete(kinds.MODEL_ROLLOUT, SPACE, rollout.name)
    stage.run(90)
    assert stage.phase == "RolledBack"
    assert stage.world.rollouts(NAME) == []
    stage.apply(model=model(1))
    stage.until_phase("Healthy")
    stage.world.behave(bad, Behaviour())
    stage.apply(model=model(2))
    stage.until_phase("Healthy")
    assert stage.stable == bad


def test_b01_a_lost_stable_does_not_promote_what_was_refused() -> None:
    """Stable's Deployment is deleted by hand after a rollback: the bad revision stays refused."""
    stage = serving()
    stage.harmed = True
    bad = stage.release(2, BROKEN)
    stage.until_phase("RolledBack")
    first = labels.revision_name(NAME, stage.stable)
    stage.world.store.delete(kinds.DEPLOYMENT, SPACE, first)
    stage.run(90)
    assert stage.stable == ""
    assert stage.world.condition(NAME, "Ready") == "False"
    assert stage.world.condition(NAME, "Promoted") == "False"
    assert bad in stage.world.status(NAME).message
    stage.apply(model=model(1))
    stage.until_phase("Healthy")


def test_b01_a_lost_stable_does_not_promote_what_is_on_trial() -> None:
    """Stable's Deployment is deleted by hand in a rollout: the candidate is not waved through."""
    stage = serving(rollout=quick(step("ten", 10), step("half", 50)))
    stage.harmed = True
    stage.release(2)
    stage.until_step("ten")
    first = labels.revision_name(NAME, stage.stable)
    stage.world.store.delete(kinds.DEPLOYMENT, SPACE, first)
    stage.run(90)
    assert stage.stable == ""
    assert stage.world.condition(NAME, "Ready") == "False"
    stage.apply(model=model(1))
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


def test_b01_a_lost_stable_at_rest_is_made_again() -> None:
    """Stable's Deployment is deleted by hand at rest: it is made again from the spec."""
    stage = serving()
    stage.harmed = True
    first = stage.stable
    stage.world.store.delete(kinds.DEPLOYMENT, SPACE, labels.revision_name(NAME, first))
    stage.until_phase("Healthy")
    assert stage.stable == first
    assert stage.world.rollouts(NAME) == []


# B2


@pytest.mark.parametrize(
    "change",
    [
        {"info": {"version": "2", "lineage": {"commit": "1a2b"}}},
        {"replicas": 3},
        {"rollout": {"policy": quick(step("all", 90)), "progressDeadline": "5m"}},
        {"paused": True},
        {"traffic": {"ownedRoute": {"hostnames": ["digits.example"]}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_b02_other_fields_make_no_revision(change: dict[str, Any]) -> None:
    """A change of anything but model and server makes no revision and restarts no pod."""
    stage = serving()
    first, pods = stage.stable, stage.running(stage.stable)
    stage.apply(**change)
    stage.run(30)
    assert stage.desired == stage.stable == first
    assert len(stage.deployments()) == 1
    assert stage.world.rollouts(NAME) == []
    assert pods.items() <= stage.running(first).items()


@pytest.mark.parametrize(
    "change",
    [
        {"model": model(2)},
        {"model": {"sha256": "a" * 64}},
        {"model": {"trustedTypes": ["numpy.dtype"]}},
        {"server": {"image": "server:9"}},
        {"server": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"server": {"serviceAccountName": "digits"}},
        {"server": {"podTemplatePatch": {"spec": {"priorityClassName": "high"}}}},
    ],
    ids=lambda change: "-".join(next(iter(change.values()))),
)
def test_b02_model_and_server_make_a_revision(change: dict[str, Any]) -> None:
    """A change of model or server makes a revision, and a rollout to it."""
    stage = serving()
    first = stage.stable
    stage.apply(**change)
    stage.run(2)
    assert stage.desired != first
    assert len(stage.deployments()) == 2
    assert [r.spec.candidate.revision for r in stage.world.rollouts(NAME)] == [stage.desired]


# B3


@pytest.mark.parametrize(
    ("spec", "golden"),
    [
        ({"model": {"uri": "http://models/digits/1"}}, "d9c2b66e67"),
        (
            {
                "model": {
                    "uri": "pvc://models/digits/2",
                    "sha256": "0123456789abcdef" * 4,
                    "trustedTypes": ["numpy.dtype", "sklearn.pipeline.Pipeline"],
                }
            },
            "5c3b7c2894",
        ),
        (
            {
                "model": {"uri": "file:///models/größe"},
                "server": {
                    "image": "registry.example/server:2",
                    "serviceAccountName": "digits",
                    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
                    "podTemplatePatch": {"spec": {"nodeSelector": {"disk": "ssd"}}},
                },
            },
            "c0f0cd8be8",
        ),
    ],
    ids=["uri", "bytes", "server"],
)
def test_b03_hashes_are_pinned(spec: dict[str, Any], golden: str) -> None:
    """The hash of these fields never changes: running revisions are found by it."""
    assert hash_of(**spec) == golden


def test_b03_defaults_and_order_do_not_change_the_hash() -> None:
    """What the API server fills in, and the order in which people write, make no revision."""
    plain = hash_of(model={"uri": "http://models/1", "sha256": "a" * 64})
    written_out = {
        "model": {"trustedTypes": [], "sha256": "a" * 64, "uri": "http://models/1"},
        "server": {
            "podTemplatePatch": {},
            "resources": {"limits": {}, "requests": {}},
            "runtime": "Rampway",
        },
        "replicas": 7,
        "info": {"version": "9"},
        "paused": True,
    }
    assert hash_of(**written_out) == plain


def test_b03_an_upgraded_operator_changes_no_running_template() -> None:
    """Another default image applies to revisions made from then on, to no older one."""
    stage = serving(rollout=quick())
    first = stage.stable
    template, pods = stage.workload(first)["spec"]["template"], stage.running(first)
    upgrade_operator(stage.world, "server:2")
    stage.run(90)
    assert stage.workload(first)["spec"]["template"] == template
    assert stage.running(first) == pods
    assert stage.world.rollouts(NAME) == []
    second = stage.release(2)
    stage.until_phase("Healthy")
    images = [
        stage.workload(h)["spec"]["template"]["spec"]["containers"][0]["image"]
        for h in (first, second)
    ]
    assert images == ["server:1", "server:2"]


def test_b03_the_first_digest_is_recorded_without_a_restart() -> None:
    """The digest that the first pod loaded is pinned for later pods; no running pod notices."""
    stage = Stage(World())
    stage.apply(model=model(1), replicas=2)
    stage.world.behave(stage.desired, Behaviour(sha256="a" * 64))
    stage.until_phase("Healthy", SETTLE_S)
    pods, template = stage.running(stage.stable), stage.workload(stage.stable)["spec"]["template"]
    stage.run(10)
    name = labels.revision_name(NAME, stage.stable)
    pin = stage.world.store.get(kinds.CONFIG_MAP, SPACE, name)
    assert pin["data"] == {labels.DIGEST_KEY: "a" * 64}
    assert pin["immutable"]
    volumes = {v["name"]: v for v in template["spec"]["volumes"]}
    first = volumes["pin"]["projected"]["sources"][0]["configMap"]
    assert first == {"name": name, "optional": True}
    assert stage.workload(stage.stable)["spec"]["template"] == template
    assert stage.running(stage.stable) == pods
    assert set(pods.values()) == {0}
    shown = stage.world.status(NAME).stable
    assert shown is not None
    assert shown.sha256 == "a" * 64


def test_b03_a_digest_told_late_is_recorded_too() -> None:
    """Pods that do not say at first which bytes they loaded are asked again."""
    stage = Stage(World())
    told: list[str] = []

    async def probe(_namespace: str, _pod: Obj, _model: str) -> str:
        return told[0] if told else ""

    gatherer = replace(stage.world.reconciler.gatherer, probe_digest=probe)
    stage.world.reconciler.gatherer = gatherer
    stage.apply(model=model(1), replicas=1)
    stage.until_phase("Healthy", SETTLE_S)
    assert stage.world.store.list(kinds.CONFIG_MAP, SPACE) == []
    told.append("a" * 64)
    stage.run(70)
    (pin,) = stage.world.store.list(kinds.CONFIG_MAP, SPACE)
    assert pin["data"] == {labels.DIGEST_KEY: "a" * 64}


def test_b03_a_later_pod_with_other_bytes_refuses() -> None:
    """The bytes behind the URI change: later pods of the revision do not serve them, and say so."""
    stage = serving()
    first, pods = stage.stable, stage.running(stage.stable)
    stage.world.behave(first, Behaviour(sha256=OTHER_BYTES))
    stage.apply(replicas=3)
    stage.run(30)
    assert stage.ready(first) == 2
    assert stage.running(first).items() >= pods.items()
    message = stage.world.status(NAME).message
    assert f"wrong digest: got {OTHER_BYTES}" in message
    loaded = {p.loaded_sha256 for p in stage.world.cluster.pods(SPACE, first) if p.ready}
    assert OTHER_BYTES not in loaded


def test_b03_a_candidate_is_pinned_before_its_second_pod() -> None:
    """A candidate's first pod decides; bytes that change in mid-rollout end it, not stable."""
    stage = serving(rollout=quick(step("ten", 10, 10), step("all", 100)), replicas=3)
    first, second = stage.stable, stage.release(2)
    stage.apply(rollout={"progressDeadline": "30s"})
    stage.until_step("ten")
    stage.world.behave(second, Behaviour(sha256=OTHER_BYTES))
    stage.until(lambda: "wrong digest" in stage.world.status(NAME).message)
    assert stage.ready(second) == 1
    stage.until_phase("RolledBack", 900)
    assert stage.stable == first


# B4


def test_b04_back_to_known_content_reuses_pods_that_still_run() -> None:
    """Back to a revision whose pods still run: no new revision, and not one new pod."""
    stage = serving(rollout=quick(step("ten", 10), step("half", 50)), replicas=4)
    first, pods = stage.stable, stage.running(stage.stable)
    second = stage.release(2)
    stage.until_phase("Healthy")
    assert stage.running(first) == pods
    stage.apply(model=model(1))
    stage.until_phase("Healthy")
    assert stage.stable == first
    assert stage.running(first) == pods
    assert len(stage.deployments()) == 2
    assert [r.spec.candidate.revision for r in stage.world.rollouts(NAME)] == [second, first]


def test_b04_back_to_known_content_reuses_the_revision_without_pods() -> None:
    """Back to a revision whose pods are gone: the same Deployment with the same template."""
    stage = serving(rollout=quick())
    first, uid = stage.stable, stage.workload(stage.stable)["metadata"]["uid"]
    template = stage.workload(first)["spec"]["template"]
    stage.release(2)
    stage.until_phase("Healthy")
    stage.run(60)
    assert stage.running(first) == {}
    upgrade_operator(stage.world, "server:2")
    stage.apply(model=model(1))
    stage.until_phase("Healthy")
    again = stage.workload(first)
    assert stage.stable == first
    assert (again["metadata"]["uid"], again["spec"]["template"]) == (uid, template)
    assert len(stage.deployments()) == 2
