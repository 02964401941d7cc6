"""What the shell remembers of a ModelDeployment between two passes; losing it costs nothing.

Evidence is rebuilt from its checkpoint and the metrics, a refusal by asking again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rampway.core.checks.judged import EvidenceState
from rampway.core.observation import Observation

Name = tuple[str, str, str]
"""Kind, namespace and name of a shared object; without a name: all of that kind."""


@dataclass(slots=True)
class Memory:
    """Memory of one ModelDeployment.

    Attributes:
        rollout: Name of the rollout that the evidence belongs to.
        passed: Whether a pass came to its end, for the operator's own metrics.
        phase: Phase of the rollout that is under way, for the operator's own metrics.
        evidence: Evidence of that rollout, newer than its checkpoint.
        refusals: The API server's words about pod templates, by revision hash, and about
            autoscalers, by name.
        emitted: Keys of Events already recorded.
        seen: What was read last, with what was written since; None while it cannot be decided upon.
        last: The same in any case: what is still the same version need not be parsed again.
        versions: Of every object that was read or whose status we wrote, by kind and name: an
            event that tells of just these is no news.
        leans_on: Shared objects whose changes concern it.
        idle_until_s: Nothing is to be done before, unless something changes; 0 if there may be.
    """

    rollout: str = ""
    passed: bool = False
    phase: str = ""
    evidence: EvidenceState | None = None
    refusals: dict[str, str] = field(default_factory=dict)
    emitted: set[str] = field(default_factory=set)
    seen: Observation | None = None
    last: Observation | None = None
    versions: dict[str, str] = field(default_factory=dict)
    leans_on: frozenset[Name] = frozenset()
    idle_until_s: float = 0.0

    def refusal_of(self, what: str) -> str:
        """Return why the API server refused a revision's template, or an autoscaler; else empty."""
        return self.refusals.get(what, "")

    def note(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Note that these were read."""
        for obj in objects:
            meta = obj["metadata"]
            self.versions[f"{obj['kind']}/{meta['name']}"] = meta["resourceVersion"]
