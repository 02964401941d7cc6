"""Going back to an earlier revision: which there are, and what happens then. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rampway.api import labels
from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.cli.asked import Refusal, typed
from rampway.cli.facts import ended
from rampway.core.instants import from_wire
from rampway.core.model.revision import revision_hash
from rampway.core.rollout import stages
from rampway.core.rollout.queueing import goes_on
from rampway.kube.base import JsonPatch

_SHORTEST = 4
"""Digits of a hash that name it, if no other begins with them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A revision whose content is kept.

    Attributes:
        content: Its `model` and `server`.
        promoted_s: When it became stable last, None if never; seconds since the epoch.
        pods: Pods asked for.
    """

    revision: str
    content: Mapping[str, Any]
    info: Mapping[str, Any]
    promoted_s: float | None
    created: str
    pods: int

    @property
    def shown(self) -> str:
        """The revision as a person knows it."""
        version = self.info.get("version")
        return f"{self.revision} (version {version})" if version else self.revision


def kept(workloads: Sequence[Mapping[str, Any]], rollouts: Sequence[ModelRollout]) -> list[Kept]:
    """Return the revisions that can be restored, promoted last first, from their Deployments."""
    found = [one for one in (_kept(obj, rollouts) for obj in workloads) if one]
    return sorted(found, key=lambda one: (one.promoted_s or 0.0, one.created), reverse=True)


def _kept(obj: Mapping[str, Any], rollouts: Sequence[ModelRollout]) -> Kept | None:
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    revision = (meta.get("labels") or {}).get(labels.REVISION, "")
    try:
        content = json.loads(notes.get(labels.CONTENT, ""))
    except ValueError:
        return None
    if not revision or not isinstance(content, Mapping) or "model" not in content:
        return None
    infos = (r.spec.candidate.info for r in rollouts if r.spec.candidate.revision == revision)
    known = next((i.model_dump(mode="json", by_alias=True, exclude_none=True) for i in infos), None)
    version = notes.get(labels.VERSION)
    return Kept(
        revision=revision,
        content=content,
        info=known or ({"version": version} if version else {}),
        promoted_s=from_wire(notes.get(labels.PROMOTED_AT, "")),
        created=meta.get("creationTimestamp") or "",
        pods=(obj.get("spec") or {}).get("replicas") or 0,
    )


@dataclass(frozen=True, slots=True)
class Undo:
    """What an undo comes to.

    Attributes:
        patch: What to write; empty where the spec names this revision already.
        said: What was done.
        then: What happens next.
    """

    target: Kept
    patch: JsonPatch
    said: str
    then: str


def undo(
    deployment: ModelDeployment,
    rollouts: Sequence[ModelRollout],
    found: Sequence[Kept],
    to: str | None,
) -> Undo:
    """Return what restores a revision; without its name, the one that served before.

    Raises:
        Refusal: there is no such revision, or none to go back to.
    """
    wanted = revision_hash(deployment.spec)
    stable = next((one for one in found if one.promoted_s is not None), None)
    target = _named(found, to) if to else _before(wanted, stable, found)
    if target is None:
        raise Refusal(
            f"{deployment.name} has no earlier revision to go back to: {wanted} is the only one "
            "that ever served"
        )
    if target.revision == wanted:
        text = f"the spec of {deployment.name} names {target.shown} already"
        return Undo(target, [], text, deployment.status.message)
    fields = f"spec.model, spec.server and spec.info of {deployment.name}"
    text = f"set {fields} to those of {target.shown}"
    active = next((one for one in reversed(rollouts) if not ended(one)), None)
    then = _then(deployment, active, stable, target)
    return Undo(target, _patch(deployment, target), text, then)


def _before(wanted: str, stable: Kept | None, found: Sequence[Kept]) -> Kept | None:
    """Return stable where the spec names another revision, else stable's predecessor."""
    if stable is not None and stable.revision != wanted:
        return stable
    served = (one for one in found if one.promoted_s is not None and one.revision != wanted)
    return next(served, None)


def _named(found: Sequence[Kept], to: str) -> Kept:
    """Return the revision of this hash, beginning of a hash, or version."""
    exact = [one for one in found if to in {one.revision, one.info.get("version")}]
    long = len(to) >= _SHORTEST
    matching = exact or [one for one in found if long and one.revision.startswith(to)]
    if len(matching) == 1:
        return matching[0]
    why = f"no kept revision is called {to}"
    if matching:
        why = f"{to} is not one revision but {len(matching)}"
    there = "; ".join(one.shown for one in found) or "none"
    raise Refusal(f"{why}. Kept are: {there}. Older ones are gone: apply their manifest again")


def _then(
    deployment: ModelDeployment, active: ModelRollout | None, stable: Kept | None, target: Kept
) -> str:
    """Return what the operator does once the spec names the target."""
    leaves = active is not None and active.status.phase == RolloutPhase.ROLLING_BACK
    if active is not None and target.revision == active.spec.candidate.revision and not leaves:
        return f"{active.name} goes on with {target.shown}, and no other revision waits for it"
    if active is not None and active.status.phase == RolloutPhase.WATCHING:
        if target.revision == active.spec.stable.revision:
            return (
                f"{target.shown} takes all requests back at once, from its warm pods: its watch "
                "is not over"
            )
    elif stable is not None and target.revision == stable.revision:
        if active is None:
            return f"{target.shown} is stable already: no request changes its way"
        return f"{active.name} ends and {target.shown}, which is stable, gets all requests at once"
    own = deployment.spec.rollout.policy
    number = f"{len(stages.of(own))} steps" if own else "steps"
    text = f"a rollout to {target.shown} begins, with the policy's {number} and its checks"
    if active is not None and goes_on(active):
        text += f", once {active.name} has ended (onNewRevision: Queue)"
    if deployment.spec.paused:
        text += f", once {typed(deployment, 'resume')} ends the pause"
    return text


def _patch(deployment: ModelDeployment, target: Kept) -> JsonPatch:
    """Return the change of the spec; it applies only to what was read."""
    return [
        {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": deployment.resource_version,
        },
        {"op": "add", "path": "/spec/model", "value": target.content["model"]},
        {"op": "add", "path": "/spec/server", "value": target.content.get("server") or {}},
        {"op": "add", "path": "/spec/info", "value": target.info},
    ]
