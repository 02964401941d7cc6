"""Evictions, drains and lost nodes in the simulated cluster: not the model's fault (B25)."""

import pytest
from unit.sim.cluster_bench import NAME, SPACE, Bench

from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Surroundings


def test_b25_an_eviction_is_read_as_leaving() -> None:
    """B25: an evicted pod carries DisruptionTarget, drains without loss, and is replaced."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 100)
    victim = bench.pods()[0].name
    bench.cluster.evict(SPACE, victim)
    (pod,) = [p for p in bench.raw_pods() if p["metadata"]["name"] == victim]
    types = {c["type"]: c.get("reason") for c in pod["status"]["conditions"]}
    assert types["DisruptionTarget"] == "EvictionByEvictionAPI"
    assert "deletionTimestamp" in pod["metadata"]
    assert [p.leaving for p in bench.pods() if p.name == victim] == [True]
    bench.cluster.run(12)
    assert victim not in {p.name for p in bench.pods()}
    assert [p.ready for p in bench.pods()] == [True, True]
    assert ledger.all.failed == 0


def test_b25_a_drain_moves_the_pods_to_other_nodes() -> None:
    """B25: a drained node is cordoned, and its pods come up elsewhere."""
    bench = Bench()
    bench.up(replicas=3)
    bench.cluster.drain("node-1")
    bench.cluster.run(12)
    nodes = [pod.node for pod in bench.cluster.pods(SPACE)]
    assert len(nodes) == 3
    assert "node-1" not in nodes


def test_pods_wait_when_every_node_is_cordoned() -> None:
    """Without an open node new pods are Unschedulable."""
    bench = Bench()
    bench.up()
    for node in ("node-1", "node-2", "node-3"):
        bench.cluster.drain(node)
    bench.cluster.run(12)
    assert [pod.unschedulable for pod in bench.pods()] == [
        "Unschedulable: 0 nodes are available."
    ] * 2


def test_b25_a_lost_node_is_noticed_late_and_its_pods_stay() -> None:
    """B25: requests are lost at once, Ready falls after 50 s, deletion begins after 5 min more."""
    bench = Bench()
    bench.up(replicas=3)
    ledger = bench.cluster.send(SPACE, NAME, 60)
    (lost,) = [pod.name for pod in bench.cluster.pods(SPACE) if pod.node == "node-1"]
    bench.cluster.lose_node("node-1")
    bench.cluster.run(49)
    assert all(pod.ready for pod in bench.pods())
    assert 0.25 < ledger.all.failed / ledger.all.total < 0.42
    bench.cluster.run(3)
    before = ledger.all.failed
    assert [pod.name for pod in bench.pods() if not pod.ready] == [lost]
    node = bench.store.get(kinds.NODE, None, "node-1")
    assert node["status"]["conditions"][0]["status"] == "Unknown"
    bench.cluster.run(310)
    assert ledger.all.failed == before
    assert [pod.leaving for pod in bench.pods() if pod.name == lost] == [True]
    assert sum(pod.ready for pod in bench.pods()) == 3


def test_a_pod_deleted_on_a_lost_node_stays() -> None:
    """No kubelet confirms its end, so the object stays, marked for deletion."""
    bench = Bench(Surroundings(nodes=("one",)))
    bench.up(replicas=1)
    bench.cluster.lose_node("one")
    (pod,) = bench.pods()
    bench.cluster.delete_pod(SPACE, pod.name)
    bench.cluster.run(60)
    bench.store.delete(kinds.SERVICE, SPACE, NAME)  # brings the garbage collector here
    bench.cluster.run(2)
    assert {p.name: p.leaving for p in bench.pods()}[pod.name]


def test_a_pod_deleted_by_the_api_drains_first() -> None:
    """A plain deletion gives the pod its time: it serves on, unlisted, and is gone later."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 100)
    victim = bench.pods()[0].name
    bench.store.delete(kinds.POD, SPACE, victim)
    bench.cluster.run(5)
    assert victim in {p.name for p in bench.pods()}
    bench.cluster.run(5)
    assert victim not in {p.name for p in bench.pods()}
    assert ledger.all.failed == 0


def test_an_unknown_pod_is_named_with_those_there_are() -> None:
    """A mistyped name is refused with the names that exist."""
    bench = Bench()
    bench.up(replicas=1)
    with pytest.raises(KeyError, match=f"no pod default/x; there are: {bench.pods()[0].name}"):
        bench.cluster.evict(SPACE, "x")
