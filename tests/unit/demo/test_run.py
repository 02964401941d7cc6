"""What the demo says at its end."""

import os
import re

import pytest

from demo import run
from rampway.cli.app import app


@pytest.mark.parametrize(("load", "said"), [(8.25, True), (3.9, False)])
def test_a_machine_with_other_work_is_told(
    monkeypatch: pytest.MonkeyPatch, load: float, said: bool
) -> None:
    """Beside work that takes all processors, durations say little of a model."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, load, 0.5))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert bool(run.other_work()) is said
    assert not said or "load 8.2 on 2 processors" in run.other_work()


def test_the_verbs_it_names_exist() -> None:
    """What a reader is told to type is there to be typed."""
    named = set(re.findall(r"kubectl rampway ([a-z]+)", run.NEXT))
    known = {command.name for command in app.registered_commands}
    assert named
    assert named <= known
