"""Pods of the simulated cluster, read by the operator's own reader."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from unit.sim.cluster_bench import NAME, SPACE, A, Bench

from rampway.core.model.revision import digest_record
from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour

TROUBLES = {
    "the image cannot be pulled": (
        Behaviour(image_pull_error="not found"),
        'ImagePullBackOff: Back-off pulling image "server:1": ErrImagePull: not found',
    ),
    "a Secret is missing": (
        Behaviour(missing_secret="store"),  # noqa: S106 - the name of a Secret
        'CreateContainerConfigError: secret "store" not found',
    ),
    "the model does not load": (
        Behaviour(fails_to_load="cannot read model.skops: truncated"),
        "cannot read model.skops: truncated",
    ),
}


def test_a_pod_becomes_ready_after_pull_and_start() -> None:
    """A pull of 1 s and a start of 3 s: ready after the 4th step, not before."""
    bench = Bench()
    bench.serve(replicas=2)
    bench.cluster.run(3)
    assert [pod.ready for pod in bench.pods()] == [False, False]
    bench.cluster.run(1)
    assert [pod.ready for pod in bench.pods()] == [True, True]
    assert bench.status()["readyReplicas"] == 2
    assert bench.status()["observedGeneration"] == 1


@pytest.mark.parametrize("case", TROUBLES)
def test_b28_trouble_is_told_in_the_kubelets_or_the_servers_words(case: str) -> None:
    """B28: what keeps a pod from starting stands in its status within 10 s, word by word."""
    how, words = TROUBLES[case]
    bench = Bench()
    bench.behave(how)
    bench.serve(replicas=1)
    bench.cluster.run(10)
    assert [(pod.ready, pod.trouble) for pod in bench.pods()] == [(False, words)]


def test_trouble_that_ends_lets_the_pod_start() -> None:
    """A Secret that is made after all lets the waiting container start."""
    bench = Bench()
    bench.behave(Behaviour(missing_secret="store"))  # noqa: S106 - the name of a Secret
    bench.serve(replicas=1)
    bench.cluster.run(10)
    bench.behave(Behaviour())
    bench.cluster.run(5)
    assert bench.pods()[0].ready


def test_b28_a_quota_is_told_by_the_deployment() -> None:
    """B28: where no pod can be made, the Deployment's ReplicaFailure has the server's words."""
    bench = Bench()
    bench.behave(Behaviour(quota_message="exceeded quota: pods=3"))
    bench.serve()
    bench.cluster.run(2)
    failure = bench.status()["conditions"][-1]
    assert (failure["type"], failure["message"]) == ("ReplicaFailure", "exceeded quota: pods=3")
    assert bench.pods() == []
    bench.behave(Behaviour())
    bench.cluster.run(2)
    assert [c["type"] for c in bench.status()["conditions"]] == ["Available", "Progressing"]


def test_b25_an_unschedulable_pod_waits_for_a_node() -> None:
    """B25: the scheduler's words stand in the pod until a node takes it."""
    bench = Bench()
    bench.behave(Behaviour(unschedulable_until_s=20, unschedulable_words="0/3 nodes: too small"))
    bench.serve(replicas=1)
    bench.cluster.run(19)
    assert bench.pods()[0].unschedulable == "Unschedulable: 0/3 nodes: too small"
    bench.cluster.run(6)
    assert (bench.pods()[0].unschedulable, bench.pods()[0].ready) == ("", True)


def test_a_pod_that_never_gets_ready_runs_all_the_same() -> None:
    """A readiness probe that fails leaves the container running and without trouble."""
    bench = Bench()
    bench.behave(Behaviour(never_ready=True))
    bench.serve(replicas=1)
    bench.cluster.run(60)
    assert "running" in bench.container()["state"]
    assert (bench.pods()[0].ready, bench.pods()[0].crashes) == (False, ())


def test_a_crash_loop_restarts_at_once_then_backs_off() -> None:
    """The first restart comes after a second, the next after 10 s more, as kubelets do."""
    bench = Bench()
    bench.behave(Behaviour(startup_s=1, crash_every_s=2))
    bench.serve(replicas=1)
    seen = []
    for _ in range(24):
        bench.cluster.step()
        container = (bench.raw_pods()[0]["status"].get("containerStatuses") or [{}])[0]
        state = container.get("state", {})
        seen.append((container.get("restartCount", 0), *state))
    assert seen[3:8] == [(0, "terminated"), *[(1, "running")] * 3, (1, "terminated")]
    assert seen[8:18] == [(1, "waiting")] * 10
    assert seen[18] == (2, "running")
    assert bench.container()["lastState"]["terminated"]["exitCode"] == 139


def test_b25_an_oom_kill_is_read_as_one() -> None:
    """B25: a container killed for its memory says so, with an id that each restart changes."""
    bench = Bench()
    bench.behave(Behaviour(oom_at_s=(8, 20)))
    bench.serve(replicas=1)
    bench.cluster.run(8)
    (first,) = bench.pods()[0].crashes
    assert first.out_of_memory
    assert first.finished_at_s == bench.clock.now_s
    bench.cluster.run(12)
    (second,) = bench.pods()[0].crashes
    assert second.container_id != first.container_id


def test_crash_at_strikes_one_container_each_time() -> None:
    """Two instants crash two containers, not all of them twice."""
    bench = Bench()
    bench.behave(Behaviour(crash_at_s=(20, 21)))
    bench.serve(replicas=3)
    bench.cluster.run(22)
    assert sum(len(pod.crashes) for pod in bench.pods()) == 2


def test_b3_other_bytes_than_recorded_are_refused() -> None:
    """B3: a pod whose bytes differ from the recorded digest ends with both digests named."""
    bench = Bench()
    digest = bench.serve(replicas=1)
    bench.cluster.run(6)
    first = bench.cluster.digest(SPACE, bench.pods()[0].name)
    assert first
    record = digest_record(bench.model(), digest, first)
    bench.store.create(kinds.CONFIG_MAP, record)
    bench.behave(Behaviour(sha256="f" * 64))
    bench.scale(2)
    bench.cluster.run(6)
    words = {pod.trouble for pod in bench.pods() if not pod.ready}
    origin = "the digest this revision first loaded"
    assert words == {f"wrong digest: got {'f' * 64}, expected {first} ({origin})"}


def test_b3_other_bytes_than_demanded_are_refused() -> None:
    """B3: a digest in the spec is demanded of the very first pod."""
    bench = Bench()
    digest = bench.serve(replicas=1, sha256="a" * 64)
    bench.cluster.behaviours[digest] = Behaviour(sha256="b" * 64)
    bench.cluster.run(6)
    words = f"wrong digest: got {'b' * 64}, expected {'a' * 64} (spec.model.sha256)"
    pods = bench.cluster.pods(SPACE, digest)
    assert [pod.last.message for pod in pods if pod.last] == [words]
    assert bench.cluster.digest(SPACE, pods[0].name) is None


async def test_the_probe_asks_only_pods_that_serve() -> None:
    """The probe gives the digest of a ready pod, and nothing before that."""
    bench = Bench()
    bench.serve(replicas=1)
    bench.cluster.run(3)
    (pod,) = bench.raw_pods()
    assert not await bench.cluster.probe_digest(SPACE, pod, NAME)
    bench.cluster.run(3)
    assert len(await bench.cluster.probe_digest(SPACE, pod, NAME)) == 64


def test_scaling_down_takes_unready_pods_first() -> None:
    """As a ReplicaSet does: not ready ones go first, then the newest."""
    bench = Bench()
    bench.up()
    old = {pod.name for pod in bench.pods()}
    bench.scale(4)
    bench.cluster.run(8)
    bench.cluster.crash(SPACE, min(old), "Error")
    bench.scale(3)
    bench.cluster.run(8)
    left = {pod.name for pod in bench.pods()}
    assert min(old) not in left
    bench.scale(1)
    bench.cluster.run(8)
    assert {pod.name for pod in bench.pods()} == old - {min(old)}


def test_a_changed_template_restarts_the_pods() -> None:
    """B5 can fail: a write to the template, and to nothing else, makes other pods."""
    bench = Bench()
    bench.up()
    before = {pod.name for pod in bench.pods()}
    name = f"{NAME}-{bench.hash()}"
    bench.store.patch(kinds.DEPLOYMENT, SPACE, name, {"metadata": {"annotations": {"x": "1"}}})
    bench.cluster.run(2)
    assert {pod.name for pod in bench.pods()} == before
    template = {"metadata": {"labels": {"x": "1"}}}
    bench.store.patch(kinds.DEPLOYMENT, SPACE, name, {"spec": {"template": template}})
    bench.cluster.run(12)
    after = {pod.name for pod in bench.pods()}
    assert len(after) == 2
    assert not after & before


def test_a_deleted_deployment_takes_its_pods_along() -> None:
    """Pods go with their owner, after their time of grace."""
    bench = Bench()
    bench.up()
    bench.store.delete(kinds.DEPLOYMENT, SPACE, f"{NAME}-{bench.hash()}")
    bench.cluster.run(2)
    assert [pod.leaving for pod in bench.pods()] == [True, True]
    bench.cluster.run(8)
    assert bench.pods() == []


def test_nothing_is_written_at_rest() -> None:
    """A cluster in which nothing happens writes nothing, so that watches stay silent."""
    bench = Bench()
    bench.up(weight_pct=50)
    before = bench.store.revision
    bench.cluster.run(120)
    assert bench.store.revision == before


def test_one_seed_one_story() -> None:
    """The same seed gives the same names, counts and failures; another one does not."""
    assert _story(1) == _story(1)
    assert _story(1) != _story(2)


@pytest.mark.no_cover
def test_the_story_does_not_depend_on_the_process() -> None:
    """Sets are not walked in their own order, which differs from process to process."""
    program = "from unit.sim.test_cluster_pods import _story; print(_story(1))"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def _story(seed: int) -> object:
    bench = Bench(seed=seed)
    bench.behave(replace(Behaviour(), error_rate=0.1), A)
    bench.up(weight_pct=20)
    ledger = bench.cluster.send(SPACE, NAME, 50)
    bench.cluster.run(30)
    slices = [s["metadata"]["name"] for s in bench.store.list(kinds.ENDPOINT_SLICE)]
    return [pod.name for pod in bench.pods()], slices, ledger
