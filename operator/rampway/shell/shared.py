"""Reading what several ModelDeployments share: policies and metric sources.

What cannot be read never ends a pass: a rollback needs none of it (B23).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rampway.api.parse import (
    ModelDeployment,
    SharedPolicy,
    SharedSource,
    parse_policy,
    parse_source,
)
from rampway.api.policy import PolicyKind
from rampway.api.sources import SourceKind
from rampway.core.checks.sources import Allowed, Sources
from rampway.core.model.policies import Policies
from rampway.kube.base import Lister, Obj
from rampway.kube.errors import Forbidden, NotFound
from rampway.kube.kinds import (
    CLUSTER_METRIC_SOURCE,
    CLUSTER_ROLLOUT_POLICY,
    METRIC_SOURCE,
    ROLLOUT_POLICY,
    Kind,
)
from rampway.shell.allowed import BadList
from rampway.shell.memory import Memory, Name

KINDS = (ROLLOUT_POLICY, CLUSTER_ROLLOUT_POLICY, METRIC_SOURCE, CLUSTER_METRIC_SOURCE)
"""What is shared, and therefore watched."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Reads shared objects, live; what is the same version as before is not parsed again.

    Attributes:
        allowed: Gives the administrator's list of addresses, as it is now.
        own: Address of the operator's own Prometheus.
    """

    allowed: Callable[[], tuple[Allowed, ...]] = tuple
    own: str = ""
    _policies: dict[Name, SharedPolicy] = field(default_factory=dict)
    _sources: dict[Name, SharedSource] = field(default_factory=dict)

    async def policies(
        self, lister: Lister, deployment: ModelDeployment, memory: Memory
    ) -> Policies:
        """Return the policies that a ModelDeployment may use; none are read if it has its own."""
        rollout = deployment.spec.rollout
        if rollout.policy is not None:
            return Policies()
        ref = rollout.policy_ref
        local = ref is not None and ref.kind == PolicyKind.NAMESPACED
        kind = ROLLOUT_POLICY if local else CLUSTER_ROLLOUT_POLICY
        space = deployment.namespace if local else ""
        _lean(memory, (kind.kind, space, ref.name if ref else ""))
        listed = await _listed(lister, kind, space)
        if isinstance(listed, str):
            return Policies(unreadable=listed)
        memory.note(listed)
        _forget(self._policies, kind, space, listed)
        for obj in listed:
            self._policies[_name(obj)] = parse_policy(obj, self._policies.get(_name(obj)))
        return Policies(tuple(self._policies[_name(obj)] for obj in listed))

    async def sources(self, lister: Lister, deployment: ModelDeployment, memory: Memory) -> Sources:
        """Return the metric sources that a ModelDeployment may use, and which are allowed."""
        ref = deployment.spec.metrics.source_ref
        local = ref is not None and ref.kind == SourceKind.NAMESPACED
        kind = METRIC_SOURCE if local else CLUSTER_METRIC_SOURCE
        space = deployment.namespace if local else ""
        _lean(memory, (kind.kind, space, ref.name if ref else ""))
        listed = await _listed(lister, kind, space)
        if isinstance(listed, str):
            return Sources(unreadable=f"the operator cannot read any {kind.kind}: {listed}")
        memory.note(listed)
        _forget(self._sources, kind, space, listed)
        for obj in listed:
            self._sources[_name(obj)] = parse_source(obj, self._sources.get(_name(obj)))
        known = tuple(self._sources[_name(obj)] for obj in listed)
        try:
            return Sources(known, self.allowed(), own=self.own)
        except BadList as mistake:  # who uses no source is not held up by the list
            return Sources(unreadable=str(mistake) if known else "", own=self.own)


def _lean(memory: Memory, shared: Name) -> None:
    """Note it before the list: what happens while that is under way is news."""
    memory.leans_on |= {shared}


async def _listed(lister: Lister, kind: Kind, space: str) -> list[Obj] | str:
    """Return all objects of a kind, or the API server's words where they may not be read."""
    try:
        return await lister.list(kind, space or None)
    except NotFound:  # the CRD is not installed yet, so there is none
        return []
    except Forbidden as refused:
        return str(refused)


def _forget(
    known: dict[Name, SharedPolicy] | dict[Name, SharedSource],
    kind: Kind,
    space: str,
    listed: list[Obj],
) -> None:
    there = {_name(obj) for obj in listed}
    for gone in [n for n in known if n[:2] == (kind.kind, space) and n not in there]:
        del known[gone]


def _name(obj: Obj) -> Name:
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]
