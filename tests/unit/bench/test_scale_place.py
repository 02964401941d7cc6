"""What `make bench-scale` puts onto the cluster and changes: manifests, commands, settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from bench.scale import place
from bench.scale.controller import TooLate, changed, environment, is_rolled_out, until
from bench.scale.exporter import SHARDS
from bench.scale.place import LABELS, SELECTOR, TAINT, kwok, nodes, scrape_config

ROOT = Path(__file__).resolve().parents[3]
DEPLOYMENT: dict[str, Any] = next(
    found
    for found in yaml.safe_load_all((ROOT / "manifests/operator/deployment.yaml").read_text())
    if found["kind"] == "Deployment"
)


def test_kwok_plays_the_benchs_nodes_and_no_others() -> None:
    """The selector picks the fake nodes; the cluster's own node has no such label."""
    command = kwok(Path("/kwok"), Path("/kubeconfig"))
    assert "--manage-all-nodes=false" in command
    assert f"--manage-nodes-with-label-selector={SELECTOR}" in command
    key, _, value = SELECTOR.partition("=")
    for _, node in nodes():
        assert node["metadata"]["labels"][key] == value
        assert node["spec"]["taints"][0]["effect"] == "NoSchedule"
        assert node["spec"]["taints"][0]["key"] == TAINT
    assert len({node["metadata"]["name"] for _, node in nodes()}) == place.NODES
    assert {key: value} == LABELS


def test_prometheus_scrapes_every_page() -> None:
    """Each shard is a target with a path and a name of its own; no scrape outlasts its interval."""
    found = scrape_config("10.0.0.1:80", 5)
    assert found["global"] == {"scrape_interval": "5s", "scrape_timeout": "5s"}
    pages = found["scrape_configs"][0]["static_configs"]
    assert [page["labels"]["__metrics_path__"] for page in pages] == [
        f"/{n}" for n in range(SHARDS)
    ]
    assert len({page["labels"]["instance"] for page in pages}) == SHARDS
    assert scrape_config("x", 60)["global"]["scrape_timeout"] == "10s"


def test_the_operators_settings_are_read_and_changed_by_name() -> None:
    """What is set by a field of the pod is left alone; None removes a variable."""
    known = environment(DEPLOYMENT)
    assert known["RAMPWAY_LOOK_INTERVAL_S"] == "5"
    assert "RAMPWAY_POD" not in known
    patch = changed({"RAMPWAY_LOOK_INTERVAL_S": "10", "RAMPWAY_NEW": None})
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container["name"] == DEPLOYMENT["spec"]["template"]["spec"]["containers"][0]["name"]
    assert container["env"] == [
        {"name": "RAMPWAY_LOOK_INTERVAL_S", "value": "10"},
        {"name": "RAMPWAY_NEW", "$patch": "delete"},
    ]


def test_the_settings_that_the_bench_changes_exist() -> None:
    """A variable that the operator does not read would change nothing."""
    read = (ROOT / "operator/rampway/shell/settings.py").read_text()
    for name in ("RAMPWAY_PROMETHEUS_URL", *place.LEAN, "RAMPWAY_LOOK_INTERVAL_S"):
        assert name in environment(DEPLOYMENT)
        assert name.removeprefix("RAMPWAY_") in read


@pytest.mark.parametrize(
    ("status", "generation", "done"),
    [
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
         2, True),
        ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
         2, False),
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3},
         2, False),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, 2, False),
        ({}, 1, False),
    ],
)  # fmt: skip
def test_a_deployment_is_rolled_out_when_all_pods_are_new(
    status: dict[str, int], generation: int, *, done: bool
) -> None:
    """An old pod, an unavailable one, or an unseen generation: not yet."""
    spec = {"metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": status}
    assert is_rolled_out(spec) is done


def test_a_deployment_scaled_to_nothing_is_rolled_out() -> None:
    """Counts of zero are left out by the API server."""
    found = {"metadata": {"generation": 3}, "spec": {"replicas": 0},
             "status": {"observedGeneration": 3}}  # fmt: skip
    assert is_rolled_out(found)


async def test_what_never_comes_is_told_with_what_was_seen() -> None:
    """The message names what was waited for and what was seen last."""

    async def never() -> list[int]:
        return []

    with pytest.raises(TooLate, match=r"not within 0 s: seven pods; seen last: \[\]"):
        await until(never, "seven pods", 0.0)


def test_the_bench_refuses_where_pods_could_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the cluster's network the advice is to run the make target."""
    monkeypatch.setattr(place, "NODE_IP", "192.0.2.1")
    with pytest.raises(TooLate, match="make bench-scale"):
        place._require_namespace()


def test_programs_that_are_not_built_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The advice is to run the make target, which builds them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(TooLate, match=r"kwok is not built.*make bench-scale"):
        place.found_programs()
