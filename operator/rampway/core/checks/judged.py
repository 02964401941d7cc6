"""What the checks work with and what they answer: data, no rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rampway.core.checks.cutoff import Given, Since
from rampway.core.checks.deltas import Ledger
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Detector


class CheckState(StrEnum):
    """What a check answers."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    WAITING = "Waiting"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's answer, with a sentence.

    Attributes:
        at_once: A failure that puts back all traffic at once (B24: errors).
        unpaired: Held against a value or what was before, not against stable at the same time.
        tells: In a watch without a holdback: by default it only tells (B27).
        mistake: The user's query is wrong, and how (B21); empty otherwise.
    """

    name: str
    state: CheckState
    message: str
    at_once: bool = False
    unpaired: bool = False
    tells: bool = False
    mistake: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What became of reading stable's past.

    Attributes:
        intervals: Intervals in which both halves of its pods had requests.
        lacking: Why it is no history, else empty.
    """

    intervals: int
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Down:
    """A stable whose pods are not ready, or not for long.

    Attributes:
        since_s: When none was ready for the first time.
        up_since_s: Since when one is ready again; None while none is.
    """

    since_s: float
    up_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Answers of a threshold's query that were outside its limits.

    Attributes:
        number: How many count, in a row or in all, as the policy says.
        at_s: When an answer counted last, whatever it was.
    """

    number: int
    at_s: float


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """Evidence of one rollout so far; what a checkpoint holds (B32).

    Attributes:
        seen_s: Until when the metrics were read.
        ledger: Last accepted counters of each pod.
        paired: State of each comparison with stable, by check.
        harmed: Checks whose comparison has shown harm: it stays shown, as a test that has rejected
            is over, and what its evidence does afterwards means nothing.
        breaches: Since when a threshold's value is outside its limits, by check.
        failures: Answers outside a threshold's limits, where the policy counts them, by check.
        step_index: Step that `step_requests` belongs to.
        step_requests: First attempts that the candidate answered under this step's whole weight.
        shares: What candidate and stable answered under the present weight, first attempts.
        rate_per_s: Candidate's requests per second, smoothed; for telling how long is left.
        last_scrape_s: Time of the newest scrape, by revision and, for users' counters, their name.
        cutoff_s: Scrapes up to here belong to an earlier weight.
        given: What the candidate is given, and since when; None before the first pass.
        history: What was learnt from stable's past; None while it was not read.
        down: Since when no pod of stable stays ready; None while one does.
        alone: Requests and events of the candidate in this step beside a stable that is down, by
            check, for each of its processes.
        lone: In a watch without a holdback, what was seen of the promoted revision, likewise.
        references: What stable had shown before the rollout, frozen, by check that is held
            against it.
    """

    seen_s: float
    ledger: Ledger
    paired: Mapping[str, PairedState] = field(default_factory=dict)
    harmed: frozenset[str] = frozenset()
    breaches: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, Failed] = field(default_factory=dict)
    step_index: int = 0
    step_requests: int = 0
    shares: tuple[int, int] = (0, 0)
    rate_per_s: float = 0.0
    last_scrape_s: Mapping[str, float] = field(default_factory=dict)
    cutoff_s: float = 0.0
    given: Since | None = None
    history: History | None = None
    down: Down | None = None
    alone: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    lone: Mapping[str, tuple[Detector, ...]] = field(default_factory=dict)
    references: Mapping[str, PairedState] = field(default_factory=dict)


def heard_as(revision: str, counter: str) -> str:
    """Return under which name `last_scrape_s` knows who counted: of a user's counter, or ours."""
    return f"{revision} {counter}" if counter else revision


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers of all checks at one pass.

    Attributes:
        state: Evidence from now on; None while no look was taken.
    """

    state: EvidenceState | None
    results: tuple[CheckResult, ...]

    @property
    def unknown(self) -> str:
        """Why a check cannot tell, the first one's sentence; empty if all can."""
        return self._first(CheckState.UNKNOWN)

    @property
    def waiting(self) -> str:
        """What a check waits for, the first one's sentence; empty if none does."""
        return self._first(CheckState.WAITING)

    @property
    def mistake(self) -> str:
        """What is wrong with a user's query; empty if nothing is."""
        return next((f"check {r.name}: {r.mistake}" for r in self.results if r.mistake), "")

    @property
    def requests(self) -> int:
        """First attempts that the candidate answered in this step."""
        return self.state.step_requests if self.state else 0

    def _first(self, state: CheckState) -> str:
        return next((f"{r.name}: {r.message}" for r in self.results if r.state is state), "")


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is judged, and under which weight.

    Attributes:
        candidate: Name of the candidate's revision.
        stable: Name of stable's revision.
        weight_since_s: Since when the step's weight is in force; None while it is not.
        traffic_since_s: Since when the candidate gets requests at all; None while it does not.
        step_index: The step that runs.
        stable_ready: Whether stable has a ready pod.
        patience_s: A stable no pod of which stays ready for so long is down.
        stable_down: It is: the candidate is judged by itself.
        watching: The candidate is promoted, and compared with what stays on the old revision.
        unpaired: Nobody is compared with it: stable is what `paired` had seen before.
        mirrored: The candidate gets copies of requests only, and nobody sees its answers.
        given: What the route gives the candidate now.
    """

    candidate: str
    stable: str
    weight_since_s: float | None
    traffic_since_s: float | None
    step_index: int
    stable_ready: bool = True
    patience_s: float = math.inf
    stable_down: bool = False
    watching: bool = False
    unpaired: bool = False
    mirrored: bool = False
    given: Given = field(default_factory=Given)
