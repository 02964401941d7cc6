"""What docs/reference/cli.md shows is what the verbs print of a run of examples/digits.yaml.

RAMPWAY_WRITE_SNAPSHOTS=1 writes it anew, as for the other snapshots.
"""

import asyncio
import os
from pathlib import Path

import pytest
import yaml
from simulation.stage import NAME, Stage

from rampway.cli import explain, reasons, terminal
from rampway.cli.assemble import assemble
from rampway.cli.cluster import read
from rampway.cli.facts import Facts
from rampway.cli.view import view
from rampway.sim import admission
from rampway.sim.world import SPACE, World

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
README = Path(__file__).parents[2] / "README.md"
EXAMPLE = Path(__file__).parents[2] / "examples/digits.yaml"
FENCE = "```\n"
RATE_PER_S = 20.0
HISTORY_S = 900
"""Stable serves for so long before: enough of a past to judge by."""


def waiting() -> Stage:
    """Return a run of the example in whose first step a check still waits for requests."""
    manifest = yaml.safe_load(EXAMPLE.read_text())
    stage = Stage(World())
    admission.install(stage.world.store)
    stage.apply(**manifest["spec"])
    stage.until_phase("Healthy")
    stage.run(10)  # until the gateway knows of the endpoints
    stage.send(RATE_PER_S)
    stage.run(HISTORY_S)
    newer = {"model": {"uri": "http://model-store/v2.skops"}, "info": {"version": "2"}}
    stage.world.apply(NAME, newer, by="ann")
    stage.until(lambda: stage.world.status(NAME).message.startswith("step five: errors"), 600)
    stage.run(2)
    return stage


def facts(world: World) -> Facts:
    """Return what the verbs read of it."""
    return assemble(asyncio.run(read(world.api, SPACE, NAME, world.clock.now_s)))


def written(page: str, printed: str) -> str:
    """Return the page with this in place of the block that begins with the same two words."""
    begins = FENCE + printed[: len(NAME) + 4]
    before, _, after = page.partition(begins)
    return before + FENCE + printed + FENCE + after.partition(FENCE)[2]


def test_the_reference_shows_a_run_of_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    """`status` and `explain` of one moment, so that neither contradicts itself or the other."""
    world = waiting().world
    found, now_s = facts(world), world.clock.now_s
    capsys.readouterr()
    for shown in (view(found, now_s, ""), explain.view(found, reasons.explain(found, now_s))):
        terminal.show(terminal.console(no_color=True), shown)
        printed = capsys.readouterr().out
        if os.environ.get("RAMPWAY_WRITE_SNAPSHOTS"):
            PAGE.write_text(written(PAGE.read_text(), printed))
        assert f"{FENCE}{printed}{FENCE}" in PAGE.read_text(), printed
    shown = README.read_text().partition(f"```text\n{NAME}  namespace")[2].partition(FENCE)[0]
    assert shown.endswith("\n…\n")  # it says that there is more
    assert shown.removesuffix("…\n") in PAGE.read_text()
    assert "CHECKS" in shown
