"""What the README and the CI guide show, run for real."""

import re
from pathlib import Path

import pytest
import yaml
from cluster.subject import Subject

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]


def block(page: str, language: str, holding: str) -> str:
    """Return the first fenced block of a language that holds some text."""
    text = (ROOT / page).read_text()
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return next(body for body in found if holding in body)


def test_the_readmes_example_and_the_ci_script(subject: Subject) -> None:
    """The README's ModelDeployment is promoted and the script says 0; a bad release, and it says 1.

    Only what a reader has to put in is put in: the model's place, the Gateway, the host.
    """
    shown = yaml.safe_load(block("README.md", "yaml", "ModelDeployment"))
    mine = subject.manifest("a")
    wanted = shown | {"metadata": mine["metadata"]}
    wanted["spec"] = shown["spec"] | {
        "model": mine["spec"]["model"],
        "traffic": mine["spec"]["traffic"],
        "replicas": 1,
    }
    script = block("docs/guides/ci.md", "sh", "#!/bin/sh")
    kube = subject.bench.kube
    subject.put(wanted)
    good = kube.run("sh", "-c", script, "wait", subject.namespace, subject.name, "100s")
    assert (good.returncode, "Healthy" in good.stdout) == (0, True), good
    wanted["spec"]["model"] = mine["spec"]["model"] | {"sha256": "0" * 64}
    wanted["spec"]["rollout"] = shown["spec"]["rollout"] | {"progressDeadline": "8s"}
    subject.put(wanted)
    bad = kube.run("sh", "-c", script, "wait", subject.namespace, subject.name, "100s")
    assert (bad.returncode, "RolledBack" in bad.stdout) == (1, True), bad
    assert "wrong digest" in bad.stdout
    shown_status = kube.run("kubectl-rampway", "status", subject.name, "-n", subject.namespace)
    assert shown_status.returncode == 0
    assert "rolled back" in shown_status.stdout


@pytest.mark.parametrize("folder", ["crds", "manifests", "manifests/overlays/prometheus"])
def test_what_the_readme_installs_is_accepted(subject: Subject, folder: str) -> None:
    """The kustomizations that the README applies are accepted by the API server as they are."""
    subject.bench.kube("apply", "-k", folder, "--dry-run=server")
