"""How requests reach a model: a route of our own, a rule of the user's, or a Service alone."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.base import ApiModel, ObjectName
from rampway.api.rules import Form, Rule, UniqueItems

Hostname = Annotated[
    str,
    Field(max_length=253),
    Form(
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a host name in lower case without port, for example digits.example or *.example",
    ),
]
PathPrefix = Annotated[
    str,
    Field(max_length=512),
    Form(r"^(/|(/[-A-Za-z0-9._~!$&()*+,;=:@]+)+/?)$", "a path from /, for example /models/digits"),
]
Namespace = Annotated[
    str,
    Field(max_length=63),
    Form(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "the name of a namespace"),
]


class ParentRef(ApiModel):
    """A Gateway that the route attaches to."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Namespace | None = Field(
        default=None,
        description="Its namespace, where it is another one; the Gateway's allowedRoutes decides "
        "who may attach.",
    )
    section_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="One listener of it."
    )


class OwnedRoute(ApiModel):
    """An HTTPRoute that the operator makes, owns, and deletes with the ModelDeployment."""

    parent_refs: tuple[ParentRef, ...] = Field(
        min_length=1, max_length=8, description="Gateways to attach to."
    )
    hostnames: Annotated[tuple[Hostname, ...], UniqueItems()] = Field(
        default=(), max_length=16, description="Hosts to answer for; none means all."
    )
    path_prefix: PathPrefix = Field(
        default="/", description="Answers for this path and everything under it."
    )


class RouteRef(ApiModel):
    """A rule of an HTTPRoute of yours, in the same namespace."""

    name: ObjectName = Field(description="Name of the HTTPRoute.")
    rule: ObjectName | None = Field(
        default=None,
        description="Name of the rule (`name` in the HTTPRoute's rule). Left out: its only rule.",
    )


class TrafficType(StrEnum):
    """How requests reach the model."""

    OWNED_ROUTE = "OwnedRoute"
    ROUTE_REF = "RouteRef"
    REPLICAS = "Replicas"


def _one_of_them(traffic: "Traffic") -> bool:
    owned = (traffic.owned_route is not None, TrafficType.OWNED_ROUTE)
    named = (traffic.route_ref is not None, TrafficType.ROUTE_REF)
    return all(given == (traffic.type is kind) for given, kind in (owned, named))


def _belongs(traffic: "Traffic") -> str:
    """Return what does not fit together, and what to write instead."""
    fields = (("ownedRoute", traffic.owned_route, TrafficType.OWNED_ROUTE),
              ("routeRef", traffic.route_ref, TrafficType.ROUTE_REF))  # fmt: skip
    given = [(name, kind) for name, there, kind in fields if there is not None]
    told = f"type {traffic.type}" if "type" in traffic.model_fields_set else "no type"
    meant = "" if "type" in traffic.model_fields_set else f", which means {traffic.type}"
    if len(given) > 1:
        return f"both of them with {told}: leave one out"
    if not given:
        needed = next((name for name, _, kind in fields if kind is traffic.type), "")
        return f"{told}{meant}, and no {needed}"
    name, kind = given[0]
    return f"{name} with {told}{meant}: write type: {kind}"


class Traffic(ApiModel):
    """How requests reach the model."""

    rules = (
        Rule(
            cel="has(self.ownedRoute) == (self.type == 'OwnedRoute') "
            "&& has(self.routeRef) == (self.type == 'RouteRef')",
            message="expected exactly the field that belongs to type: ownedRoute for OwnedRoute, "
            "routeRef for RouteRef, neither for Replicas",
            holds=_one_of_them,
            seen=_belongs,
        ),
        Rule(
            cel="self.type == oldSelf.type && (!has(self.routeRef) || !has(oldSelf.routeRef) "
            "|| self.routeRef == oldSelf.routeRef)",
            message="type and routeRef cannot be changed: what the old route does with requests "
            "would stay as it is. Apply a ModelDeployment of another name",
            holds=lambda _: True,  # about two versions: the API server's to judge
        ),
    )

    type: TrafficType = Field(
        default=TrafficType.OWNED_ROUTE,
        description="OwnedRoute: an HTTPRoute that the operator makes. RouteRef: one rule of an "
        "HTTPRoute of yours; nothing else in it is touched. Replicas: no gateway; callers use the "
        "Service NAME-live, and shares are numbers of pods, so only some are possible.",
    )
    owned_route: OwnedRoute | None = Field(default=None, description="The HTTPRoute to make.")
    route_ref: RouteRef | None = Field(default=None, description="The rule to split.")
