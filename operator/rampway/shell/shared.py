"""Reading what several ModelDeployments share: policies.

What cannot be read never ends a pass: a rollback needs none of it (B23).
"""

from dataclasses import dataclass, field

from rampway.api.parse import ModelDeployment, SharedPolicy, parse_policy
from rampway.api.policy import PolicyKind
from rampway.core.policies import Policies
from rampway.kube.base import Lister, Obj
from rampway.kube.errors import Forbidden, NotFound
from rampway.kube.kinds import CLUSTER_ROLLOUT_POLICY, ROLLOUT_POLICY, Kind
from rampway.shell.memory import Memory, Name

KINDS = (ROLLOUT_POLICY, CLUSTER_ROLLOUT_POLICY)
"""What is shared, and therefore watched."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Reads shared objects, live; what is the same version as before is not parsed again."""

    _known: dict[Name, SharedPolicy] = field(default_factory=dict)

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
        # Before the list: what happens while it is under way is news.
        memory.leans_on = frozenset({(kind.kind, space, ref.name if ref else "")})
        try:
            listed = await lister.list(kind, space or None)
        except NotFound:  # the CRD is not installed yet, so there is none
            return Policies()
        except Forbidden as refused:
            return Policies(unreadable=str(refused))
        memory.note(listed)
        self._forget(kind, space, listed)
        return Policies(tuple(self._parsed(obj) for obj in listed))

    def _parsed(self, obj: Obj) -> SharedPolicy:
        name = _name(obj)
        found = self._known[name] = parse_policy(obj, self._known.get(name))
        return found

    def _forget(self, kind: Kind, space: str, listed: list[Obj]) -> None:
        there = {_name(obj) for obj in listed}
        for gone in [n for n in self._known if n[:2] == (kind.kind, space) and n not in there]:
            del self._known[gone]


def _name(obj: Obj) -> Name:
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]
