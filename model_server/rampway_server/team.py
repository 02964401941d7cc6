"""The workers of one server among themselves: what one is asked to change, all change.

The first of them has every change made, one after the other: two that come at the same time by two
workers would else be made in another order here than there.
"""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import orjson

from rampway_server.errors import ClientFaultError
from rampway_server.logs import logger

ANSWER_S = 120.0
"""A worker makes a change within this time, loading a model included."""
WAIT_S = 5 * ANSWER_S
"""Who asks for a change waits so long: others may be made before it."""
_MESSAGE_BYTES = 64 << 10
_FIRST = 0
_Failure = tuple[str, int | None]
"""Words, and HTTP's status if it is the client's fault."""
Act = Callable[[str, str], Awaitable[None]]
"""Does something, by its name and what it is done to; raises ClientFaultError."""


async def _too_early(what: str, _whom: str) -> None:
    raise ClientFaultError(f"the server is starting and does not {what} yet; ask again")


class Team:
    """Mailboxes of so many workers, made before they are; `seat` gives each its own."""

    def __init__(
        self,
        count: int = 1,
        number: int = 0,
        boxes: Sequence[tuple[socket.socket, socket.socket]] = (),
    ) -> None:
        alone = count == 1
        self._boxes = boxes or [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count) if not alone
        ]
        for box in itertools.chain(*self._boxes):
            box.setblocking(False)  # noqa: FBT003  # the standard library's signature
        self._count = count
        self._number = number
        self._asked: dict[int, asyncio.Future[_Failure | None]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._act: Act = _too_early
        self._ids = itertools.count()
        self._acting: set[asyncio.Task[None]] = set()

    def seat(self, number: int) -> "Team":
        """Return the same team as one of its workers sees it."""
        return Team(self._count, number, self._boxes)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self._count

    def follow(self, act: Act) -> None:
        """Do from now on, by `act`, what any of the workers is asked to."""
        self._act = act
        if self._boxes:
            box = self._boxes[self._number][0]
            asyncio.get_running_loop().add_reader(box.fileno(), self._read, box)

    async def change(self, what: str, whom: str) -> None:
        """Have all workers do something, and wait until they have.

        Raises:
            ClientFaultError: one could not, or did not say.
            RuntimeError: one failed by itself.
        """
        if self._number == _FIRST:
            # A client that gives up must not leave it done in some of the workers.
            await asyncio.shield(self._aside(self._everywhere(what, whom)))
        else:
            await self._ask(_FIRST, what, whom, WAIT_S)

    async def _everywhere(self, what: str, whom: str) -> None:
        """Do something here, then have the others do it, unless it could not be done here."""
        others = [number for number in range(self.size) if number != self._number]
        async with self._one_at_a_time:
            await self._act(what, whom)
            asked = [self._ask(other, what, whom, ANSWER_S) for other in others]
            for failure in await asyncio.gather(*asked, return_exceptions=True):
                if failure is not None:
                    raise failure

    async def _ask(self, other: int, what: str, whom: str, within_s: float) -> None:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "from": self._number, "do": what, "to": whom}
        try:
            self._send(other, message)
            failure = await asyncio.wait_for(answer, within_s)
        except (TimeoutError, OSError):
            words = f"worker {other} of {self.size} did not {what} it; ask again"
            raise ClientFaultError(words) from None
        finally:
            del self._asked[number]
        if failure is not None:
            words, status = failure
            raise ClientFaultError(words, status) if status else RuntimeError(words)

    def _send(self, other: int, message: dict[str, Any]) -> None:
        self._boxes[other][1].send(orjson.dumps(message))

    def _read(self, box: socket.socket) -> None:
        try:
            message = orjson.loads(box.recv(_MESSAGE_BYTES))
        except BlockingIOError:
            return
        if "done" in message:
            answer = self._asked.get(message["id"])
            if answer is not None and not answer.done():
                answer.set_result(message["done"])
            return
        _ = self._aside(self._obey(message))

    def _aside(self, doing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(doing)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return task

    async def _obey(self, message: dict[str, Any]) -> None:
        """Do what another asks: as the first for all, else for the first."""
        act = self._everywhere if self._number == _FIRST else self._act
        failure: _Failure | None = None
        try:
            await act(message["do"], message["to"])
        except ClientFaultError as fault:
            failure = fault.message, fault.status
        except Exception as fault:  # noqa: BLE001  # who asked must hear of it
            logger().exception("internal error")
            failure = repr(fault), None
        self._send(message["from"], {"id": message["id"], "done": failure})
