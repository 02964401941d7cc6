"""The workers of one server among themselves: what one is asked to change, all change."""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from rampway_server.errors import ClientFaultError
from rampway_server.logs import logger

ANSWER_S = 120.0
_MESSAGE_BYTES = 64 << 10
Act = Callable[[str, str], Awaitable[None]]
"""Does something, by its name and what it is done to; raises ClientFaultError."""


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
        self._asked: dict[int, asyncio.Future[str]] = {}
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
        """Do from now on what others tell."""
        if self._boxes:
            box = self._boxes[self._number][0]
            asyncio.get_running_loop().add_reader(box.fileno(), self._read, box, act)

    async def tell(self, what: str, whom: str) -> None:
        """Have all others do something, and wait until they have.

        Raises:
            ClientFaultError: one could not, or did not say.
        """
        others = [number for number in range(self.size) if number != self._number]
        for error in await asyncio.gather(*(self._ask(one, what, whom) for one in others)):
            if error:
                raise ClientFaultError(error)

    async def _ask(self, other: int, what: str, whom: str) -> str:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "from": self._number, "do": what, "to": whom}
        try:
            self._send(other, message)
            return await asyncio.wait_for(answer, ANSWER_S)
        except (TimeoutError, OSError):
            return f"worker {other} of {self.size} did not {what} it; ask again"
        finally:
            del self._asked[number]

    def _send(self, other: int, message: dict[str, Any]) -> None:
        self._boxes[other][1].send(orjson.dumps(message))

    def _read(self, box: socket.socket, act: Act) -> None:
        try:
            message = orjson.loads(box.recv(_MESSAGE_BYTES))
        except BlockingIOError:
            return
        if "done" in message:
            answer = self._asked.get(message["id"])
            if answer is not None and not answer.done():
                answer.set_result(message["done"])
            return
        task = asyncio.create_task(self._act(message, act))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _act(self, message: dict[str, Any], act: Act) -> None:
        error = ""
        try:
            await act(message["do"], message["to"])
        except ClientFaultError as fault:
            error = fault.message
        except Exception as fault:  # noqa: BLE001  # who asked must hear of it
            logger().exception("internal error")
            error = repr(fault)
        self._send(message["from"], {"id": message["id"], "done": error})
