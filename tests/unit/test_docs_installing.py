"""The kustomizations that pages give to copy fit what lies in manifests/."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rampway.shell.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs/guides/installing.md", ROOT / "docs/tutorial/first-rollout.md"]
MANIFESTS = "\n".join(path.read_text() for path in (ROOT / "manifests").rglob("*.yaml"))
GIVEN = {"OPERATOR_IMAGE": "shop/operator:1", "MODEL_SERVER_IMAGE": "shop/server:2"}

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def kustomization(page: Path) -> Any:
    """Return what the page has a shell write, its variables filled in."""
    found = re.search(
        r"cat > \S+/kustomization.yaml <<END\n(.*?)END\n", page.read_text(), re.DOTALL
    )
    assert found, f"{page.name} writes no kustomization"
    text = found[1]
    for name, image in GIVEN.items():
        repository, tag = image.split(":")
        text = text.replace(f"${{{name}%:*}}", repository).replace(f"${{{name}##*:}}", tag)
        text = text.replace(f"${name}", image)
    assert "$" not in text
    return yaml.safe_load(text)


def test_images_are_those_of_the_manifests(page: Path) -> None:
    """Each image that is replaced is one that a manifest names; the operator's is among them."""
    names = [image["name"] for image in kustomization(page)["images"]]
    assert "rampway.local/operator" in names
    assert [name for name in names if f"image: {name}\n" not in MANIFESTS] == []


def test_the_patch_meets_the_operators_container(page: Path) -> None:
    """The patch names the Deployment and container that there are, and settings that are read."""
    patch = yaml.safe_load(kustomization(page)["patches"][0]["patch"])
    real = yaml.safe_load_all((ROOT / "manifests/operator/deployment.yaml").read_text())
    deployment = next(one for one in real if one["kind"] == "Deployment")
    assert patch["metadata"]["name"] == deployment["metadata"]["name"]
    mine = patch["spec"]["template"]["spec"]["containers"][0]
    assert mine["name"] == deployment["spec"]["template"]["spec"]["containers"][0]["name"]
    chosen = Settings.from_env({var["name"]: var["value"] for var in mine["env"]})
    assert chosen.server_image == GIVEN["MODEL_SERVER_IMAGE"]
    known = (ROOT / "operator/rampway/shell/settings.py").read_text()
    assert [v for v in mine["env"] if v["name"].removeprefix("RAMPWAY_") not in known] == []


def test_resources_are_folders_with_a_kustomization(page: Path) -> None:
    """What the kustomization stands on lies in manifests/."""
    bases = [base.lstrip("./") for base in kustomization(page)["resources"]]
    assert [b for b in bases if not (ROOT / b / "kustomization.yaml").exists()] == []
