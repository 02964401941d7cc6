"""One worker for each core: started from one leader, watched, and started anew.

All accept from one listening socket, so that a connection which waits there outlives whoever would
have taken it, and count in one `Sheet`. With one worker there is no leader.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from rampway_server.logs import logger
from rampway_server.sheet import Page, Sheet
from rampway_server.team import Team

FAILED = 1
"""The exit code of a worker that has said why it cannot start."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BY_SIGNAL = 128
DEATHS_S = 600.0
"""A second worker's death within this time ends the server."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker works.

    Attributes:
        number: Which of the workers it is, from 0.
        listening: The socket that it takes connections from.
        page: Where it counts.
        team: The other workers.
        leader: The process that started it, if there is one.
    """

    number: int
    listening: socket.socket
    page: Page
    team: Team
    leader: int | None = None


Work = Callable[[Place], int]
"""What a worker does until it is told to end; gives its exit code."""


def run(count: int, listening: socket.socket, work: Work) -> int:
    """Do the work in so many processes until SIGTERM or SIGINT; return the exit code."""
    sheet, team = Sheet(count), Team(count)
    places = [
        Place(
            number=number,
            listening=listening,
            page=sheet.page(number),
            team=team.seat(number),
            leader=os.getpid() if count > 1 else None,
        )
        for number in range(count)
    ]
    return work(places[0]) if count == 1 else _Leader(places, work).lead()


class _Leader:
    def __init__(self, places: list[Place], work: Work) -> None:
        self._places = places
        self._work = work
        self._numbers: dict[int, int] = {}  # of workers, by process
        self._deaths_s: list[float] = []
        self._ending = False

    def lead(self) -> int:
        """Keep all workers going until the end; return the exit code."""
        for one in _SIGNALS:
            signal.signal(one, self._end)
        for worker in range(len(self._places)):
            self._start(worker)
        worst = 0
        while self._numbers:
            pid, status = os.wait()
            number = self._numbers.pop(pid, None)
            if number is None:  # some orphan: a container's first process inherits them
                continue
            code = os.waitstatus_to_exitcode(status)
            if not self._ending and self._bearable(code):
                logger().error("a worker ended; it is started anew", worker=number, code=code)
                self._start(number)
                continue
            worst = max(worst, code if code >= 0 else _BY_SIGNAL - code)
            if not self._ending:  # once: a worker that ends has no ear for a second signal
                self._end(signal.SIGTERM, None)
        return worst

    def _bearable(self, code: int) -> bool:
        """Return whether a worker's end is no reason to end the server.

        A model that keeps killing workers must be seen by who watches containers.
        """
        now_s = time.monotonic()
        lately = [at_s for at_s in self._deaths_s if now_s - at_s < DEATHS_S]
        self._deaths_s = [*lately, now_s]
        served = self._places[0].page.cells("loaded", size=1).total()[0]
        return bool(served) and code != FAILED and not lately

    def _start(self, number: int) -> None:
        # Until both sides know what they are, no signal comes through.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            for one in _SIGNALS:
                signal.signal(one, lambda _number, _frame: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            sys.exit(self._work(self._places[number]))
        self._numbers[pid] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._ending = True
        for pid in list(self._numbers):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
