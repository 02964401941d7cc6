"""The ModelDeployments: made in bulk, with pods that nobody runs and requests that nobody sends."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.scale.api import Api, Mirror, Obj, each
from bench.scale.controller import POLL_S, TooLate
from bench.scale.exporter import Exporter
from bench.scale.figures import verdicts
from bench.scale.gateway import Gateway, Key
from bench.scale.objects import (
    RATE_PER_S,
    REPLICAS,
    Member,
    changed,
    kept_deployment,
    kept_rollout,
    manifest,
)
from bench.scale.place import LABELS, Place, remove_namespaces, say

from rampway.kube.kinds import MODEL_DEPLOYMENT, MODEL_ROLLOUT, NAMESPACE

PER_NAMESPACE = 50
"""As many teams have, so that no list of a namespace is long."""
PATIENCE_S, PATIENCE_OF_EACH_S = 300.0, 1.0
TOLD_EVERY_S = 15.0
ENDED = frozenset({"RollingBack", "RolledBack", "Promoted", "Aborted"})


@dataclass(slots=True)
class Fleet:
    """All ModelDeployments of the bench, with copies of what the API server says of them.

    Attributes:
        members: Those with a rollout, ended or not.
        bad: Of those, the ones whose candidate was made to go bad.
    """

    place: Place
    api: Api = field(init=False)
    exporter: Exporter = field(init=False)
    gateway: Gateway = field(init=False)
    deployments: Mirror = field(init=False)
    rollouts: Mirror = field(init=False)
    members: dict[Key, Member] = field(default_factory=dict)
    bad: set[Key] = field(default_factory=set)
    _spaces: set[str] = field(default_factory=set)
    _made: int = 0

    def __post_init__(self) -> None:
        """Prepare the watches."""
        self.api, self.exporter = self.place.api, self.place.exporter
        self.gateway = Gateway(self.api, self._split)
        self.deployments = Mirror(self.api, MODEL_DEPLOYMENT, "", kept_deployment)
        self.rollouts = Mirror(self.api, MODEL_ROLLOUT, "", kept_rollout)

    async def run(self) -> None:
        """Keep the copies and play the gateway, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self.gateway, self.deployments, self.rollouts):
                group.create_task(part.run())

    def active(self) -> list[Member]:
        """Return those whose rollout runs at its weight, in force."""
        running = {
            (space, found["deployment"])
            for (space, _), found in self.rollouts.objects.items()
            if found["active"]
        }
        return [member for key, member in self.members.items() if key in running]

    def verdicts(self) -> dict[str, Any]:
        """Return what the checks of the active rollouts answer."""
        return verdicts(found for found in self.rollouts.objects.values() if found["active"])

    def ended_unasked(self) -> list[str]:
        """Return why rollouts ended of which nobody made the candidate bad."""
        return [
            f"{found['deployment']}: {found['phase']}: {found['message']}"
            for (space, _), found in self.rollouts.objects.items()
            if found["phase"] in ENDED and (space, found["deployment"]) not in self.bad
        ]

    async def grow(self, size: int) -> None:
        """Begin as many rollouts as are missing for so many active ones, and wait for them."""
        await self.rollouts.synced.wait()
        missing = size - len(self.active())
        if missing <= 0:
            return
        fresh = await self._make(missing, REPLICAS)
        for member in fresh:
            self.exporter.add(*member.key, member.stable, REPLICAS)
            self.exporter.add(*member.key, member.candidate, 1)
            self.members[member.key] = member
            self._split(member.key, *self.gateway.splits.get(member.key, ("", 0, 0.0))[:2])
        await self._promoted(fresh)
        say(f"  beginning {missing} rollouts")
        await each(fresh, lambda one: self.api.patch(MODEL_DEPLOYMENT, *one.key, changed()))
        await self.reach(lambda: len(self.active()), size, "rollouts at their weight, in force")

    async def rest(self, number: int) -> None:
        """Make so many ModelDeployments of one pod each, and wait until they serve."""
        await self._promoted(await self._make(number, 1))

    async def clear(self) -> None:
        """Remove all of them."""
        for member in self.members.values():
            self.exporter.drop(member.stable)
            self.exporter.drop(member.candidate)
        self.members.clear()
        await remove_namespaces(self.api, spared=f"{self.place.prefix}-gateway")
        self._spaces.clear()

    async def judged(self, within_s: float) -> None:
        """Wait until every check of every active rollout has a verdict, at most so long."""
        began_s = told_s = time.monotonic()
        while time.monotonic() - began_s < within_s:
            found = self.verdicts()
            if found["rollouts"] and not found["without_verdict"]:
                break
            if time.monotonic() - told_s > TOLD_EVERY_S:
                told_s = time.monotonic()
                say(f"  waiting for verdicts: {found['states']}")
            await asyncio.sleep(POLL_S)
        say(f"  checks: {self.verdicts()}")

    async def reach(self, seen: Callable[[], int], wanted: int, what: str) -> None:
        """Wait until a number is reached; what has not risen for very long never will.

        All get their objects before the first has pods, as the queue is worked on in its order.

        Raises:
            TooLate: it does not rise any more.
        """
        begun, began_s = seen(), time.monotonic()
        patience_s = PATIENCE_S + PATIENCE_OF_EACH_S * wanted
        best, rose_s, told_s = begun, began_s, began_s
        while (now := seen()) < wanted:
            now_s = time.monotonic()
            if now > best:
                best, rose_s = now, now_s
            if now_s - rose_s > patience_s:
                raise TooLate(f"{now} of {wanted} {what}, no more for {patience_s:.0f} s: "
                              f"{self._trouble()}")  # fmt: skip
            if now_s - told_s > TOLD_EVERY_S:
                told_s = now_s
                pace = (now - begun) / (now_s - began_s)
                left = f"about {(wanted - now) / pace / 60:.0f} min" if pace else "unknown"
                say(f"  {now} of {wanted} {what}, time left: {left}")
            await asyncio.sleep(POLL_S)
        say(f"  {wanted} {what} after {time.monotonic() - began_s:.0f} s")

    async def _make(self, number: int, replicas: int) -> list[Member]:
        say(f"  making {number} ModelDeployments")
        first, self._made = self._made, self._made + number
        keys = [self._key(n) for n in range(first, self._made)]
        for space in {space for space, _ in keys} - self._spaces:
            await self.api.create(NAMESPACE, _namespace(space))
            self._spaces.add(space)
        made: list[Member] = []

        async def make(key: Key) -> None:
            obj = manifest(key, f"{self.place.prefix}-gateway", replicas)
            made.append(Member.of(await self.api.create(MODEL_DEPLOYMENT, obj)))

        await each(keys, make)
        return sorted(made, key=lambda one: one.key)

    def _key(self, number: int) -> Key:
        return f"{self.place.prefix}-{number // PER_NAMESPACE:03d}", f"m{number:05d}"

    async def _promoted(self, fresh: list[Member]) -> None:
        def seen() -> int:
            known = self.deployments.objects
            return sum(known.get(member.key, {}).get("promoted", False) for member in fresh)

        await self.reach(seen, len(fresh), "serve their first revision")

    def _split(self, key: Key, candidate: str, share_pct: int) -> None:
        member = self.members.get(key)
        if member is not None:
            mine = RATE_PER_S * share_pct / 100
            rates = {member.stable: RATE_PER_S - mine, member.candidate: mine}
            self.exporter.split(rates if candidate in {"", member.candidate} else {})

    def _trouble(self) -> str:
        """Return what most of those say that are not where they should be."""
        told = [*self.rollouts.objects.values(), *self.deployments.objects.values()]
        words = Counter(f"{one['phase']}: {one['message'][:160]}" for one in told)
        return "; ".join(f"{count} times {text!r}" for text, count in words.most_common(4))


def _namespace(name: str) -> Obj:
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
