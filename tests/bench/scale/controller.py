"""The operator under measurement: its pods, what they say of themselves, its settings."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from bench.scale.api import STRATEGIC, TROUBLE, Api, Obj
from bench.scale.figures import Page

from rampway.kube.kinds import DEPLOYMENT, POD

SYSTEM = "rampway-system"
NAME = "rampway-operator"
SELECTOR = f"app.kubernetes.io/name={NAME}"
CONTAINER = "operator"
PORT = 8081
PAGE_S = 5.0
POLL_S = 0.5
T = TypeVar("T")


class TooLate(RuntimeError):  # noqa: N818 - named after what it is
    """What was waited for did not come; the message says how things stood."""


class Spoiled(RuntimeError):  # noqa: N818 - named after what it is
    """A measurement is worth nothing: the operator was not the same all the time."""


async def until(seen: Callable[[], Awaitable[T]], what: str, within_s: float) -> T:
    """Wait until something is true and return it.

    Raises:
        TooLate: it never was.
    """
    deadline_s = time.monotonic() + within_s
    while not (found := await seen()):
        if time.monotonic() > deadline_s:
            raise TooLate(f"not within {within_s:.0f} s: {what}; seen last: {found!r}")
        await asyncio.sleep(POLL_S)
    return found


@dataclass(frozen=True, slots=True)
class Controller:
    """The operator's Deployment, reached by its pods' addresses."""

    api: Api
    session: aiohttp.ClientSession

    async def pods(self) -> list[Obj]:
        """Return its pods that run and are not on their way out."""
        found = await self.api.every(POD, SYSTEM, SELECTOR)
        return [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("podIP")
        ]

    async def page(self, url: str) -> Page:
        """Return the metrics at an address."""
        timeout = aiohttp.ClientTimeout(total=PAGE_S)
        async with self.session.get(f"{url}/metrics", timeout=timeout) as answer:
            answer.raise_for_status()
            at_s = time.time()
            return Page.read(await answer.text(), at_s)

    async def pages(self) -> dict[str, Page]:
        """Return the metrics of all its pods that answer, by name; the leader's first."""
        found: dict[str, Page] = {}
        for pod in await self.pods():
            try:
                name, address = pod["metadata"]["name"], pod["status"]["podIP"]
                found[name] = await self.page(f"http://{address}:{PORT}")
            except TROUBLE:
                continue  # it starts, or it ends
        return dict(sorted(found.items(), key=lambda one: -one[1].total("rampway_leader")))

    async def whole(self) -> dict[str, Page]:
        """Return the metrics of all its pods, the leader's first, once all of them answer."""
        wanted = await self.replicas()

        async def seen() -> dict[str, Page]:
            found = await self.pages()
            return found if len(found) == wanted else {}

        return await until(seen, f"{wanted} operators answer", 60.0)

    async def leader(self, other_than: str = "", within_s: float = 120.0) -> tuple[str, Page]:
        """Wait until a pod leads, another one than that of this name; return it."""

        async def seen() -> tuple[str, Page] | None:
            found = await self.pages()
            name, page = next(iter(found.items()), ("", Page(0.0, {})))
            return (name, page) if page.total("rampway_leader") and name != other_than else None

        found = await until(seen, f"a leader other than {other_than!r}", within_s)
        if found is None:
            raise AssertionError("until returns what is true")
        return found

    async def history(self) -> dict[str, str]:
        """Return how often each pod's container was restarted, and why last."""
        told = {}
        for pod in await self.pods():
            for container in pod["status"].get("containerStatuses") or []:
                last = (container.get("lastState") or {}).get("terminated") or {}
                why = last.get("reason", "")
                told[pod["metadata"]["name"]] = f"{container['restartCount']} restarts {why}"
        return told

    async def environment(self) -> dict[str, str]:
        """Return its environment variables that have a plain value."""
        return environment(await self.api.get(DEPLOYMENT, SYSTEM, NAME))

    async def configure(self, env: Mapping[str, str | None]) -> None:
        """Set or remove environment variables, and wait until the pods have them."""
        await self.api.patch(DEPLOYMENT, SYSTEM, NAME, changed(env), content_type=STRATEGIC)
        await self.rolled_out()

    async def replicas(self, name: str = NAME) -> int:
        """Return how many pods a Deployment of the system's namespace is to have."""
        return int((await self.api.get(DEPLOYMENT, SYSTEM, name))["spec"]["replicas"])

    async def scale(self, name: str, replicas: int) -> None:
        """Scale a Deployment of the system's namespace, and wait."""
        await self.api.patch(DEPLOYMENT, SYSTEM, name, {"spec": {"replicas": replicas}})
        await self.rolled_out(name)

    async def remove(self, pod: str) -> None:
        """Begin to delete one of its pods, in order; another one is made."""
        await self.api.delete(POD, SYSTEM, pod)

    async def rolled_out(self, name: str = NAME, within_s: float = 300.0) -> None:
        """Wait until a Deployment is as its spec says, with no pod too many."""

        async def seen() -> bool:
            found = await self.api.get(DEPLOYMENT, SYSTEM, name)
            pods = await self.api.every(POD, SYSTEM, f"app.kubernetes.io/name={name}")
            return is_rolled_out(found) and len(pods) == found["spec"]["replicas"]

        await until(seen, f"{name} rolled out", within_s)


def is_rolled_out(deployment: Obj) -> bool:
    """Whether all pods of a Deployment are new ones and available."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and all(status.get(name, 0) == wanted for name in counts)


def environment(deployment: Obj) -> dict[str, str]:
    """Return the operator's environment variables that have a plain value."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    (own,) = [c for c in containers if c["name"] == CONTAINER]
    return {one["name"]: one["value"] for one in own.get("env") or [] if "value" in one}


def changed(env: Mapping[str, str | None]) -> Obj:
    """Return the strategic merge patch that sets variables, or removes those that are None."""
    items = [
        {"name": name, "$patch": "delete"} if value is None else {"name": name, "value": value}
        for name, value in env.items()
    ]
    container = {"name": CONTAINER, "env": items}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}
