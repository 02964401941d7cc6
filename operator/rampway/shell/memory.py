"""What the shell remembers of a ModelDeployment between two passes; losing it costs nothing.

Evidence is rebuilt from its checkpoint and the metrics, a refusal by asking again.
"""

from dataclasses import dataclass, field

from rampway.core.judged import EvidenceState
from rampway.core.observation import Observation


@dataclass(slots=True)
class Memory:
    """Memory of one ModelDeployment.

    Attributes:
        rollout: Name of the rollout that the evidence belongs to.
        phase: Phase of the rollout that is under way, for the operator's own metrics.
        evidence: Evidence of that rollout, newer than its checkpoint.
        refusals: The API server's words about pod templates, by revision hash.
        emitted: Keys of Events already recorded.
        seen: What was read last, with what was written since; None once something changed.
        last: The same, changed or not: what is still the same version need not be parsed again.
        echoes: Versions that our own writes of statuses made, by kind and name.
    """

    rollout: str = ""
    phase: str = ""
    evidence: EvidenceState | None = None
    refusals: dict[str, str] = field(default_factory=dict)
    emitted: set[str] = field(default_factory=set)
    seen: Observation | None = None
    last: Observation | None = None
    echoes: dict[str, str] = field(default_factory=dict)

    def refusal_of(self, revision_hash: str) -> str:
        """Return why the API server refused this revision's template, empty if it did not."""
        return self.refusals.get(revision_hash, "")
