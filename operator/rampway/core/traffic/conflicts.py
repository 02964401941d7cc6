"""Who has a host and match at a Gateway: who serves there, else the older one (B15)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rampway.api import labels
from rampway.api.conditions import ConditionType, Reason
from rampway.api.parse import ModelDeployment
from rampway.core.traffic.route import Place, prefix

LONGEST = 1000
"""Characters of an address; of a longer one the rest becomes a hash."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a ModelDeployment claims at the gateways.

    Attributes:
        places: Where requests are its own. Of a rule of the user's route: that rule, then the hosts
            and matches by which the Gateways send requests to it, as far as the route was read.
        granted: Whether this very claim was granted, refused (False), or not judged yet (None).
            An edit that leaves host and path alone leaves what was granted.
    """

    namespace: str
    name: str
    created_at: str
    places: tuple[Place, ...]
    granted: bool | None = None

    @classmethod
    def of(cls, deployment: ModelDeployment, reached: Place | None = None) -> "Claim":
        """Return the claim of a ModelDeployment.

        Args:
            deployment: Whose claim it is.
            reached: Where requests for its rule of the user's route arrive, if that was read.
        """
        places = (_owned(deployment) or _rule(deployment), *([reached] if reached else []))
        claim = cls(deployment.namespace, deployment.name, deployment.created_at, places)
        return replace(claim, granted=_judged(deployment, claim))

    @property
    def address(self) -> str:
        """Return it in words: gateways, hosts, path; of the user's route first the rule."""
        words = _AND.join(place.words for place in self.places)
        if len(words) <= LONGEST:
            return words
        return f"{words[:LONGEST]}… {hashlib.sha256(words.encode()).hexdigest()[:16]}"

    def has_rule(self, address: str) -> bool:
        """Whether an address that was granted is that of its rule, whatever leads to it by now."""
        return f"{address}{_AND}".startswith(f"{self.places[0].words}{_AND}")


_AND = "; "


def _owned(deployment: ModelDeployment) -> Place | None:
    route = deployment.spec.traffic.owned_route
    if route is None:
        return None
    parents = (
        (p.namespace or deployment.namespace, p.name, p.section_name or "")
        for p in route.parent_refs
    )
    path = prefix(route.path_prefix)
    return Place(frozenset(parents), frozenset(route.hostnames), frozenset({path}))


def _rule(deployment: ModelDeployment) -> Place:
    """Return the rule of the user's route; no rule means the only one.

    Without any route it is the Service that callers use.
    """
    space, ref = deployment.namespace, deployment.spec.traffic.route_ref
    rule = (space, f"Service {labels.live_name(deployment.name)}", "")
    if ref is not None:
        rule = (space, f"HTTPRoute {ref.name}", ref.rule or "")
    return Place(frozenset({rule}), frozenset(), frozenset({""}))


def _judged(deployment: ModelDeployment, claim: Claim) -> bool | None:
    if deployment.status.address == claim.address:
        return True
    found = {c.type: c for c in deployment.status.conditions}.get(ConditionType.ACCEPTED)
    if found is None or found.observed_generation != deployment.generation:
        return None
    if found.reason == Reason.ROUTE_CONFLICT:
        return False
    # A bad query, say, gives up no route. But the user's route changes without a new generation:
    # there nothing else than the address tells what was granted.
    return True if len(claim.places) == 1 else None


def conflicting(mine: Claim, others: Iterable[Claim]) -> str:
    """Return `namespace/name` of who has the same host and match with more right, else empty.

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
    return any(a.meets(b) for a in one.places for b in other.places)
