"""docs/guides/routes.md: its files are applied in the simulation, its hand-over is carried out."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from rampway.core.traffic import podshare
from rampway.kube.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT, SERVICE
from rampway.sim.world import SPACE, World

TEXT = (Path(__file__).resolve().parents[2] / "docs/guides/routes.md").read_text()


def blocks() -> list[dict[str, Any]]:
    """Return the page's YAML."""
    return [yaml.safe_load(found) for found in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


def applied() -> World:
    """Return a world with the guide's objects, and the Service that it takes for granted."""
    world = World()
    world.store.create(SERVICE, {"metadata": {"name": "web", "namespace": SPACE}, "spec": {}})
    for found in blocks():
        if "kind" not in found:
            continue  # a part of one
        found["metadata"]["namespace"] = SPACE
        kind = HTTP_ROUTE if found["kind"] == HTTP_ROUTE.kind else MODEL_DEPLOYMENT
        world.store.create(kind, found)
    return world


def test_the_files_serve() -> None:
    """The route and the ModelDeployment of the page come to a model that serves."""
    world = applied()
    before = world.store.get(HTTP_ROUTE, SPACE, "shop")["spec"]
    world.run(40)
    assert world.status("digits").phase == "Healthy"
    assert world.store.get(HTTP_ROUTE, SPACE, "shop")["spec"] == before


def test_the_shares_without_a_gateway() -> None:
    """The page's file serves behind its Service, and its table is what numbers of pods give."""
    world = applied()
    world.run(40)
    assert (world.status("numbers").phase, world.condition("numbers", "Accepted")) == (
        "Healthy", "True")  # fmt: skip
    live = world.store.get(SERVICE, SPACE, "numbers-live")["spec"]
    assert live["selector"] == world.store.get(SERVICE, SPACE, "numbers")["spec"]["selector"]
    rows = re.findall(r"^\| (\d+) \| ([\d, ]+) % \|$", TEXT, re.MULTILINE)
    assert len(rows) == 5
    for replicas, shares in rows:
        most = int(replicas)
        given = [podshare.share_pct(n, most) for n in range(1, most + 1)]
        assert [int(share) for share in shares.split(", ")] == given


def test_the_adoption() -> None:
    """With the page's policy a rule that others have is taken over step by step."""
    world = applied()
    old = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": [{"name": "web"}]}]
    world.store.patch(HTTP_ROUTE, SPACE, "shop", old)
    (part,) = [found for found in blocks() if "kind" not in found]
    world.apply("digits", part)
    world.run(60)
    refs = world.store.get(HTTP_ROUTE, SPACE, "shop")["spec"]["rules"][0]["backendRefs"]
    candidate = f"digits-{world.desired('digits')}"
    assert {ref["name"]: ref["weight"] for ref in refs} == {"web": 90, candidate: 10}


def test_the_hand_over() -> None:
    """The page's two patches take a rule from its old backend to the model's Service."""
    world = applied()
    old = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": [{"name": "old"}]}]
    world.store.patch(HTTP_ROUTE, SPACE, "shop", old)
    world.run(40)
    assert world.condition("digits", "Accepted") == "False"
    patches = [json.loads(p) for p in re.findall(r"--type json -p '(.*?)'", TEXT, re.DOTALL)]
    assert len(patches) == 2
    for patch, expected in zip(patches, ("False", "True"), strict=True):
        world.store.patch(HTTP_ROUTE, SPACE, "shop", patch)
        world.run(5)
        assert world.condition("digits", "Accepted") == expected
    assert world.status("digits").phase == "Healthy"
