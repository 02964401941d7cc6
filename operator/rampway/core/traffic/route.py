"""What is known of the route: its split, where it is at the gateways, what it has room for."""

from dataclasses import dataclass

from rampway.core.rollout.stages import Stage
from rampway.core.traffic.split import STABLE_ONLY, Split

MOST_RULES = 16
"""Of the Gateway API."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests arrive for one backend (B15).

    Attributes:
        parents: (namespace, name, section) of each Gateway; an empty section means all listeners.
            Likewise the user's route and the rule in it.
        hosts: Host names; none means all.
        matches: Of each match its text: equal texts match the same requests. That of a path prefix
            without anything else is the path.
    """

    parents: frozenset[tuple[str, str, str]]
    hosts: frozenset[str]
    matches: frozenset[str]

    @property
    def words(self) -> str:
        """Return it in words."""
        gateways = (f"{space}/{name}" + f"#{at}" * bool(at) for space, name, at in self.parents)
        hosts = ",".join(sorted(self.hosts)) or "*"
        return f"{','.join(sorted(gateways))} {hosts} {','.join(sorted(self.matches))}".rstrip()

    def meets(self, other: "Place") -> bool:
        """Whether some requests are for both, and by the Gateway API only one gets them."""
        # Equal host: a route for one host beats a route for all, so those two do not collide.
        same_host = self.hosts == other.hosts or bool(self.hosts & other.hosts)
        return same_host and bool(self.matches & other.matches) and self._shares_listener(other)

    def _shares_listener(self, other: "Place") -> bool:
        return any(
            a[:2] == b[:2] and (not a[2] or not b[2] or a[2] == b[2])
            for a in self.parents
            for b in other.parents
        )


def prefix(path: str) -> str:
    """Return the text of a match by nothing but this path prefix: `/v2/` matches as `/v2` does."""
    return path.rstrip("/") or "/"


@dataclass(frozen=True, slots=True)
class Guests:
    """Who had the rule before this model, and how the rule reads with them for stable (B16).

    Attributes:
        names: Names of their Services, each once.
        split: Who gets which requests.
        in_shape: The rule has this split in our own form, or is as it was.
        noted: The route tells how the rule was: a rollout against them is not over.
    """

    names: tuple[str, ...]
    split: Split
    in_shape: bool
    noted: bool


@dataclass(frozen=True, slots=True)
class Route:
    """The route as it is at the gateway.

    Attributes:
        exists: There is a route.
        in_shape: Everything but the backends is as the spec wants it.
        at_rest: Its only backend is the Service of stable.
        split: Who gets which requests.
        ajar: Its rule for chosen requests is on its way in or out, and lets nobody through.
        accepted: Every parent reports Accepted and ResolvedRefs at this generation (B13).
        message: What the parents say where they do not accept it.
        problem: Why there is no rule to split, and what to do about it; else empty.
        writer: Field manager, other than ours, that wrote the rules last; empty if we did.
        written_at: When it did, RFC 3339.
        guests: Others that have the rule, or had it before the rollout that is under way.
        headers: Names, in small letters, of the headers that the rule's own matches ask for.
        full: It has as many rules as a route may have.
        strangers: Backends of the rule that are not of this model, where the rule is the user's.
        place: Where requests for the user's rule arrive; None for any other route.
    """

    exists: bool = False
    in_shape: bool = False
    at_rest: bool = False
    split: Split = STABLE_ONLY
    ajar: bool = False
    accepted: bool = False
    message: str = ""
    problem: str = ""
    strangers: tuple[str, ...] = ()
    guests: Guests | None = None
    headers: frozenset[str] = frozenset()
    full: bool = False
    writer: str = ""
    written_at: str = ""
    place: Place | None = None

    def objection(self, stage: Stage) -> str:
        """Return why it has no room for a stage, and what to do, empty if it has."""
        taken = sorted({one.name.lower() for one in stage.headers} & self.headers)
        if taken:
            return (
                f"step {stage.name} chooses requests by header {taken[0]}, which the route's own "
                "rule asks for too, and a match may name a header once: choose by another one"
            )
        if stage.headers and self.full:
            return (
                f"step {stage.name} adds a rule to the route, which has {MOST_RULES} already, as "
                "many as there may be: take one away, or the step"
            )
        return ""


NO_ROUTE = Route()
