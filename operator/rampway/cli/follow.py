"""Looking again and again: `status --watch` and `status --wait`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Never, Protocol

from rampway.api.base import seconds
from rampway.api.parse import Unparseable
from rampway.cli import words
from rampway.cli.assemble import assemble
from rampway.cli.cluster import read
from rampway.cli.exits import ExitCode
from rampway.cli.facts import Facts
from rampway.cli.outcome import Outcome, Release, outcome, timed_out
from rampway.kube.base import KubeApi
from rampway.kube.errors import KubeError, NotFound

INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The clocks: seconds since the epoch, seconds that never jump, and how to sleep."""

    now_s: Callable[[], float] = time.time
    elapsed_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Subject:
    """The ModelDeployment that is looked at, where, and by which clock."""

    api: KubeApi
    namespace: str
    name: str
    pace: Pace = Pace()

    async def look(self) -> Facts:
        """Read it once; raises as `rampway.cli.cluster.read` does."""
        now_s = self.pace.now_s()
        return assemble(await read(self.api, self.namespace, self.name, now_s))


class Show(Protocol):
    """Shows the state; `trouble` is why it could not be read anew, empty if it could."""

    def __call__(self, facts: Facts, now_s: float, trouble: str) -> None:
        """Show it."""
        ...


async def watch(subject: Subject, show: Show) -> Never:
    """Show the state about each second, for ever; errors after the first look are shown too."""
    facts, trouble = await subject.look(), ""
    while True:
        show(facts, subject.pace.now_s(), trouble)
        await subject.pace.sleep(INTERVAL_S)
        try:
            facts, trouble = await subject.look(), ""
        except (KubeError, Unparseable) as err:
            trouble = str(err)


class Lines:
    """Shows a line for each change: for logs, where nothing can be redrawn."""

    def __init__(
        self,
        say: Callable[[str], None],
        complain: Callable[[str], None],
        key: Callable[[Facts], object] = words.key,
    ) -> None:
        self._say, self._complain, self._key = say, complain, key
        self._last: object = None
        self._trouble = ""

    def __call__(self, facts: Facts, now_s: float, trouble: str) -> None:
        """Print a line if the state is another one, or the trouble is."""
        if trouble and trouble != self._trouble:
            self._complain(f"cannot read it now, trying again: {words.clean(trouble)}")
        self._trouble = trouble
        if not trouble and self._key(facts) != self._last:
            self._last = self._key(facts)
            self._say(words.line(facts, now_s))


async def wait(subject: Subject, show: Show, patience: str) -> Outcome:
    """Wait for the end of the release that the spec asks for now.

    Errors after the first look are shown and tried again until the time is over, `patience`
    such as 15m.
    """
    pace = subject.pace
    until_s = pace.elapsed_s() + seconds(patience)
    facts, trouble = await subject.look(), ""
    release = Release.of(facts.deployment)
    while True:
        show(facts, pace.now_s(), trouble)
        ended = outcome(release, facts.deployment)
        if ended is not None:
            return ended
        left_s = until_s - pace.elapsed_s()
        if left_s <= 0:
            late = timed_out(release, facts.deployment, patience)
            return Outcome(late.code, f"{late.sentence}; {trouble}") if trouble else late
        await pace.sleep(min(INTERVAL_S, left_s))
        try:
            facts, trouble = await subject.look(), ""
        except NotFound as err:
            return Outcome(ExitCode.UNREADABLE, f"deleted while waiting: {err}")
        except (KubeError, Unparseable) as err:
            trouble = str(err)
