"""Faults of the way to the API server, injected on purpose, and the log of calls."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from rampway.kube.kinds import Kind

When = Literal["before", "after"]
"""Whether a fault strikes before a call takes effect, or after (the answer is lost)."""
WRITES = frozenset({"create", "patch", "delete"})


class Killed(BaseException):
    """The process is gone at this instant.

    Every later call raises it again until `Faults.revive()`: a dead process cleans nothing up.
    """


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came in; `body` is the object or patch given."""

    verb: str
    kind: Kind
    namespace: str | None
    name: str
    subresource: str | None = None
    dry_run: bool = False
    body: Any = None

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.verb in WRITES and not self.dry_run


Predicate = Callable[[Call], bool]


@dataclass(slots=True)
class Fault:
    """One error that strikes `left` matching calls, after the first `skip` of them.

    With `left` infinite it is an outage: it lasts until `Faults.end`, whoever calls.
    """

    error: BaseException
    skip: int
    predicate: Predicate
    when: When
    left: float


@dataclass(slots=True)
class Faults:
    """The faults still to come; a call asks before it takes effect."""

    _faults: list[Fault] = field(default_factory=list)
    _killed: Killed | None = None

    @property
    def pending(self) -> float:
        """How many strikes are still to come."""
        return sum(fault.left for fault in self._faults)

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        self._faults.append(fault)

    def end(self, fault: Fault) -> None:
        """End an outage; one that has ended already stays so."""
        self._faults = [one for one in self._faults if one is not fault]

    def kill(self, killed: Killed) -> None:
        """Let every call from now on raise this, until `revive`."""
        self._killed = killed

    def revive(self) -> None:
        """Start a new process: forget the kill, and every fault meant for the old one."""
        self._killed = None
        self._faults = [one for one in self._faults if math.isinf(one.left)]

    def before(self, call: Call) -> Fault | None:
        """Raise what strikes this call before its effect; return what is to strike after it."""
        if self._killed is not None:
            raise Killed(*self._killed.args)
        lost: Fault | None = None
        for fault in [one for one in self._faults if one.predicate(call)]:
            if fault.skip:
                fault.skip -= 1
                continue
            fault.left -= 1
            if not fault.left:
                self._faults.remove(fault)
            if fault.when == "before":
                self.strike(fault)
            lost = lost or fault
        return lost

    def strike(self, fault: Fault) -> None:
        """Raise an error like the fault's; a kill lasts.

        What is raised remembers the frames that it went through, and with them the whole world.
        """
        if isinstance(fault.error, Killed):
            self._killed = fault.error
        raise copy(fault.error)
