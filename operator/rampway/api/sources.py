"""Where evidence comes from: what a ModelDeployment says of it, and what it may name."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.base import DURATION_PATTERN, ApiModel, Duration, Label, ObjectName, seconds
from rampway.api.rules import Form, Rule, matches

LONGEST_TIMEOUT_S = 30.0

Address = Annotated[
    str,
    Field(max_length=512),
    Form(
        r"^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?"
        r"(/[-A-Za-z0-9_]+(\.[-A-Za-z0-9_]+)*)*/?$",
        "http://host:port/path or https://host:port/path, in lower case up to the path",
    ),
]
Timeout = Annotated[
    Duration,
    Rule(
        cel=f"!{matches('self', DURATION_PATTERN)} || (duration(self) >= duration('1s') && "
        "duration(self) <= duration('30s'))",
        message="expected a duration from 1s to 30s",
        holds=lambda text: 1 <= seconds(text) <= LONGEST_TIMEOUT_S,
    ),
]
Parameter = Annotated[
    str,
    Field(max_length=63),
    Form(r"^[a-z][a-z0-9_]{0,62}$", "the name of a parameter, for example namespace"),
    Rule(
        cel="!(self in ['query', 'time', 'timeout', 'start', 'end', 'step'])",
        message="expected a parameter that is none of Prometheus's own",
        holds=lambda text: text not in {"query", "time", "timeout", "start", "end", "step"},
    ),
]
Header = Annotated[
    str,
    Field(max_length=63),
    Form(r"^X-[A-Za-z0-9]+(-[A-Za-z0-9]+)*$", "a header that begins with X-"),
]


class SourceKind(StrEnum):
    """Kinds of objects that name a Prometheus."""

    NAMESPACED = "MetricSource"
    CLUSTER = "ClusterMetricSource"


class SourceRef(ApiModel):
    """Where evidence is read."""

    kind: SourceKind = Field(
        default=SourceKind.NAMESPACED,
        description="MetricSource: of this namespace. ClusterMetricSource: of the cluster.",
    )
    name: ObjectName = Field(description="Its name.")


class MetricSourceSpec(ApiModel):
    """A Prometheus, or what speaks its HTTP API."""

    address: Address = Field(
        description="Base address. It must be on the list of the operator's administrator."
    )
    credentials: Label | None = Field(
        default=None,
        description="Name of a folder that the operator's administrator has mounted for this "
        "address, with any of the files token, ca.crt, or username and password.",
    )
    timeout: Timeout = Field(default="5s", description="Longest time of a query, 1s to 30s.")

    @property
    def timeout_s(self) -> float:
        """The same in seconds."""
        return seconds(self.timeout)


class NamespaceEnforcement(ApiModel):
    """How a proxy in front of Prometheus is told to which namespace a query is confined."""

    rules = (
        Rule(
            cel="has(self.parameter) != has(self.header)",
            message="expected exactly one of parameter and header",
            holds=lambda one: (one.parameter is None) != (one.header is None),
        ),
    )

    parameter: Parameter | None = Field(
        default=None, description="The proxy reads the namespace from this URL parameter."
    )
    header: Header | None = Field(
        default=None, description="The proxy reads the namespace from this header."
    )


class ClusterMetricSourceSpec(MetricSourceSpec):
    """A Prometheus, or what speaks its HTTP API, for all namespaces."""

    namespace_enforcement: NamespaceEnforcement | None = Field(
        default=None,
        description="The address is a proxy such as prom-label-proxy, which confines each query "
        "to the namespace that it is told of. Each query then bears the ModelDeployment's.",
    )


class DirectLook(ApiModel):
    """Reading the counters of the pods themselves while a step runs."""

    enabled: bool = Field(
        default=True,
        strict=True,
        description="While a step runs, read the pods' counters about once a second, so that harm "
        "is seen at any scrape interval, and with Prometheus down. Needs that the operator reaches "
        "the pods; where it does not, Prometheus alone counts.",
    )


class Metrics(ApiModel):
    """Where evidence comes from."""

    source_ref: SourceRef | None = Field(
        default=None,
        description="The Prometheus to ask. Without it: the ClusterMetricSource that is marked as "
        "the cluster's default; without one: the operator's own.",
    )
    direct_look: DirectLook = Field(
        default_factory=DirectLook, description="Reading the pods themselves."
    )
