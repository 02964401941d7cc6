"""The files in docs/guides/capacity.md are such as the API server accepts and acts upon."""

import re
from pathlib import Path
from typing import Any

import yaml

from rampway.api.base import API_VERSION
from rampway.api.definitions import DEFINITIONS

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/capacity.md"


def objects() -> dict[str, Any]:
    """Return the objects of the page by kind."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {found["kind"]: found for block in blocks for found in yaml.safe_load_all(block)}


def test_the_autoscaler_scales_what_has_a_scale() -> None:
    """The guide's autoscaler names a kind that has the subresource, by its group and version."""
    target = objects()["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    scalable = [d.kind for d in DEFINITIONS if d.scale]
    assert target["apiVersion"] == API_VERSION
    assert target["kind"] in scalable
