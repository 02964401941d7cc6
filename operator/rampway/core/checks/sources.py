"""Which Prometheus a rollout's evidence is read from, and whether its administrator allows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rampway.api import labels
from rampway.api.conditions import Reason
from rampway.api.parse import SharedSource
from rampway.api.sources import SourceKind, SourceRef
from rampway.core.model.policies import Trouble


@dataclass(frozen=True, slots=True)
class Source:
    """Where evidence is read and how it is asked; rollouts with equal ones share their looks.

    Attributes:
        address: Base address; empty for the operator's own Prometheus.
        credentials: Folder of the mounted credentials, else empty.
        parameter: URL parameter that confines queries to `namespace`, else empty.
        header: Header that does, else empty.
        problem: Why nothing can be asked, else empty.
    """

    address: str = ""
    credentials: str = ""
    timeout_s: float = 5.0
    parameter: str = ""
    header: str = ""
    namespace: str = ""
    problem: str = ""


OWN = Source()
"""The operator's own Prometheus."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the administrator's list.

    Attributes:
        prefix: Addresses that are this one or below it.
        namespaces: Whose own MetricSources may name it, and so ask it anything.
        credentials: Folders of credentials that may be sent there.
        open: Whether it may be asked any query of any namespace that its sources do not confine.
    """

    prefix: str
    namespaces: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    open: bool = False

    def covers(self, address: str) -> bool:
        """Whether an address is this one or below it; a prefix ends at a slash, never in a name."""
        prefix = self.prefix.rstrip("/")
        return address.rstrip("/") == prefix or address.startswith(f"{prefix}/")


@dataclass(frozen=True, slots=True)
class Sources:
    """The metric sources that a ModelDeployment may use, and the administrator's list.

    Attributes:
        own: Address of the operator's own Prometheus.
        known: Those of its namespace if it names one of them, else those of the cluster.
        unreadable: Why they cannot be told, else empty.
    """

    known: tuple[SharedSource, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    unreadable: str = ""
    own: str = ""

    def is_open(self, address: str) -> bool:
        """Whether the administrator lets any namespace ask any query there."""
        return any(entry.open and entry.covers(address) for entry in self.allowed)


NONE = Sources()


def choose(
    ref: SourceRef | None, namespace: str, sources: Sources, *, asks: bool = False
) -> Source | Trouble:
    """Return the source, or why there is none: no other one is asked instead.

    Args:
        ref: What the ModelDeployment names, if anything.
        namespace: Its namespace.
        sources: What there is.
        asks: Whether a check asks a query of the user's own, which has to be confined (B36).
    """
    if sources.unreadable:
        return Trouble(Reason.SOURCE_UNREADABLE, sources.unreadable)
    if ref is not None:
        found = next((s for s in sources.known if (s.kind, s.name) == (ref.kind, ref.name)), None)
        if found is None:
            text = f"spec.metrics.sourceRef: there is no {ref.kind} {ref.name}"
            return Trouble(Reason.SOURCE_NOT_FOUND, text)
        return _content(found, namespace, sources, asks=asks)
    marked = [s for s in sources.known if s.default]
    if len(marked) > 1:
        names = ", ".join(sorted(s.name for s in marked))
        text = (
            f"{len(marked)} objects {SourceKind.CLUSTER} are marked as default ({names}); "
            f"expected one: take the annotation {labels.DEFAULT} from the others"
        )
        return Trouble(Reason.SEVERAL_DEFAULTS, text)
    if marked:
        return _content(marked[0], namespace, sources, asks=asks)
    return _unconfined("the operator's own Prometheus", sources.own, sources, asks=asks) or OWN


def _unconfined(name: str, address: str, sources: Sources, *, asks: bool) -> Trouble | None:
    """Return why no query of a user's own may be asked of a source that confines none."""
    if not asks or sources.is_open(address):
        return None
    text = (
        f"a check asks a query (threshold), and {name} confines none to its namespace; name a "
        "metric source that does (spec.metrics.sourceRef), or have the operator's administrator "
        f"open {address or 'its address'} to all (docs/guides/metric-sources.md)"
    )
    return Trouble(Reason.SOURCE_REFUSED, text)


def _content(
    found: SharedSource, namespace: str, sources: Sources, *, asks: bool
) -> Source | Trouble:
    spec = found.spec
    if spec is None:
        text = f"{found.kind} {found.name} cannot be understood: {found.mistake}"
        return Trouble(Reason.SOURCE_INVALID, text)
    refused = _refusal(found, spec.address, spec.credentials or "", sources.allowed)
    if refused:
        return Trouble(Reason.SOURCE_REFUSED, f"{found.kind} {found.name}: {refused}")
    told = getattr(spec, "namespace_enforcement", None)
    if told is None and found.kind == SourceKind.CLUSTER:
        name = f"{found.kind} {found.name}"
        trouble = _unconfined(name, spec.address, sources, asks=asks)
        if trouble is not None:
            return trouble
    return Source(
        address=spec.address.rstrip("/"),
        credentials=spec.credentials or "",
        timeout_s=spec.timeout_s,
        parameter=(told.parameter or "") if told else "",
        header=(told.header or "") if told else "",
        namespace=namespace if told else "",
    )


def _refusal(
    found: SharedSource, address: str, credentials: str, allowed: Sequence[Allowed]
) -> str:
    """Return why the administrator's list forbids it, empty if one entry allows all of it."""
    covering = [entry for entry in allowed if entry.covers(address)]
    if not covering:
        return f"{address} is not on the list of the operator's administrator"
    if found.kind == SourceKind.NAMESPACED:
        covering = [e for e in covering if found.namespace in e.namespaces]
        if not covering:
            return f"namespace {found.namespace} may not name {address} itself"
    if credentials and not any(credentials in entry.credentials for entry in covering):
        return f"the credentials {credentials} are not for {address}"
    return ""
