"""What is known of the route: its split, its gateways, and what it has room for."""

from dataclasses import dataclass

from rampway.core.split import STABLE_ONLY, Split


@dataclass(frozen=True, slots=True)
class Route:
    """The route as it is at the gateway.

    Attributes:
        exists: There is a route.
        in_shape: Everything but the backends is as the spec wants it.
        at_rest: Its only backend is the Service of stable.
        split: Who gets which requests.
        accepted: Every parent reports Accepted and ResolvedRefs at this generation (B13).
        message: What the parents say where they do not accept it.
        problem: Why there is no rule to split, and what to do about it; else empty.
        writer: Field manager, other than ours, that wrote the rules last; empty if we did.
        written_at: When it did, RFC 3339.
        strangers: Backends of the rule that are not of this model, where the rule is the user's.
    """

    exists: bool = False
    in_shape: bool = False
    at_rest: bool = False
    split: Split = STABLE_ONLY
    accepted: bool = False
    message: str = ""
    problem: str = ""
    strangers: tuple[str, ...] = ()
    writer: str = ""
    written_at: str = ""


NO_ROUTE = Route()
