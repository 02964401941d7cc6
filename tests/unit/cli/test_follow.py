"""Watching and waiting, with a clock of their own and an API server in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from unit.cli import scenes

from rampway.cli import words
from rampway.cli.exits import ExitCode
from rampway.cli.follow import Lines, Pace, Subject, wait, watch
from rampway.kube import kinds
from rampway.kube.errors import NotFound, Transient
from rampway.sim.apiserver import MemoryApi, Store


class Over(Exception):  # noqa: N818 - the end of a test, no error
    """Nothing more happens."""


@dataclass
class Script:
    """A clock that, as it goes, lets happen to the API server what is next on the list."""

    api: MemoryApi
    events: Sequence[Callable[[MemoryApi], Any]]
    forever: bool = False
    passed_s: float = 0.0
    said: list[str] = field(default_factory=list)
    complained: list[str] = field(default_factory=list)

    async def sleep(self, duration_s: float) -> None:
        """Let time pass and the next thing happen."""
        self.passed_s += duration_s
        if self.events:
            event, *self.events = self.events
            event(self.api)
        elif not self.forever:
            raise Over

    def subject(self) -> Subject:
        """What is looked at."""
        pace = Pace(lambda: scenes.NOW_S + self.passed_s, lambda: self.passed_s, self.sleep)
        return Subject(self.api, scenes.SPACE, scenes.NAME, pace)

    def lines(self, key: Callable[..., object] = words.key) -> Lines:
        """Return what is printed, without the times."""
        return Lines(lambda line: self.said.append(line[10:]), self.complained.append, key)


def becomes(scene: scenes.Scene) -> Callable[[MemoryApi], None]:
    """Return the event: the objects are now those of another scene."""

    def event(api: MemoryApi) -> None:
        for said in (None, scene.status):
            where = (kinds.MODEL_DEPLOYMENT, scenes.SPACE, scenes.NAME)
            api.store.patch(*where, {"status": said}, subresource="status")
        for made in api.store.list(kinds.MODEL_ROLLOUT, scenes.SPACE):
            api.store.delete(kinds.MODEL_ROLLOUT, scenes.SPACE, made["metadata"]["name"])
        for made in scene.rollouts:
            scenes.put(api.store, kinds.MODEL_ROLLOUT, made)

    return event


def fails(api: MemoryApi) -> None:
    """Let the next call fail."""
    api.fail_next(Transient("get ModelDeployment ml/digits: 503: etcd is away"))


def nothing(_api: MemoryApi) -> None:
    """Let nothing happen."""


def script(
    scene: scenes.Scene, *events: Callable[[MemoryApi], Any], forever: bool = False
) -> Script:
    """Return a script that begins with a scene."""
    store: Store = scene.store()
    return Script(MemoryApi(store), events, forever)


PROMOTED = scenes.status("Healthy", "AtRest", "3 of 3 pods ready", "True", generation=2)
DONE = scenes.mid_rollout.but(status=PROMOTED, rollouts=())


async def test_waiting_ends_when_the_new_spec_is_promoted_not_by_the_old_ones_status() -> None:
    """Right after an apply the status still says Promoted=True, of the spec before."""
    stage = script(
        scenes.just_applied, nothing, becomes(scenes.mid_rollout), nothing, becomes(DONE)
    )
    ended = await wait(stage.subject(), stage.lines(words.course_key), "15m")
    assert ended.code is ExitCode.OK
    assert ended.sentence == f"revision {scenes.V2} serves, 3 of 3 pods ready"
    assert stage.passed_s == 4
    assert [line.split(":")[0] for line in stage.said] == [
        "the spec is at generation 2, this status is about 1",
        "◔ Progressing step 2/3 quarter EvidenceWaiting",
        "✔ Healthy AtRest",
    ]


async def test_waiting_ends_with_a_rollback_and_says_which_check() -> None:
    """A release that was rolled back is a failed CI job."""
    stage = script(scenes.mid_rollout, becomes(scenes.rolled_back_by_check))
    ended = await wait(stage.subject(), stage.lines(), "15m")
    assert ended.code is ExitCode.FAILED
    assert ended.sentence.startswith("CheckFailed: digits-")
    assert "31 of 412 requests failed" in ended.sentence


async def test_waiting_ends_with_its_time() -> None:
    """The timeout is kept to, also where the last second is not a whole one."""
    stage = script(scenes.mid_rollout, forever=True)
    ended = await wait(stage.subject(), stage.lines(), "2s500ms")
    assert ended.code is ExitCode.TIMEOUT
    assert stage.passed_s == pytest.approx(2.5)
    assert len(stage.said) == 1


async def test_waiting_outlasts_an_api_server_that_is_away() -> None:
    """B30: errors are told once, and tried again."""
    stage = script(scenes.mid_rollout, fails, fails, becomes(DONE))
    ended = await wait(stage.subject(), stage.lines(), "15m")
    assert ended.code is ExitCode.OK
    assert stage.complained == [
        "cannot read it now, trying again: get ModelDeployment ml/digits: 503: etcd is away"
    ]


async def test_a_timeout_without_an_api_server_says_so() -> None:
    """What was seen last is old, and the reason belongs to the last line."""
    stage = script(scenes.mid_rollout, fails)
    ended = await wait(stage.subject(), stage.lines(), "1s")
    assert ended.code is ExitCode.TIMEOUT
    assert ended.sentence.endswith("; get ModelDeployment ml/digits: 503: etcd is away")


async def test_waiting_ends_when_the_object_is_deleted() -> None:
    """Nobody will ever promote it."""

    def delete(api: MemoryApi) -> None:
        api.store.delete(kinds.MODEL_DEPLOYMENT, scenes.SPACE, scenes.NAME)

    stage = script(scenes.mid_rollout, delete)
    ended = await wait(stage.subject(), stage.lines(), "15m")
    assert ended.code is ExitCode.UNREADABLE
    assert "deleted while waiting: there is no ModelDeployment digits in" in ended.sentence


async def test_watching_prints_a_line_for_each_change_and_none_for_none() -> None:
    """In a log, only what changed is worth a line."""
    stage = script(
        scenes.mid_rollout, nothing, becomes(scenes.holding), nothing, fails, becomes(DONE)
    )
    with pytest.raises(Over):
        await watch(stage.subject(), stage.lines())
    where = "step 2/3 quarter candidate set 25 %, observed 25 %"
    assert stage.said == [
        f"◔ Progressing {where} EvidenceWaiting: {scenes.mid_rollout.status['message']}",
        f"? Holding {where} EvidenceUnknown: {scenes.holding.status['message']}",
        "✔ Healthy AtRest: 3 of 3 pods ready",
    ]
    assert len(stage.complained) == 1


async def test_watching_what_is_not_there_ends_at_once() -> None:
    """A typing error must not look like an API server that is away."""
    stage = script(scenes.mid_rollout)
    stage.api.store.delete(kinds.MODEL_DEPLOYMENT, scenes.SPACE, scenes.NAME)
    with pytest.raises(NotFound):
        await watch(stage.subject(), stage.lines())
