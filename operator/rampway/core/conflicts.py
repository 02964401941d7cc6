"""Who has a host and path at a Gateway: the one who came first (B15)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rampway.api.parse import ModelDeployment


@dataclass(frozen=True, slots=True)
class Claim:
    """What a ModelDeployment claims at the gateways.

    Attributes:
        parents: (namespace, name, section) of each Gateway; an empty section means all listeners.
        hosts: Host names; none means all.
    """

    namespace: str
    name: str
    created_at: str
    parents: frozenset[tuple[str, str, str]]
    hosts: frozenset[str]
    path_prefix: str

    @classmethod
    def of(cls, deployment: ModelDeployment) -> "Claim":
        """Return the claim of a ModelDeployment."""
        route = deployment.spec.traffic.owned_route
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


def conflicting(mine: Claim, others: Iterable[Claim]) -> str:
    """Return `namespace/name` of an older claim on the same host and path, else empty.

    Of two made in the same second the one whose namespace and name sort first is the older.
    """
    older = sorted(
        (o for o in others if _before(o, mine) and _overlap(o, mine)),
        key=lambda o: (o.created_at, o.namespace, o.name),
    )
    return f"{older[0].namespace}/{older[0].name}" if older else ""


def _before(one: Claim, other: Claim) -> bool:
    first = (one.created_at, one.namespace, one.name)
    return first < (other.created_at, other.namespace, other.name)


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
