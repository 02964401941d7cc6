"""Who has a host and path at a Gateway: who serves there, else the older one (B15)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rampway.api import labels
from rampway.api.conditions import ConditionType, Reason
from rampway.api.parse import ModelDeployment

LONGEST = 1000
"""Characters of an address; of a longer one the rest becomes a hash."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a ModelDeployment claims at the gateways.

    Attributes:
        parents: (namespace, name, section) of each Gateway; an empty section means all listeners.
            Likewise the user's route and the rule in it.
        hosts: Host names; none means all.
        granted: Whether this very claim was granted, refused (False), or not judged yet (None).
            An edit that leaves host and path alone leaves what was granted.
    """

    namespace: str
    name: str
    created_at: str
    parents: frozenset[tuple[str, str, str]]
    hosts: frozenset[str]
    path_prefix: str
    granted: bool | None = None

    @classmethod
    def of(cls, deployment: ModelDeployment) -> "Claim":
        """Return the claim of a ModelDeployment."""
        claim = cls._owned(deployment) or cls._of_rule(deployment)
        return replace(claim, granted=_judged(deployment, claim))

    @classmethod
    def _of_rule(cls, deployment: ModelDeployment) -> "Claim":
        """Return the claim on a rule of the user's route; no rule means the only one.

        Without any route it is on the Service that callers use.
        """
        space, ref = deployment.namespace, deployment.spec.traffic.route_ref
        rule = (space, f"Service {labels.live_name(deployment.name)}", "")
        if ref is not None:
            rule = (space, f"HTTPRoute {ref.name}", ref.rule or "")
        none = frozenset[str]()
        made_at = deployment.created_at
        return cls(space, deployment.name, made_at, frozenset({rule}), none, "")

    @classmethod
    def _owned(cls, deployment: ModelDeployment) -> "Claim | None":
        route = deployment.spec.traffic.owned_route
        if route is None:
            return None
        return cls(
            deployment.namespace,
            deployment.name,
            deployment.created_at,
            frozenset(
                (p.namespace or deployment.namespace, p.name, p.section_name or "")
                for p in route.parent_refs
            ),
            frozenset(route.hostnames),
            route.path_prefix,
        )

    @property
    def address(self) -> str:
        """Return it in words: gateways, hosts, path; or the rule of the user's route."""
        gateways = (f"{space}/{name}" + f"#{at}" * bool(at) for space, name, at in self.parents)
        hosts = ",".join(sorted(self.hosts)) or "*"
        words = f"{','.join(sorted(gateways))} {hosts} {self.path_prefix}".rstrip()
        if len(words) <= LONGEST:
            return words
        return f"{words[:LONGEST]}… {hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _judged(deployment: ModelDeployment, claim: Claim) -> bool | None:
    if deployment.status.address == claim.address:
        return True
    found = {c.type: c for c in deployment.status.conditions}.get(ConditionType.ACCEPTED)
    if found is None or found.observed_generation != deployment.generation:
        return None
    return found.reason != Reason.ROUTE_CONFLICT  # a bad query, say, gives up no route


def conflicting(mine: Claim, others: Iterable[Claim]) -> str:
    """Return `namespace/name` of who has the same host and path with more right, else empty.

    Whoever was granted it keeps it, also against an older one that moves in. Of two that are
    both new the older has it; made in the same second, the one whose name sorts first.
    """
    rivals = [o for o in others if _age(o) != _age(mine) and _overlap(o, mine)]
    older = [o for o in rivals if _age(o) < _age(mine)]
    if mine.granted:  # two grants are possible only by a race
        found = min((o for o in older if o.granted), key=_age, default=None)
    else:
        holders = [o for o in rivals if o.granted]
        unjudged = [o for o in older if o.granted is None]
        found = min(holders or unjudged, key=_age, default=None)
    return f"{found.namespace}/{found.name}" if found else ""


def _age(claim: Claim) -> tuple[str, str, str]:
    return claim.created_at, claim.namespace, claim.name


def _overlap(one: Claim, other: Claim) -> bool:
    # Equal host: a route for one host beats a route for all, so those two do not collide.
    same_host = one.hosts == other.hosts or bool(one.hosts & other.hosts)
    return same_host and one.path_prefix == other.path_prefix and _share_listener(one, other)


def _share_listener(one: Claim, other: Claim) -> bool:
    return any(
        a[:2] == b[:2] and (not a[2] or not b[2] or a[2] == b[2])
        for a in one.parents
        for b in other.parents
    )
