"""Every simulation holds the documents to what happens in it."""

from collections.abc import Iterator
from functools import lru_cache

import pytest
from simulation import documented

from rampway.api.parse import ModelDeployment
from rampway.core.actions import Emit
from rampway.core.evidence import missing
from rampway.shell.events import Recorder

FORECASTS = 1 << 12
"""Forecasts that are kept."""


@pytest.fixture(scope="session", autouse=True)
def forecasts_once() -> Iterator[None]:
    """Keep forecasts: a test that kills the operator at each write tells one story many times."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(missing, "_searched", lru_cache(FORECASTS)(missing._searched))
        yield


@pytest.fixture(autouse=True)
def documented_events(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No Event is recorded that docs/reference/status.md does not have, action, type and reason."""
    seen: set[tuple[str, str, str]] = set()
    record = Recorder.record

    async def noting(
        self: Recorder, deployment: ModelDeployment, event: Emit, emitted: set[str]
    ) -> None:
        kind = "Warning" if event.warning else "Normal"
        seen.add((str(event.action), kind, str(event.reason)))
        await record(self, deployment, event, emitted)

    monkeypatch.setattr(Recorder, "record", noting)
    yield
    assert seen - documented.events() == set()
