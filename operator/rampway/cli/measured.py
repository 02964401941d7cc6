"""Traffic as a ModelDeployment has it, measured by its Prometheus; and which one that is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rampway.api import labels
from rampway.cli import counted
from rampway.cli.assumed import Traffic
from rampway.cli.policyfile import NoPolicy
from rampway.core.checks import kinds
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import Delta, advance, start_ledger
from rampway.core.checks.sources import Allowed, Source, choose
from rampway.core.instants import brief
from rampway.core.model.policies import Trouble
from rampway.core.numerals import plain
from rampway.metrics.base import MetricSource, RevisionKey
from rampway.sim.answering import FAILED, Shares

if TYPE_CHECKING:
    from rampway.api.checks import Check
    from rampway.api.parse import ModelDeployment
    from rampway.kube.base import KubeApi
    from rampway.metrics.prometheus import PrometheusSource

OWN = "http://prometheus.rampway-system.svc:9090"
"""The operator's own Prometheus, unless its administrator chose another one."""
DEADLINE_S = 30.0
EDGE_S = 120.0
"""The first and last scrapes of a window lie within so long of its ends."""
FEWEST = 100
"""Requests that make a measurement."""


async def measure(
    source: MetricSource,
    deployment: "ModelDeployment",
    checks: "Sequence[Check]",
    window_s: float,
    now_s: float,
) -> Traffic:
    """Return the traffic of a window that ends now: of stable's pods, and of the candidate's.

    With it what those checks meet that are of users' own counters, as far as enough was counted.

    Raises:
        MetricsUnavailable: Prometheus does not tell.
        NoPolicy: there is no stable, or too little was counted.
    """
    status = deployment.status
    stable = status.stable.revision if status.stable else ""
    others = [status.candidate.revision] if status.candidate else []
    if not stable:
        raise NoPolicy(f"ModelDeployment {deployment.name} has no stable yet; say --rps instead")
    names = [labels.revision_name(deployment.name, one) for one in (stable, *others)]
    keys = [RevisionKey(deployment.namespace, name) for name in names]
    since_s = now_s - window_s
    edges = ((since_s, since_s + EDGE_S), (now_s - EDGE_S, now_s))
    first, last = [await source.scrapes(keys, *edge) for edge in edges]
    found = told(names, first, last, since_s)
    counters = kinds.counters(counted.of_users(checks))
    if not counters:
        return found
    both = [await source.scrapes(keys, *edge, counters=counters) for edge in edges]
    users = counted.measured(checks, names, (both[0], both[1]), found.rate_per_s)
    return replace(found, counted=users)


def told(
    names: Sequence[str], first: Sequence[Scrape], last: Sequence[Scrape], since_s: float
) -> Traffic:
    """Return the traffic that lies between scrapes; the first name is stable's.

    Raises:
        NoPolicy: it is too little.
    """
    began_s = min((s.at_s for s in first), default=since_s)
    ended_s = max((s.at_s for s in last), default=since_s)
    ledger, early = advance(start_ledger(began_s), first)
    _, late = advance(ledger, last)
    nothing = Delta()
    each = [early.get(name, nothing).plus(late.get(name, nothing)) for name in names]
    mine, total = each[0], sum(delta.requests for delta in each)
    if mine.requests < FEWEST or ended_s <= began_s:
        text = f"Prometheus tells of {mine.requests} requests of {names[0]} in this time"
        raise NoPolicy(f"{text}, expected {FEWEST} at least; say a longer --window, or --rps")
    failed = sum(mine.outcomes.get(name, 0) for name in FAILED) / mine.requests
    refused = mine.outcomes.get("client_error", 0) / mine.requests
    rate_per_s = total / (ended_s - began_s)
    said = (
        f"{plain(rate_per_s)} requests/s, {plain(100 * failed, 2)} % of stable's answers fail, as "
        f"measured in {brief(ended_s - began_s)}"
    )
    return Traffic(rate_per_s, failed, _durations(mine), said, refused)


def _durations(counted: Delta) -> Shares:
    total = counted.buckets.total
    if not total:
        raise NoPolicy("Prometheus tells of no durations; say --rps and --latency instead")
    return tuple((bound, count / total) for bound, count in counted.buckets)


async def source_of(
    api: "KubeApi", deployment: "ModelDeployment", address: str | None, token: str | None
) -> "PrometheusSource":
    """Return the client of the Prometheus that a ModelDeployment's evidence is read from.

    Args:
        api: Where its metric source is looked up.
        deployment: Whose it is.
        address: Where it is reached from here; None: where the operator reaches it.
        token: A file with a bearer token.

    Raises:
        NoPolicy: the metric source that it names cannot be used.
    """
    from rampway.metrics.access import Access
    from rampway.metrics.prometheus import PrometheusSource

    found = await _named(api, deployment)
    space = found.namespace
    access = Access(
        parameters={found.parameter: space} if found.parameter else {},
        headers={found.header: space} if found.header else {},
    )
    return PrometheusSource(
        address or found.address or OWN,
        deadline_s=DEADLINE_S,
        token_file=Path(token) if token else None,
        access=access,
    )


async def _named(api: "KubeApi", deployment: "ModelDeployment") -> Source:
    """Return the source that the operator asks; its administrator's list is not ours to keep."""
    from rampway.shell.memory import Memory
    from rampway.shell.shared import Shared

    read = await Shared().sources(api, deployment, Memory())
    space = frozenset({deployment.namespace})
    allowed = tuple(
        Allowed(one.spec.address, space, frozenset({one.spec.credentials or ""}), open=True)
        for one in read.known
        if one.spec is not None
    )
    ref = deployment.spec.metrics.source_ref
    found = choose(ref, deployment.namespace, replace(read, allowed=allowed))
    if isinstance(found, Trouble):
        raise NoPolicy(found.message)
    return found
