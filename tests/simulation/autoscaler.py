"""A HorizontalPodAutoscaler on the ModelDeployment's `/scale`, as Kubernetes computes it.

The formula is that of kube-controller-manager for pods whose metrics are all there: the average
over the ready pods that the selector finds, against the target; within the tolerance nothing
changes; else the ratio times the number of those pods, rounded up.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from simulation.stage import Stage

from rampway.api.definitions import DEFINITIONS
from rampway.kube import kinds
from rampway.sim.pods import SimPod
from rampway.sim.world import SPACE

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
