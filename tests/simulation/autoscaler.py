"""HorizontalPodAutoscalers, as Kubernetes computes them: of a ModelDeployment, and of revisions.

The formula is that of kube-controller-manager for pods whose metrics are all there: the average
over the ready pods that the selector finds, against the target; within the tolerance nothing
changes; else the ratio times the number of those pods, rounded up.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulation.stage import Stage

from rampway.api.definitions import DEFINITIONS
from rampway.kube import kinds
from rampway.sim.pods import SimPod
from rampway.sim.world import SPACE, World

PERIOD_S = 15
TOLERANCE = 0.1
SCALE = next(d.scale for d in DEFINITIONS if d.kind == "ModelDeployment") or {}


@dataclass(slots=True)
class Autoscaler:
    """Keeps each pod near a number of requests per second.

    Attributes:
        settle_s: It goes down only to the highest number that it found within this time.
        per_pod: It divides the clients' requests by a target per pod (`AverageValue` of an external
            metric); else it measures pods.
        asked: Every number of replicas that it set.
    """

    stage: Stage
    target_per_s: float
    least: int = 1
    most: int = 100
    settle_s: int = 60
    per_pod: bool = False
    asked: list[int] = field(default_factory=list)
    _sent: int = 0
    _counted: dict[str, int] = field(default_factory=dict)
    _found: list[tuple[float, int]] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        """Let time go on, and scale every 15 s."""
        for _ in range(seconds // PERIOD_S):
            self._count()
            self.stage.run(PERIOD_S)
            self.scale()

    def scale(self) -> None:
        """Set the replicas, if they are to be others."""
        now = int(self._read("specReplicasPath"))
        wanted = self._settled(min(self.most, max(self.least, self._wanted(now))))
        if wanted != now:
            self.asked.append(wanted)
            self.stage.apply(replicas=wanted)

    def selected(self) -> list[SimPod]:
        """Return the pods that the selector finds and that are ready."""
        wanted = _requirements(self._read("labelSelectorPath"))
        return [
            pod
            for pod in self.stage.world.cluster.pods(SPACE)
            if pod.in_endpoints and all(pod.labels.get(k) in v for k, v in wanted.items())
        ]

    def _wanted(self, now: int) -> int:
        pods = self.selected()
        if not pods:
            return now
        if self.per_pod:
            return self._divided(int(self._read("statusReplicasPath")))
        answered = sum(p.counters.requests - self._counted.get(p.uid, 0) for p in pods)
        ratio = answered / PERIOD_S / len(pods) / self.target_per_s
        return now if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * len(pods))

    def _divided(self, there: int) -> int:
        load_per_s = (self.stage.ledger.all.total - self._sent) / PERIOD_S
        ratio = load_per_s / (self.target_per_s * there)
        within = abs(1 - ratio) <= TOLERANCE
        return there if within else math.ceil(load_per_s / self.target_per_s)

    def _settled(self, wanted: int) -> int:
        now_s = self.stage.world.clock()
        self._found = [f for f in self._found if f[0] > now_s - self.settle_s]
        self._found.append((now_s, wanted))
        return max(number for _, number in self._found)

    def _count(self) -> None:
        pods = self.stage.world.cluster.pods(SPACE)
        self._sent = self.stage.ledger.all.total
        self._counted = {pod.uid: pod.counters.requests for pod in pods}

    def _read(self, path: str) -> Any:
        found: Any = self.stage.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, self.stage.name)
        for key in SCALE[path].strip(".").split("."):
            found = found[key]
        return found


def _requirements(selector: str) -> dict[str, set[str]]:
    """Read the two forms of a selector that the operator writes: key=value, key in (values)."""
    found = {}
    for part in selector.replace(",rampway", "\nrampway").splitlines():
        key, _, values = part.replace(" in ", "=").partition("=")
        found[key] = set(values.strip("()").split(","))
    return found


WINDOW_S = 60
"""What is measured of a pod is the average of so long a time: it lags behind the load."""


@dataclass(slots=True)
class Scaling:
    """The controller of the HorizontalPodAutoscalers in the store, each with one metric of pods.

    It goes down at once where its measurements say so: the most inconvenient one there is.

    Attributes:
        asked: Every number of pods that it set, by the name of the Deployment.
        blind: It finds no metrics.
        wasteful: Name of a Deployment each of whose requests counts as eight.
    """

    world: World
    asked: dict[str, list[int]] = field(default_factory=dict)
    blind: bool = False
    wasteful: str = ""
    _seen: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def sample(self) -> None:
        """Note what each pod has answered by now."""
        now_s = self.world.clock()
        pods = self.world.cluster.pods(SPACE)
        self._seen = [one for one in self._seen if one[0] >= now_s - WINDOW_S]
        self._seen.append((now_s, {pod.uid: pod.counters.requests for pod in pods}))

    def look(self) -> None:
        """Let every autoscaler look, if it is time: each 15 s."""
        if int(self.world.clock.elapsed_s) % PERIOD_S == 0:
            for hpa in self.world.store.list(kinds.HORIZONTAL_POD_AUTOSCALER, SPACE):
                self._look(hpa)

    def _per_s(self, pod: SimPod) -> float:
        """Return the requests that a pod answers in a second, since the window or it began."""
        since_s, before = next((t, c[pod.uid]) for t, c in self._seen if pod.uid in c)
        spent_s = self.world.clock() - since_s
        return (pod.counters.requests - before) / spent_s if spent_s else 0.0

    def _look(self, hpa: dict[str, Any]) -> None:
        name, spec = hpa["metadata"]["name"], hpa["spec"]
        deployment = self.world.store.view(kinds.DEPLOYMENT).get((SPACE, name))
        if deployment is None:
            return  # it finds nothing to scale
        now = int(deployment["spec"]["replicas"])
        mine = [
            pod
            for pod in self.world.cluster.pods(SPACE)
            if pod.origin.deployment == name and pod.ends_at_s is None
        ]
        known = [
            pod for pod in mine if pod.in_endpoints and any(pod.uid in c for _, c in self._seen)
        ]
        if self.blind or not now or not known:
            self._tell(name, len(mine), now, None)
            return
        load_per_s = sum(map(self._per_s, known)) * (8 if name == self.wasteful else 1)
        target_per_s = float(spec["metrics"][0]["pods"]["target"]["averageValue"])
        ratio = load_per_s / len(known) / target_per_s
        counted = len(mine) if ratio > 1 else len(known)  # who is not ready yet counts as idle
        ratio_of_all = load_per_s / counted / target_per_s
        within = abs(1 - ratio_of_all) <= TOLERANCE or (ratio > 1) != (ratio_of_all > 1)
        wanted = now if within else math.ceil(ratio_of_all * counted)
        wanted = min(spec["maxReplicas"], max(spec["minReplicas"], wanted))
        if wanted != now:
            self.asked.setdefault(name, []).append(wanted)
            patch = {"spec": {"replicas": wanted}}
            self.world.store.patch(kinds.DEPLOYMENT, SPACE, name, patch)
        self._tell(name, len(mine), wanted, load_per_s / len(known))

    def _tell(self, name: str, there: int, wanted: int, average: float | None) -> None:
        active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
        found: list[dict[str, Any]] = []
        if average is None:
            words = {"reason": "FailedGetPodsMetric", "message": "no metrics returned"}
            active |= {"status": "False"} | words
        else:
            current = {"averageValue": f"{round(average * 1000)}m"}
            found = [{"type": "Pods", "pods": {"current": current}}]
        status = {"currentReplicas": there, "desiredReplicas": wanted, "conditions": [active]}
        self.world.store.patch(
            kinds.HORIZONTAL_POD_AUTOSCALER,
            SPACE,
            name,
            {"status": status | {"currentMetrics": found}},
            subresource="status",
        )


class Controller(Scaling):
    """The same on a stage, which it lets go on."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.world)
        self.stage = stage

    def run(self, seconds: int) -> None:
        """Let time go on second by second, and let every autoscaler look each 15 s."""
        for _ in range(seconds):
            self.sample()
            self.stage.run(1)
            self.look()

    def until(self, met: Callable[[], bool], within_s: int = 600) -> None:
        """Let time go on until something is so."""
        for _ in range(within_s):
            if met():
                return
            self.run(1)
        raise AssertionError(f"not within {within_s} s; it stands at: {self.stage.summary}")
