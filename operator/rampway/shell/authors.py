"""Reading who paused, resumed and changed a ModelDeployment: by stamps, else by managedFields."""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rampway.api import labels
from rampway.api.authors import Author, Told
from rampway.api.parse import ModelDeployment
from rampway.core.instants import from_wire
from rampway.core.model.authors import Authors
from rampway.kube.base import KubeApi
from rampway.kube.errors import Forbidden, KubeError, NotFound
from rampway.kube.kinds import MUTATING_POLICY, MUTATING_POLICY_BINDING

POLICY = "rampway-authors"
"""Name of the admission policy that stamps, and of its binding (manifests/people/stamp)."""
FRESH_S = 10.0
"""Whether the API server stamps is asked so often, however many ModelDeployments there are."""
SKEW_S = 60.0
"""A time that is further ahead than clocks differ is made up: clients may write managedFields."""
_LONGEST = 253


@dataclass(slots=True)
class Stamping:
    """Whether the API server stamps who it was.

    A stamp is an annotation, which without the policy anybody may write: it is worth nothing there,
    nor if it is older than the policy.

    Attributes:
        clock: Seconds since the epoch.
    """

    api: KubeApi
    clock: Callable[[], float]
    _since_s: float | None = None
    _asked_s: float = -math.inf
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def since_s(self) -> float | None:
        """Return since when every change is stamped, seconds since the epoch; None: it is not.

        Where the API server cannot be asked now, what it said before holds: no pass ends for this.
        """
        async with self._lock:  # who comes meanwhile waits for the answer, and asks no second time
            now_s = self.clock()
            if now_s - self._asked_s >= FRESH_S:
                self._asked_s = now_s  # before: an API server that errs is not asked at each pass
                with suppress(KubeError):
                    self._since_s = await self._ask()
            return self._since_s

    async def _ask(self) -> float | None:
        try:
            policy = await self.api.get(MUTATING_POLICY, None, POLICY)
            binding = await self.api.get(MUTATING_POLICY_BINDING, None, POLICY)
        except (NotFound, Forbidden):  # not installed, not served before Kubernetes 1.36, not ours
            return None
        whole = policy["spec"].get("failurePolicy") != "Ignore"
        whole = whole and not binding["spec"].get("matchResources")  # of all namespaces
        made = [from_wire(one["metadata"]["creationTimestamp"]) for one in (policy, binding)]
        return max(at_s or math.inf for at_s in made) if whole else None


def read(deployment: ModelDeployment, since_s: float | None, now_s: float) -> Authors:
    """Return who did what.

    Args:
        deployment: As it was read, managedFields included.
        since_s: Since when the API server stamps, None if it does not.
        now_s: The present; all in seconds since the epoch.
    """

    def told(key: str, *fields: str) -> Author | None:
        found = _stamp(deployment.annotations.get(key, ""), since_s, now_s)
        return found or _manager(deployment.head, fields, now_s)

    if deployment.spec.paused:
        who = told(labels.PAUSED_BY, "paused") or Author()
        return Authors(paused=who, changed=told(labels.CHANGED_BY, "model", "server"))
    return Authors(
        resumed=told(labels.RESUMED_BY, "paused"),
        changed=told(labels.CHANGED_BY, "model", "server"),
    )


def _stamp(text: str, since_s: float | None, now_s: float) -> Author | None:
    """Return what a stamp says, None without one that can be believed.

    Who it was is sure also where the time is not: else whoever makes up a time would hide a name.
    """
    name, _, at = text.rpartition(" at ")
    at_s = from_wire(at)
    if not name or since_s is None or (at_s is not None and at_s < since_s):
        return None
    known = at_s is not None and at_s <= now_s + SKEW_S
    return Author(by=name[:_LONGEST], at=at if known else "", told=Told.STAMP)


def _manager(head: Mapping[str, Any], fields: tuple[str, ...], now_s: float) -> Author | None:
    """Return the field manager that wrote one of these fields of the spec last, and when."""
    found = [(at, manager) for manager, at, owned in head["writers"] if owned & set(fields)]
    found = [one for one in found if (from_wire(one[0]) or 0.0) <= now_s + SKEW_S]
    at, manager = max(found, default=("", ""))
    return Author(by=manager[:_LONGEST], at=at, told=Told.MANAGER) if manager else None
