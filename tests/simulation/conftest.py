"""Every simulation holds the documents to what happens in it."""

from collections.abc import Iterator

import pytest
from simulation import documented

from rampway.api.parse import ModelDeployment
from rampway.core.actions import Emit
from rampway.shell.events import Recorder


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
