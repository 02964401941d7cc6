"""What an active rollout wants to know of the metrics, and where the clients for that are from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.core.checks import history, kinds, paired
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past
from rampway.core.checks.queries import fill
from rampway.core.checks.sources import OWN, Source
from rampway.core.model.policies import Trouble
from rampway.core.observation import Observation
from rampway.core.rollout.passes import Decision
from rampway.metrics.base import MetricSource, RevisionKey
from rampway.metrics.direct import Target

Key = tuple[str, str]
"""Namespace and name of a ModelDeployment."""
UNDER_TRAFFIC = frozenset({RolloutPhase.STEPPING, RolloutPhase.PROMOTING, RolloutPhase.WATCHING})


class Sources(Protocol):
    """Where the clients of sources are from."""

    def of(self, source: Source) -> MetricSource:
        """Return the client of a source."""
        ...

    async def keep(self, wanted: Collection[Source]) -> None:
        """Close the clients of all others."""
        ...


@dataclass(frozen=True, slots=True)
class Interest:
    """What one active rollout wants to know.

    Attributes:
        revisions: Names of the revisions whose counters it needs.
        seen_s: Until when its evidence has read the metrics; None if it never did.
        queries: PromQL by name of the check.
        timed: Whether it needs durations.
        counters: Counters of users that it needs.
        pods: Pods to be read directly; none while no step runs.
        past: What it wants to know of stable's past, until that is known.
        hurry: Something may have begun: its pods are read again sooner.
        source: Where its counters and answers are.
    """

    namespace: str
    revisions: tuple[str, ...]
    seen_s: float | None
    queries: Mapping[str, str]
    timed: bool = True
    pods: tuple[Target, ...] = ()
    past: Past | None = None
    hurry: bool = False
    source: Source = OWN
    counters: tuple[Counter, ...] = ()

    def same_questions(self, other: "Interest | None") -> bool:
        """Whether an answer to the one answers the other."""
        return other is not None and _asked(self) == _asked(other)

    def picked(self, found: Mapping[RevisionKey, Sequence[Scrape]]) -> tuple[Scrape, ...]:
        """Return the scrapes of its revisions, by time."""
        keys = [RevisionKey(self.namespace, revision) for revision in self.revisions]
        mine = [scrape for key in keys for scrape in found.get(key, ())]
        return tuple(sorted(mine, key=lambda scrape: scrape.at_s))


def _asked(interest: Interest) -> tuple[object, ...]:
    return interest.revisions, interest.queries, interest.source, interest.counters


def interest_of(obs: Observation, active: ModelRollout, decision: Decision) -> Interest:
    """Return what the active rollout wants to know of the metrics."""
    spec = active.spec
    names = {
        "candidate": f"{spec.deployment}-{spec.candidate.revision}",
        "stable": f"{spec.deployment}-{spec.stable.revision}",
        "name": spec.deployment,
        "namespace": active.namespace,
    }
    compared = any(check.comparison for check in spec.policy.checks)
    source = obs.source
    return Interest(
        namespace=active.namespace,
        source=Source(problem=source.message) if isinstance(source, Trouble) else source,
        revisions=(names["candidate"], names["stable"]) if compared else (),
        seen_s=(decision.evidence.seen_s or None) if decision.evidence else None,
        queries={
            check.name: fill(check.threshold.query, names)
            for check in spec.policy.checks
            if check.threshold
        },
        timed=any(kind.timed for kind in kinds.compared(spec.policy.checks)),
        counters=kinds.counters(spec.policy.checks),
        pods=_pods(obs, active) if compared else (),
        past=_past(obs, active, decision),
        hurry=_suspicious(active, decision),
    )


def _past(obs: Observation, active: ModelRollout, decision: Decision) -> Past | None:
    """Return what is to be read of stable's past, until the candidate gets its first request."""
    stable = obs.revision(active.spec.stable.revision)
    if stable is None or active.status.traffic_since:
        return None
    policy = active.spec.policy
    return history.wanted(policy, active.namespace, stable, decision.evidence, obs.now_s)


def _suspicious(active: ModelRollout, decision: Decision) -> bool:
    """Whether something may have begun on the candidate."""
    known = decision.evidence
    return known is not None and paired.suspicious(active.spec.policy.checks, known.paired)


def _pods(obs: Observation, active: ModelRollout) -> tuple[Target, ...]:
    """Return the pods to be read directly: those of both revisions, while a step runs."""
    wanted = obs.deployment.spec.metrics.direct_look.enabled
    if not wanted or active.status.phase not in UNDER_TRAFFIC:
        return ()
    counters = kinds.counters(active.spec.policy.checks)
    contenders = {active.spec.candidate.revision, active.spec.stable.revision}
    return tuple(
        Target(active.namespace, revision.name, pod.name, pod.address, counters)
        for revision in obs.revisions
        if revision.hash in contenders
        for pod in revision.pods
        if pod.address
    )
