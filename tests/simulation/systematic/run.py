"""One whole rollout, from a serving v1 to rest, with what happens to it on the way.

The real core, reconciler, executor and router act against the API server in memory. An explorer
is told of every point at which something may happen: after each write of the operator, and at
each boundary (the rollout's phase or step has changed).
"""

from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.autoscaler import Scaling
from simulation.stage import NAME
from simulation.systematic.invariants import ENDED, LAST_STEP, Violation, Watch
from simulation.systematic.strategies import (
    HEADERS,
    HEADERS_SHARE,
    HOOKS,
    QUERY,
    ROLLOUTS,
    ROUTE,
    SPECS,
    STEPS,
    course,
)

from rampway.api import labels
from rampway.cli.facts import asks_about
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.instants import from_wire
from rampway.core.observation import HookRun
from rampway.core.traffic.contested import WINDOW_S, WRITES
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.metrics.base import RevisionKey
from rampway.metrics.memory import MemorySource
from rampway.sim.api_faults import Call
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.traffic import Ledger
from rampway.sim.world import SPACE, World

if TYPE_CHECKING:
    from simulation.systematic.events import Event

RATE_PER_S = 6000.0
QUIET_S = 3
LIMIT_S = 150
"""Everything must have come to rest so long after the last fault has ended."""
DEADLINE = "25s"
HOPELESS_S = 40
QUICK = Behaviour(startup_s=1.0, sigma=0.0)
BAD = Behaviour(startup_s=1.0, sigma=0.0, error_rate=0.3)
STARTS = frozenset({"", "Starting"})


@dataclass(slots=True)
class Source(MemorySource):
    """A Prometheus that can also be slow: it stores late."""

    late_s: float = 0.0

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Return what is stored by now."""
        found = await MemorySource.scrapes(
            self, revisions, since_s, until_s, histograms=histograms, counters=counters
        )
        return tuple(s for s in found if s.at_s <= until_s - self.late_s)


def answer(query: str, at_s: float) -> Answer:
    """Answer the users' query: enough orders."""
    return Answer(AnswerKind.VALUE, value=5.0, at_s=at_s) if query == QUERY else Answer(
        AnswerKind.NO_DATA, at_s=at_s
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A rollout without what happens to it.

    Attributes:
        bad: The candidate answers three requests in ten with an error, from the start.
        strategy: One of `STEPS`.
    """

    bad: bool = False
    strategy: str = "canary"

    @property
    def watched(self) -> bool:
        """Whether the promotion is watched."""
        return "watch" in STEPS[self.strategy][1]

    @property
    def queues(self) -> bool:
        """Whether a newer revision waits for the end."""
        return self.strategy in ROLLOUTS

    @property
    def users_route(self) -> bool:
        """Whether the route is the user's, who has one rule of it split."""
        return self.strategy == "route-ref"


@dataclass(frozen=True, slots=True)
class Point:
    """Where something happened: after the operator's n-th write, or at a boundary."""

    kind: str
    at: str


@dataclass(slots=True)
class Run:
    """One rollout under way.

    Attributes:
        history: What happened and where, in order.
        late: By event's name how far v2's rollout was.
        happened_s: By event's name when it happened first.
        after_v1: By event's name whether another revision than v1 was stable by then.
        plan: What is to happen and where, in order.
        points: Where something may have happened so far, in order.
        hashes: Of v1, v2, v3.
    """

    case: Case
    plan: list[tuple[Point, "Event"]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    history: list[tuple[Point, "Event"]] = field(default_factory=list)
    late: dict[str, str] = field(default_factory=dict)
    happened_s: dict[str, float] = field(default_factory=dict)
    after_v1: dict[str, bool] = field(default_factory=dict)
    hashes: list[str] = field(default_factory=list)
    boundaries: list[str] = field(default_factory=list)
    world: World = field(init=False)
    watch: Watch = field(init=False)
    ledger: Ledger = field(init=False)
    source: Source = field(default_factory=Source)
    spec: dict[str, object] = field(default_factory=dict)
    wanted: dict[str, object] = field(default_factory=dict)
    in_call: bool = False
    scaling: Scaling | None = None
    _later: list[tuple[float, int, Callable[["Run"], None]]] = field(default_factory=list)
    _begun: bool = False
    _wrote_s: float = 0.0
    _calm_s: float = 0.0
    _number: int = 0

    def __post_init__(self) -> None:
        """Bring v1 up and let it serve for a while."""
        around = Surroundings(scrape_interval_s=1.0, image_pull_s=0.0)
        self.source.answers = answer
        self.world = World(
            surroundings=around, source=self.source, checkpoint_interval_s=5.0, shares=True
        )
        rollout = {"policy": course(self.case.strategy), "progressDeadline": DEADLINE}
        rollout |= ROLLOUTS.get(self.case.strategy, {})
        spec = {"replicas": 2, "rollout": rollout} | SPECS.get(self.case.strategy, {})
        if self.case.users_route:
            shop: Obj = {"metadata": {"name": "shop", "namespace": SPACE}, "spec": {}}
            self.world.store.create(kinds.SERVICE, shop)
            self.give_route()
        for number in (1, 2, 3):
            self.world.apply(NAME, {"model": model(number)} | spec)
            self.hashes.append(self.world.desired(NAME))
            self.world.behave(self.hashes[-1], QUICK)
        self.world.calls.answers |= {hook["name"]: HookRun("Succeeded") for hook in HOOKS}
        self.world.apply(NAME, {"model": model(1)})
        if "autoscaling" in spec:
            self.scaling = Scaling(self.world)
        self.watch = Watch(self.world, NAME)
        self.world.api.listeners.append(self._heard)
        self.world.api.yields = False
        self.world.run(10)
        assert self.world.status(NAME).phase == "Healthy", self.world.status(NAME)
        cluster = self.world.cluster
        if self.watch.by_pods:
            self.ledger = cluster.call(SPACE, labels.live_name(NAME), RATE_PER_S)
        else:
            self.ledger = cluster.send(SPACE, NAME, RATE_PER_S)
        if self.case.strategy in {"ab", "blue-green"}:
            cluster.bear(SPACE, NAME, HEADERS_SHARE, HEADERS)
        self.world.run(5)

    # What events use.

    def give_route(self) -> None:
        """Apply the user's own route, as its manifest has it."""
        self.world.store.create(kinds.HTTP_ROUTE, deepcopy(ROUTE))

    @property
    def now_s(self) -> float:
        """Seconds since the simulation began."""
        return self.world.clock.elapsed_s

    def later(self, seconds: float, what: Callable[["Run"], None]) -> None:
        """Do something so many seconds from now, to this run or to whatever copy of it."""
        self._later.append((self.now_s + seconds, len(self._later), what))
        self._later.sort(key=lambda entry: entry[:2])

    def behave(self, number: int, how: Behaviour) -> None:
        """Let a version's pods behave like this from now on."""
        self.world.behave(self.hashes[number - 1], how)

    def how(self, number: int) -> Behaviour:
        """Return how a version's pods behave."""
        return self.world.cluster.behaviours[self.hashes[number - 1]]

    def candidate_name(self) -> str:
        """Name of v2's Deployment and Service."""
        return labels.revision_name(NAME, self.hashes[1])

    def stage(self) -> str:
        """Where v2's rollout is: none, starting, stepping, late, committed or over."""
        rollout = self.rollout()
        if self.watch.stable == self.hashes[1]:
            return "committed"
        if rollout is None:
            return "none"
        status = rollout.get("status") or {}
        phase, at_step = status.get("phase", ""), (status.get("step") or {}).get("name", "")
        if phase in ENDED:
            return "over"
        late = at_step == LAST_STEP or phase == "Promoting"
        return "starting" if phase in STARTS else "late" if late else "stepping"

    def ended_s(self) -> float:
        """When v2's rollout ended; it must have."""
        rollout = self.rollout()
        ended_s = from_wire(rollout["status"]["endedAt"]) if rollout else None
        assert ended_s is not None, self.story()
        return ended_s

    def rollout(self) -> Obj | None:
        """Return the latest rollout of v2, if there was one."""
        mine = [
            r for r in self.watch.rollouts() if r["spec"]["candidate"]["revision"] == self.hashes[1]
        ]
        return mine[-1] if mine else None

    # The course of time.

    def go(self) -> str:
        """Release v2 and let time go on until rest; return the end state.

        Raises:
            Violation: of an invariant.
        """
        self.begin()
        while not self.over():
            self.second()
        return self.rest()

    def begin(self) -> None:
        """Release v2."""
        if self.case.bad:
            self.behave(2, BAD)
            self.watch.never.add(self.hashes[1])
        self.world.apply(NAME, {"model": model(2)})
        self._begun = True
        self._boundary()

    def rest(self) -> str:
        """Require what holds at rest; return the end state."""
        if self.hopeless():
            return "none v0 Pending"
        self.watch.at_rest()
        return self.end()

    def second(self) -> None:
        """Let a second go by."""
        if self.scaling:
            self.scaling.sample()
        self.world.step()
        if self.scaling:
            self.scaling.look()
        while self._later and self._later[0][0] <= self.now_s:
            self._later.pop(0)[2](self)
            self._calm_s = self.now_s
        self._agree()
        self._boundary()
        if self.now_s - self._calm_s > self._patience_s:
            raise Violation(f"no rest within {self._patience_s:g} s: {self.summary()}")

    @property
    def _patience_s(self) -> float:
        edits = sum(event.name == "route-edited" for _, event in self.history)
        return LIMIT_S + (WINDOW_S if edits >= WRITES else 0.0)

    def happen(self, point: Point, event: "Event") -> None:
        """Let something happen now."""
        self.history.append((point, event))
        self.late.setdefault(event.name, self.stage())
        self.happened_s.setdefault(event.name, self.world.clock())
        self.after_v1.setdefault(event.name, self.watch.stable not in {"", self.hashes[0]})
        self._calm_s = self.now_s
        event.apply(self)

    def ask(self, **requests: Any) -> None:
        """Ask something of the latest rollout, if there is one."""
        rollouts = self.watch.rollouts()
        ended = bool(rollouts) and (rollouts[-1].get("status") or {}).get("phase") == "RolledBack"
        if "retry" in requests and not ended:
            return  # the API server refuses it
        if rollouts:
            patch = {"spec": {"requests": requests}}
            name = rollouts[-1]["metadata"]["name"]
            self.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, name, patch)

    def _agree(self) -> None:
        """Consent to what is asked for: an approval, or to go on although a hook failed."""
        rollouts = self.watch.rollouts()
        status = (rollouts[-1].get("status") or {}) if rollouts else {}
        if status.get("reason") == "WaitingForApproval":
            self.ask(approve=[{"step": LAST_STEP, "by": "ann"}])
        elif status.get("reason") == "HookFailed":
            given = rollouts[-1]["spec"].get("requests", {}).get("approve", [])
            step = asks_about(self.world.rollouts(NAME)[-1])
            if step not in {one["step"] for one in given}:
                self.ask(approve=[*given, {"step": step, "by": "ann"}])

    def _heard(self, call: Call) -> None:
        self.watch.heard(call)
        if call.writes and self._begun:
            self._wrote_s = self.now_s
            self._number += 1
            self.in_call = True
            try:
                self._pass(Point("write", str(self._number)))
            finally:
                self.in_call = False

    def _boundary(self) -> None:
        rollouts = self.watch.rollouts()
        status = (rollouts[-1].get("status") or {}) if rollouts else {}
        phase = status.get("phase") or ("Starting" if rollouts else "Released")
        label = phase + (f"-{status['step']['name']}" if phase == "Stepping" else "")
        if self.watch.stable != self.hashes[0] and phase not in ENDED:
            label = f"{label}-committed"
        if label not in self.boundaries:
            self.boundaries.append(label)
            self._pass(Point("boundary", label))

    def _pass(self, point: Point) -> None:
        self.points.append(point)
        while self.plan and self.plan[0][0] == point:
            self.happen(*self.plan.pop(0))

    def over(self) -> bool:
        """Whether everything has come to rest."""
        found = self.watch.deployment
        if self._later or not self.world.running or found is None:
            return False
        world = self.world
        if found["spec"].get("paused") or world.clock() < world.stalled_until_s:
            return False
        if self.now_s - max(self._wrote_s, self._calm_s) < QUIET_S:
            return False
        if list(self.watch.backends()) != [NAME] or not self.watch.split.at_rest:
            return False
        if self.watch.leaving and self.watch.surge is not None:
            return False  # who waits for their place is not at rest
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return False
        rollouts = self.watch.rollouts()
        phases = [(r.get("status") or {}).get("phase", "") for r in rollouts]
        if not self.watch.stable or any(phase not in ENDED for phase in phases):
            return self.hopeless()
        desired = self.world.desired(NAME)
        last = rollouts[-1]["spec"]["candidate"]["revision"] if rollouts else ""
        refused = desired == last and phases[-1] == "RolledBack"
        return desired == self.watch.stable or refused

    def hopeless(self) -> bool:
        """Whether a first revision cannot start: to wait for it, Pending, is a rest of its own."""
        waits = self.now_s - self._calm_s > HOPELESS_S and not self.watch.stable
        return waits and self.world.status(NAME).phase == "Pending"

    def end(self) -> str:
        """Return how it ended: v2's last rollout, the stable version, the phase."""
        rollout = self.rollout()
        phase = str((rollout.get("status") or {}).get("phase", "")) if rollout else "none"
        stable = 1 + self.hashes.index(self.watch.stable)
        return f"{phase} v{stable} {self.world.status(NAME).phase}"

    def summary(self) -> str:
        """Return where everything stands, for a person."""
        status = self.world.status(NAME)
        return (
            f"{status.phase}/{status.reason} step {status.step}: {status.message}; "
            f"backends {self.watch.backends()}; requests failed {dict(self.ledger.reasons)}"
        )

    def story(self) -> str:
        """Return what happened, in one line: enough to run it again."""
        words = [f"{event.name}@{point.kind}:{point.at}" for point, event in self.history]
        return f"{self.case} " + (", ".join(words) or "nothing happened")


def model(number: int) -> dict[str, str]:
    """Return the spec of a version of the model."""
    return {"uri": f"http://models/digits/{number}"}
