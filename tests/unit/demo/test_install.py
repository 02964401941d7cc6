"""What the demo writes for kubectl, and how it finds the cluster."""

import json
import re
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from demo import cluster, install
from rampway.api.parse import parse_deployment

IMAGES = {"operator": "localhost:5000/op:1", "model-server": "localhost:5000/ms:2"}
SHA256 = "ab" * 32


def filled(name: str, **values: str) -> list[dict[str, Any]]:
    """The objects of one of the demo's manifests."""
    text = Template((install.MANIFESTS / f"{name}.yaml").read_text()).substitute(values)
    return list(yaml.safe_load_all(text))


def test_deployment_is_valid_and_has_the_promised_policy() -> None:
    """The manifest a reader copies is one that the operator accepts, with three steps at least."""
    (manifest,) = filled("modeldeployment", VERSION="2", SHA256=SHA256)
    manifest["metadata"] |= {"uid": "u", "generation": 1}
    found = parse_deployment(manifest)
    policy = found.spec.rollout.policy
    assert policy is not None
    assert found.spec.info.version == "2"
    assert found.spec.model.uri == "http://model-store.demo.svc/v2.skops"
    assert found.spec.model.sha256 == SHA256
    assert len({step.weight for step in policy.steps}) >= 3
    (errors,) = [check.error_rate for check in policy.checks if check.error_rate]
    assert (errors.ignore_below, errors.detect) == ("1%", "5x")
    assert any(check.latency for check in policy.checks)


def test_versions_differ_by_model_and_version_alone() -> None:
    """What is rolled out from v1 to v4 is the model, nothing else."""
    (one,) = filled("modeldeployment", VERSION="1", SHA256=SHA256)
    (two,) = filled("modeldeployment", VERSION="2", SHA256="cd" * 32)
    for manifest in (one, two):
        del manifest["spec"]["model"]
        del manifest["spec"]["info"]["version"]
    assert one == two


def test_store_serves_every_version_from_its_config_map() -> None:
    """The ConfigMaps that are made are the ones that are mounted."""
    store, _ = filled("store", MODEL_SERVER_IMAGE="ms:1")
    (volume,) = store["spec"]["template"]["spec"]["volumes"]
    mounted = [source["configMap"]["name"] for source in volume["projected"]["sources"]]
    assert mounted == [f"model-v{version}" for version in install.VERSIONS]


def test_kustomization_names_the_images_of_this_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry's port is no tag, and the overlay's path is relative, as kustomize demands."""
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.delenv("PROMETHEUS_IMAGE", raising=False)
    folder = cluster.WORK / "install"
    found = yaml.safe_load(install.kustomization(IMAGES, folder))
    assert found["images"] == [
        {"name": "rampway.local/operator", "newName": "localhost:5000/op", "newTag": "1"}
    ]
    (overlay,) = found["resources"]
    assert (folder / overlay / "kustomization.yaml").resolve().is_file()
    patch = yaml.safe_load(found["patches"][0]["patch"])
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    assert env["RAMPWAY_MODEL_SERVER_IMAGE"] == "localhost:5000/ms:2"
    assert "RAMPWAY_HOOK_URLS" not in env
    hooked = yaml.safe_load(install.kustomization(IMAGES, folder, "http://hooks/"))
    patch = yaml.safe_load(hooked["patches"][0]["patch"])
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert {"name": "RAMPWAY_HOOK_URLS", "value": "http://hooks/"} in container["env"]
    monkeypatch.setenv("PROMETHEUS_IMAGE", "my/prom:9")
    named = yaml.safe_load(install.kustomization(IMAGES, folder))["images"][1]
    assert named == {"name": "rampway.local/prometheus", "newName": "my/prom", "newTag": "9"}


@pytest.mark.parametrize("stamps", [True, False])
def test_names_are_stamped_where_it_is_asked(stamps: bool) -> None:
    """The policy that stamps is part of the demo's kustomization, and so goes with it again."""
    folder = cluster.WORK / "install"
    found = yaml.safe_load(install.kustomization(IMAGES, folder, stamps=stamps))["resources"]
    parts = {(folder / part).resolve().relative_to(cluster.ROOT).as_posix() for part in found}
    assert ("manifests/people/stamp" in parts) == stamps


@pytest.mark.parametrize(
    ("served", "stamps"),
    [
        (["validatingadmissionpolicies", "mutatingadmissionpolicies"], True),
        (["validatingadmissionpolicies"], False),
    ],
)
def test_whether_names_can_be_stamped_is_asked_of_the_api_server(
    tmp_path: Path,
    served: list[str],
    stamps: bool,
) -> None:
    """By the very version that the policy is written in: others do not count."""
    policy = yaml.safe_load_all((cluster.ROOT / "manifests/people/stamp/policy.yaml").read_text())
    kube, asked = fake_kubectl(tmp_path, json.dumps({"resources": [{"name": n} for n in served]}))
    assert install.stamps_names(kube) is stamps
    assert asked.read_text().strip() == f"get --raw /apis/{next(policy)['apiVersion']}"


def test_patched_settings_exist_in_the_operator() -> None:
    """A renamed setting or container would make the patch add something that nobody reads."""
    overlay = cluster.ROOT / "manifests" / "operator" / "deployment.yaml"
    deployment = next(iter(yaml.safe_load_all(overlay.read_text())))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    known = {one["name"] for one in container["env"]}
    patched = set(re.findall(r"RAMPWAY_[A-Z_]+", install.KUSTOMIZATION.template))
    assert container["name"] == "operator"
    assert patched <= known


def test_shell_lines_are_read() -> None:
    """What `tools.localcluster env` prints is what a shell would take from it."""
    printed = "export PATH=/a:/b; export KUBECONFIG='/c d/e=f'; export no_proxy=10.0.0.0/8\n"
    assert cluster.exports(printed) == {
        "PATH": "/a:/b",
        "KUBECONFIG": "/c d/e=f",
        "no_proxy": "10.0.0.0/8",
    }


def test_image_names_are_read() -> None:
    """The names come from the lines of the two images, whatever stands around them."""
    printed = (
        "image operator … 30 s\noperator: localhost:5000/op:1, 252 MB unpacked\n"
        "model-server: rampway.local/ms:2, 346 MB unpacked\nnames written to /x\n"
    )
    assert cluster.image_names(printed) == {
        "operator": "localhost:5000/op:1",
        "model-server": "rampway.local/ms:2",
    }


def test_failed_command_is_told_in_its_own_words(tmp_path: Path) -> None:
    """A failing program's words and exit code are in the error; a missing one says what to do."""
    env = {"PATH": "/usr/bin:/bin"}
    with pytest.raises(cluster.DemoError, match=r"`ls .*` failed with 2: .*No such file"):
        cluster.output(["ls", str(tmp_path / "none")], env)
    with pytest.raises(cluster.DemoError, match="make cluster-up"):
        cluster.output([str(tmp_path / "none")], env)


def fake_kubectl(folder: Path, found: str) -> tuple[cluster.Kubectl, Path]:
    """A kubectl that prints `found` and notes what it was asked, a line each."""
    (folder / "found").write_text(found)
    program, asked = folder / "kubectl", folder / "asked"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncat {folder / "found"}\n')
    program.chmod(0o755)
    return cluster.Kubectl({"PATH": f"{folder}:/usr/bin:/bin"}), asked


@pytest.mark.parametrize("labels", [{}, {install.MANAGED_BY: "someone"}])
def test_namespace_of_somebody_else_is_never_deleted(
    tmp_path: Path, labels: dict[str, str]
) -> None:
    """On a stranger's cluster `demo` may be anybody's."""
    found = json.dumps({"metadata": {"name": "demo", "labels": labels}})
    kube, asked = fake_kubectl(tmp_path, found)
    with pytest.raises(cluster.DemoError, match="did not make"):
        install.begin_cleaning(kube)
    assert "delete" not in asked.read_text()


def test_own_namespace_is_deleted_and_none_is_fine(tmp_path: Path) -> None:
    """A second demo starts afresh; the first one has nothing to clean."""
    (namespace, _) = filled("gateway", GATEWAY_CLASS="eg")
    kube, asked = fake_kubectl(tmp_path, json.dumps(namespace))
    install.begin_cleaning(kube)
    assert "delete namespace demo --wait=false" in asked.read_text().splitlines()
    asked.unlink()
    kube, asked = fake_kubectl(tmp_path, "")
    install.begin_cleaning(kube)
    assert "delete" not in asked.read_text()
