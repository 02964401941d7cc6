"""Writing what a person asks for: only upon what was seen, told by what the API server kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer

from rampway.api import labels
from rampway.api.parse import ModelRollout, parse_rollout
from rampway.cli import cluster
from rampway.cli.asked import Asked, Refusal, Seen
from rampway.cli.exits import ExitCode
from rampway.cli.words import clean
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import Conflict
from rampway.kube.kinds import MODEL_ROLLOUT

TRIES = 5
"""The operator writes the same object: what was seen may be the same all the same."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person typed.

    Attributes:
        plan: From what is seen to what it comes to; raises Refusal.
        attempt: The attempt that is meant, None: the present one.
    """

    plan: Callable[[Seen], Asked]
    name: str
    message: str = ""
    attempt: int | None = None


async def ask(api: KubeApi, namespace: str, wish: Wish) -> ExitCode:
    """Write a request into the rollout that it is about, and tell what follows.

    The write holds only for the version that was read. Where somebody wrote in between, it is read
    again, and given up if it is not what the person agreed to any more.

    Raises:
        Refusal: it makes no sense now.
        KubeError: it cannot be read or written.
    """
    seen = await _look(api, namespace, wish)
    asked = wish.plan(seen)
    by = await cluster.whoami(api) if asked.requests else ""
    agreed = asked.agreed
    for _ in range(TRIES):
        if not asked.requests:
            _tell(asked.said, asked.then)
            return ExitCode.OK
        try:
            kept = await _write(api, namespace, asked, by, wish.message)
        except Conflict:
            seen = await _look(api, namespace, wish)
            asked = wish.plan(seen)
            if asked.agreed != agreed:
                raise Refusal(
                    f"{wish.name} moved on in the meantime: {asked.about.status.message}. Look "
                    f"again: {seen.typed('status')}"
                ) from None
        else:
            _tell(f"{asked.said}{_recorded(kept, asked, by)}", asked.then)
            return ExitCode.OK
    raise Refusal(f"{asked.about.name} is being written all the time; try again")


async def _look(api: KubeApi, namespace: str, wish: Wish) -> Seen:
    deployment = await cluster.find(api, namespace, wish.name)
    return Seen(deployment, await rollouts_of(api, namespace, wish.name), wish.attempt)


async def rollouts_of(api: KubeApi, namespace: str, name: str) -> list[ModelRollout]:
    """Return all rollouts of a ModelDeployment, the first attempt first.

    Raises:
        KubeError: they cannot be read.
        Unparseable: one of them cannot be understood.
    """
    objects = await api.list(MODEL_ROLLOUT, namespace, {labels.DEPLOYMENT: name})
    return sorted(map(parse_rollout, objects), key=lambda found: found.spec.attempt)


async def _write(api: KubeApi, namespace: str, asked: Asked, by: str, message: str) -> Obj:
    given = {"by": by, "message": message}
    stamp = {name: value for name, value in given.items() if value}
    requests: dict[str, Any] = {}
    for name, value in asked.requests.items():
        if isinstance(value, list):  # a merge patch replaces a list as a whole
            known = getattr(asked.about.spec.requests, name)
            before = [
                one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in known
            ]
            requests[name] = [*before, *({**item, **stamp} for item in value)]
        else:
            requests[name] = {**value, **stamp}
    patch: Obj = {
        "metadata": {"resourceVersion": asked.about.resource_version, "uid": asked.about.uid},
        "spec": {"requests": requests},
    }
    return await api.patch(MODEL_ROLLOUT, namespace, asked.about.name, patch)


def _recorded(kept: Mapping[str, Any], asked: Asked, by: str) -> str:
    """Return who it is recorded for: the API server may have stamped another name on it."""
    requests = parse_rollout(kept).spec.requests
    found = [getattr(requests, name) for name in asked.requests]
    last = found[-1][-1] if isinstance(found[-1], tuple) else found[-1]
    name = last.by or by
    return f", on record for {name}" if name else ", on record without a name"


def _tell(said: str, then: str) -> None:
    typer.echo(clean(said))
    if then:
        typer.echo(f"next: {clean(then)}")
