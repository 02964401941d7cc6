"""Failed answers: of the server's own fault, and those that blame the client (decision 0004)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rampway.api.checks import ErrorRateCheck
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import Comparison, PairedState
from rampway.core.evidence import EProcess, PairCount, Tolerance

SERVER_ERRORS = ("model_error", "server_error")
CLIENT_ERRORS = ("client_error",)
_ERRORS = ((0.7, SERVER_ERRORS), (0.3, CLIENT_ERRORS))
"""Budget of the two kinds of failed answers. A candidate that refuses what stable accepts (4xx)
does harm too; bad clients reach both revisions alike."""


@dataclass(frozen=True, slots=True)
class Errors(Comparison):
    """Comparison by `errorRate`."""

    asked: ErrorRateCheck

    @property
    def at_once(self) -> bool:
        """Return that errors put back all traffic at once."""
        return True

    @property
    def tolerance(self) -> Tolerance:
        """What is not called harm."""
        return Tolerance(self.asked.ratio, self.asked.floor)

    @property
    def tolerated(self) -> str:
        """The same in the words of the policy."""
        return f"maxIncrease {self.asked.max_increase} and ignoreBelow {self.asked.ignore_below}"

    def begin(self, stable: Delta) -> PairedState:  # noqa: ARG002 - nothing to choose
        """Return the state before the first look."""
        return PairedState(tuple(EProcess() for _ in _ERRORS))

    def counts(
        self, state: PairedState, candidate: Delta, stable: Delta  # noqa: ARG002
    ) -> list[PairCount]:  # fmt: skip
        """Return first attempts and those that failed, once for each kind of failure."""
        return [
            PairCount(
                candidate.requests, _of(candidate, kinds), stable.requests, _of(stable, kinds)
            )
            for _, kinds in _ERRORS
        ]

    def shares(self, state: PairedState) -> list[float]:  # noqa: ARG002 - the same for all
        """Return each process's share of the check's budget."""
        return [share for share, _ in _ERRORS]

    def decisive(self) -> int:
        """Return that both kinds need power."""
        return len(_ERRORS)

    def standards(self, stable: Sequence[float]) -> list[float]:
        """Return the rates that it is held to: a stable's own failures excuse nobody.

        They may be how it ended.
        """
        return [0.0, *stable[1:]] if stable else [0.0] * len(_ERRORS)

    def imagined(self) -> tuple[PairedState, float]:
        """Return what to reckon with: a stable without errors."""
        return self.begin(Delta()), 0.0

    def what(self, state: PairedState, index: int) -> str:  # noqa: ARG002 - has no bounds
        """Return what the candidate's events of a process are, as a verb."""
        return "were refused as the client's fault" if index else "failed"

    def counted(self, state: PairedState, index: int) -> str:
        """Return what a process has counted on both sides."""
        total = state.processes[index].total
        return (
            f"{total.candidate_events} of {total.candidate_n} requests {self.what(state, index)} "
            f"on the candidate, {total.stable_events} of {total.stable_n} on stable"
        )


def _of(delta: Delta, kinds: Sequence[str]) -> int:
    return sum(delta.outcomes.get(kind, 0) for kind in kinds)
