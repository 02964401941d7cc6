"""A router in memory: the split as plain numbers, for what needs no gateway."""

import asyncio
from dataclasses import dataclass, field

from rampway.api.parse import ModelDeployment
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split
from rampway.kube.errors import Conflict

Key = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


@dataclass(slots=True)
class MemoryRouter:
    """Implements `Router` without a gateway: whoever plays the gateway accepts or objects.

    A weight is in force once it was accepted (B13), so `set_split` takes that back.

    Attributes:
        writes: How often a split was changed.
        at_once: Every change is accepted as it is made.
    """

    at_once: bool = False
    writes: int = 0
    _splits: dict[Key, Split] = field(default_factory=dict)
    _objections: dict[Key, str] = field(default_factory=dict)

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as it was set last."""
        key = _key(deployment)
        split = self._splits.get(key)
        if split is None:
            return Route()
        objection = self._objections.get(key, "")
        return Route(
            exists=True,
            in_shape=True,
            at_rest=split.at_rest,
            split=split,
            accepted=not objection,
            message=objection,
        )

    async def set_split(self, deployment: ModelDeployment, split: Split, _now_s: float) -> None:
        """Set the split; one that is set already is no write.

        Raises:
            Conflict: somebody else set it in between.
        """
        key = _key(deployment)
        read = self._splits.get(key)
        await asyncio.sleep(0)  # as a real write does: others may write in between
        if self._splits.get(key) is not read:
            raise Conflict(f"split of {key[0]}/{key[1]}: written since it was read; read again")
        wanted = split.or_rest()
        if read == wanted:
            return
        self.writes += 1
        self._splits[key] = wanted
        self._objections[key] = "" if self.at_once else "the gateway has not answered yet"

    def answer(self, deployment: ModelDeployment, objection: str = "") -> None:
        """Let the gateway accept the split as it is, or object to it."""
        self._objections[_key(deployment)] = objection


def _key(deployment: ModelDeployment) -> Key:
    return deployment.namespace, deployment.name
