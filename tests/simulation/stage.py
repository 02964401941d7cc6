"""The stage of the simulation tests: v1 serves under traffic, and every second is watched.

`Stage.run` and `Stage.until` let time go on and check after each second what must always hold:

- the route has one backend, or two whose weights sum to 100: stable's Service `<name>` and one
  candidate's;
- the candidate's weight is within what its ready pods carry (B6);
- stable keeps all its replicas while a rollout is under way (B6);
- no client saw a failed request, unless the test has said that it does harm (`harmed`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rampway.api import labels
from rampway.api.parse import ModelRollout
from rampway.api.rollout import Decision
from rampway.core.pods import capacity
from rampway.core.traffic.split import Split
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound
from rampway.routers import rules
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.traffic import Ledger, Rate
from rampway.sim.world import SPACE, World

NAME = "digits"
RATE_PER_S = 100.0
SETTLE_S = 120
"""Bringing a first revision up takes less than this."""
ERRORS = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}}
SLOW = {"name": "slow", "latency": {"detect": "5x"}}
BROKEN = Behaviour(error_rate=0.3)
"""A model that raises on three inputs in ten."""


def step(name: str, weight_pct: int, hold_s: int = 5) -> dict[str, Any]:
    """Return a step of a policy."""
    return {"name": name, "weight": f"{weight_pct}%", "hold": f"{hold_s}s"}


def mirror(name: str, share_pct: int, hold_s: int = 5, **more: Any) -> dict[str, Any]:
    """Return a step that copies requests."""
    return {"name": name, "mirror": f"{share_pct}%", "hold": f"{hold_s}s"} | more


def match(name: str, hold_s: int = 5, **headers: str) -> dict[str, Any]:
    """Return a step for requests that bear these headers; `_` stands for `-`."""
    wanted = [{"name": n.replace("_", "-"), "value": value} for n, value in headers.items()]
    return {"name": name, "match": {"headers": wanted}, "hold": f"{hold_s}s"}


def ramp(name: str, first: int, last: int, over_s: int, shape: str) -> dict[str, Any]:
    """Return a step whose share rises by itself."""
    rises = {"from": f"{first}%", "to": f"{last}%", "over": f"{over_s}s", "shape": shape}
    return {"name": name, "ramp": rises}


def approval(name: str, message: str = "") -> dict[str, Any]:
    """Return a step that waits for a person."""
    return {"name": name, "approval": {"message": message}}


def policy(*steps: dict[str, Any], checks: tuple[dict[str, Any], ...] = (ERRORS, SLOW),
           **more: Any) -> dict[str, Any]:  # fmt: skip
    """Return a policy; without steps: ten, then half."""
    return {
        "steps": list(steps or (step("ten", 10), step("half", 50))),
        "checks": list(checks),
    } | more


def quick(*steps: dict[str, Any]) -> dict[str, Any]:
    """Return a policy without checks, for tests of what is not judging."""
    return policy(*steps, checks=())


def model(number: int) -> dict[str, Any]:
    """Return the spec of the model's version of this number."""
    return {"uri": f"http://models/digits/{number}"}


@dataclass(slots=True)
class Stage:
    """A World with one ModelDeployment in the foreground, watched every second.

    Attributes:
        harmed: The test does harm now, so requests may fail.
        replicas: Pods that the spec asks for.
    """

    world: World
    name: str = NAME
    harmed: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    _failed: int = 0
    _restarts: int = 0
    _unsettled_s: int = 0

    # What people do.

    def apply(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.world.apply(self.name, spec)

    def release(self, number: int, how: Behaviour | None = None) -> str:
        """Name another version of the model in the spec; return its revision's hash."""
        self.apply(model=model(number))
        found = self.desired
        if how is not None:
            self.world.behave(found, how)
        return found

    def ask(self, **requests: Any) -> None:
        """Ask something of the latest rollout, as ann does; `approve` is a step's name."""
        found = self.rollout
        if "approve" in requests:
            given = [one.model_dump(mode="json") for one in found.spec.requests.approve]
            requests["approve"] = [*given, {"step": requests["approve"], "by": "ann"}]
        requests = {
            verb: {"by": "ann", "message": asked} if isinstance(asked, str) else asked
            for verb, asked in requests.items()
        }
        patch = {"spec": {"requests": requests}}
        self.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, found.name, patch)

    def send(self, rate_per_s: Rate = RATE_PER_S) -> Ledger:
        """Let clients send requests through the route from now on."""
        self.ledger = self.world.cluster.send(SPACE, self.name, rate_per_s)
        return self.ledger

    def run(self, seconds: int) -> None:
        """Let time go on, second by second, each watched."""
        for _ in range(seconds):
            self.world.step()
            self._watch()

    def heal(self) -> None:
        """The harm is over: once the data plane knows too, no request may fail again."""
        self.run(3)
        self.harmed = False

    def until(self, met: Callable[[], bool], within_s: int = 300) -> int:
        """Let time go on until something is so; return after how many seconds it was."""
        for second in range(within_s + 1):
            if met():
                return second
            self.run(1)
        raise AssertionError(f"not within {within_s} s; it stands at: {self.summary}")

    def until_phase(self, phase: str, within_s: int = 300) -> int:
        """Let time go on until the ModelDeployment is in a phase; at least one second."""
        self.run(1)
        return 1 + self.until(lambda: self.phase == phase, within_s)

    def until_step(self, name: str, within_s: int = 300) -> int:
        """Let time go on until the rollout's step of this name is in force at the gateway."""
        self.run(1)
        return 1 + self.until(lambda: self._in_force(name), within_s)

    # What people see.

    @property
    def phase(self) -> str:
        """Phase of the ModelDeployment."""
        return self.world.status(self.name).phase

    @property
    def rollout(self) -> ModelRollout:
        """The latest rollout."""
        return self.world.rollouts(self.name)[-1]

    def decided(self, action: str) -> list[Decision]:
        """Return the latest rollout's decisions of a kind."""
        return [d for d in self.rollout.status.decisions if d.action == action]

    def events(self, action: str) -> list[tuple[str, str]]:
        """Return type and reason of the Events about an action, in no order."""
        found = self.world.store.list(kinds.EVENT, SPACE)
        return [(one["type"], one["reason"]) for one in found if one["action"] == action]

    @property
    def split(self) -> Split:
        """Who gets which requests, as the route is written."""
        return rules.read(self.route(), 0, self.name)

    @property
    def desired(self) -> str:
        """Hash of the spec's revision."""
        return self.world.desired(self.name)

    @property
    def stable(self) -> str:
        """Hash of the revision that was promoted last, by the Deployments' annotations."""
        promoted = [
            (d["metadata"]["annotations"][labels.PROMOTED_AT], d["metadata"]["labels"])
            for d in self.deployments()
            if labels.PROMOTED_AT in (d["metadata"].get("annotations") or {})
        ]
        return str(max(promoted, key=lambda p: p[0])[1][labels.REVISION]) if promoted else ""

    @property
    def weight_pct(self) -> int:
        """The candidate's share on the route as it is written; 0 without a route."""
        return sum(w for name, w in self.backends().items() if name != self.name)

    @property
    def summary(self) -> str:
        """Where everything stands, for a failed test."""
        status = self.world.status(self.name)
        return (
            f"{status.phase}/{status.reason} step {status.step} weight {status.weight_pct}: "
            f"{status.message}; backends {self.backends()}; failed {dict(self.ledger.reasons)}"
        )

    @property
    def size(self) -> int:
        """Pods of a revision that carries everything."""
        found = self.spec()
        return self.world.status(self.name).size if "autoscaling" in found else found["replicas"]

    def spec(self) -> Obj:
        """Return the ModelDeployment's spec."""
        found: Obj = self.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, self.name)["spec"]
        return found

    def deployments(self) -> list[Obj]:
        """Return the Deployments of all revisions."""
        ours = {labels.DEPLOYMENT: self.name}
        return self.world.store.list(kinds.DEPLOYMENT, SPACE, ours)

    def workload(self, revision_hash: str) -> Obj:
        """Return the Deployment of a revision."""
        name = labels.revision_name(self.name, revision_hash)
        return self.world.store.get(kinds.DEPLOYMENT, SPACE, name)

    def route(self) -> Obj:
        """Return the HTTPRoute, empty if there is none."""
        try:
            return self.world.store.get(kinds.HTTP_ROUTE, SPACE, self.name)
        except NotFound:
            return {}

    def backends(self) -> dict[str, int]:
        """Return the route's weights by Service, as written."""
        rules = self.route().get("spec", {}).get("rules") or [{}]
        return {ref["name"]: ref["weight"] for ref in rules[0].get("backendRefs") or []}

    def running(self, revision_hash: str) -> dict[str, int]:
        """Return the restarts of a revision's pods that are not being deleted, by uid."""
        pods = self.world.cluster.pods(SPACE, revision_hash)
        return {pod.uid: pod.restarts for pod in pods if pod.ends_at_s is None}

    def ready(self, revision_hash: str) -> int:
        """Return how many pods of a revision are ready and stay."""
        pods = self.world.cluster.pods(SPACE, revision_hash)
        return sum(pod.in_endpoints for pod in pods if not pod.severed)

    def _in_force(self, name: str) -> bool:
        rollouts = self.world.rollouts(self.name)
        if not rollouts or rollouts[-1].status.ended_at:
            return False
        at_step = rollouts[-1].status.step
        return at_step.name == name and bool(at_step.in_force_since)

    # What must hold at every second.

    def _watch(self) -> None:
        backends = self.backends()
        if backends:
            self._watch_shape(backends)
        if self._settled() and self.stable:
            self._watch_capacity()
            self._watch_stable()
        failed = self.ledger.all.failed
        assert self.harmed or failed == self._failed, f"requests were lost: {self.summary}"
        self._failed = failed

    def _settled(self) -> bool:
        """Whether the operator can have reacted to all there is: no faults, no late watch."""
        world = self.world
        if world.restarts != self._restarts or not world.running:
            self._restarts, self._unsettled_s = world.restarts, 3
        self._unsettled_s = max(0, self._unsettled_s - 1)
        return not (self._unsettled_s or world.watch_lag_s or world.api.faults.pending)

    def _watch_shape(self, backends: dict[str, int]) -> None:
        refs = self.route()["spec"]["rules"][0]["backendRefs"]
        others = [ref["name"] for ref in refs if ref["name"] != self.name]
        assert len(refs) - len(others) == 1, f"not stable's Service once: {self.summary}"
        assert len(others) <= 1, f"more than one candidate: {self.summary}"
        if others:
            known = [(r.spec.candidate, r.spec.stable) for r in self.world.rollouts(self.name)]
            revisions = {one.revision for both in known for one in both}
            names = {labels.revision_name(self.name, revision) for revision in revisions}
            assert others[0] in names, f"no candidate's Service: {self.summary}"
            assert sum(backends.values()) == 100, f"not 100 %: {self.summary}"

    def _watch_capacity(self) -> None:
        """The candidate has no more than its ready pods carry (B6), where stable can take it."""
        given, stable = self.split, self.stable
        candidate = given.candidate.removeprefix(f"{self.name}-")
        if given.at_rest or candidate == stable or not self.ready(stable):
            return
        ready, replicas = self.ready(candidate), self.size
        carried = capacity.weight_for(ready, replicas)
        told = f"beyond capacity ({carried} %): {given} {self.summary}"
        assert max(given.weight_pct, given.mirror_pct) <= carried, told
        assert ready or not given.headers, told

    def _watch_stable(self) -> None:
        """Stable has all its replicas, whatever goes on, or those of its share (B6)."""
        if "capacity" in self.spec():
            return
        have, want = self.workload(self.stable)["spec"]["replicas"], self.size
        assert have == want, f"stable was scaled to {have} of {want}: {self.summary}"


def serving(
    *,
    rollout: dict[str, Any] | None = None,
    replicas: int = 2,
    rate_per_s: Rate = RATE_PER_S,
    world: World | None = None,
    **spec: Any,
) -> Stage:
    """Return a stage on which v1 serves under traffic, for 20 s already.

    Args:
        rollout: The policy; by default ten, then half, with checks of errors and latency.
        replicas: Pods of a revision.
        rate_per_s: Requests per second.
        world: By default a new one.
        spec: Further fields of the ModelDeployment's spec.
    """
    stage = Stage(world or World())
    wanted = {"model": model(1), "replicas": replicas, "rollout": {"policy": rollout or policy()}}
    stage.apply(**wanted, **spec)
    stage.until_phase("Healthy", SETTLE_S)
    stage.run(10)  # until the gateway knows of the endpoints, also where it is slow
    stage.send(rate_per_s)
    stage.run(20)
    return stage
