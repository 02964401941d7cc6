"""What a file says, read again and again, so that it changes without a restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from rampway_server.logs import logger

T = TypeVar("T")
POLL_S = 1.0


class Followed(Generic[T]):
    """What a file says now.

    Args:
        path: The file; empty: there is none.
        what: What the log calls it.
        parse: Reads its text; raises ValueError with what was seen and what was expected.
        default: What holds until the file says something else.
    """

    def __init__(self, path: str, what: str, parse: Callable[[str], T], default: T) -> None:
        self._path = Path(path) if path else None
        self._what = what
        self._parse = parse
        self._text: str | None = None
        self.value = default
        self.read()

    def read(self) -> None:
        """Read the file; what cannot be understood changes nothing and is told once."""
        try:
            text = self._path.read_text(encoding="utf-8") if self._path else None
        except FileNotFoundError:
            return  # a file that goes away changes nothing: no slip may undo what was said
        except (OSError, UnicodeDecodeError) as error:
            logger().error(f"cannot read {self._what}", why=str(error))
            return
        if text is None or text == self._text:
            return
        self._text = text
        try:
            self.value = self._parse(text)
        except ValueError as error:
            logger().error(f"cannot read {self._what}", why=str(error))
            return
        logger().info(f"{self._what} is read", now=str(self.value))

    async def follow(self) -> None:
        """Read the file again and again, until cancelled."""
        while self._path is not None:
            await asyncio.sleep(POLL_S)
            self.read()
