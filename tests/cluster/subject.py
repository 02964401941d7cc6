"""One ModelDeployment under test: apply it, look at it, wait for it, tell about it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from cluster.bench import GATEWAY, Bench, Obj, until
from cluster.recorder import Change

from rampway.api.labels import DEPLOYMENT, REVISION, TERM

QUICK: Mapping[str, Any] = {
    "steps": [{"name": "half", "weight": "50%", "hold": "2s"}],
    "checks": [],
    "rollback": {"keepCandidate": "30s"},
}
"""A policy without checks, for tests that are not about evidence."""

Value = TypeVar("Value")
SHARED_PROCESSES: Mapping[str, Any] = {
    "podTemplatePatch": {"spec": {"shareProcessNamespace": True}}
}
"""A server whose process is not the first of its container, so that a signal can end it."""


def evidence(*steps: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a policy that compares errors with stable; enough evidence within seconds."""
    errors = {"ignoreBelow": "2%", "detect": "10x"}
    return {
        "steps": list(steps),
        "checks": [{"name": "errors", "errorRate": errors}],
        "onUnknown": {"after": "5m", "then": "Pause"},
        "rollback": {"keepCandidate": "30s"},
        **changes,
    }


def step(weight_pct: int, hold: str = "3s", min_requests: int = 0) -> dict[str, Any]:
    """Return a step, named after its weight."""
    name, weight = f"w{weight_pct}", f"{weight_pct}%"
    return {"name": name, "weight": weight, "hold": hold, "minRequests": min_requests}


@dataclass(frozen=True, slots=True)
class Subject:
    """One ModelDeployment in a namespace of the test's own."""

    bench: Bench
    namespace: str
    name: str

    def sibling(self, name: str) -> "Subject":
        """Return another ModelDeployment in the same namespace."""
        return Subject(self.bench, self.namespace, f"{self.name}-{name}")

    def manifest(
        self,
        model: str,
        policy: Mapping[str, Any] = QUICK,
        replicas: int = 1,
        server: Mapping[str, Any] | None = None,
        deadline: str = "2m",
        **spec: Any,
    ) -> Obj:
        """Return the ModelDeployment with one of the bench's models."""
        known = self.bench.models[model]
        resources = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}
        route = {
            "parentRefs": [{"name": GATEWAY, "namespace": self.bench.home}],
            "pathPrefix": f"/v2/models/{self.name}",
        }
        return {
            "apiVersion": "rampway.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "model": {"uri": f"{self.bench.store}/{known.file}", "sha256": known.sha256},
                "info": {"version": model},
                "server": {"resources": resources, **(server or {})},
                "replicas": replicas,
                "traffic": {"type": "OwnedRoute", "ownedRoute": route},
                "rollout": {"policy": dict(policy), "progressDeadline": deadline},
                **spec,
            },
        }

    def apply(self, model: str, *args: Any, **changes: Any) -> int:
        """Apply it as `manifest` makes it; return the generation it then has."""
        return self.put(self.manifest(model, *args, **changes))

    def put(self, manifest: Obj) -> int:
        """Apply a manifest; return the generation it then has."""
        self.bench.kube.apply(manifest)
        return int(self.object()["metadata"]["generation"])

    def start(self, model: str, *args: Any, **changes: Any) -> str:
        """Apply the first revision and wait until it serves; return its hash."""
        self.apply(model, *args, **changes)
        self.promoted()
        return self.stable()

    # Looking

    def object(self) -> Obj:
        """Return the ModelDeployment."""
        return self.bench.kube.object("modeldeployments", self.namespace, self.name)

    def status(self) -> Obj:
        """Return its status; empty unless it is about the present spec."""
        found = self.object()
        status: Obj = found.get("status") or {}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return status if seen else {}

    def condition(self, kind: str) -> Obj:
        """Return a condition that is about the present spec, else an empty one."""
        return condition(self.status(), kind)

    def stable(self) -> str:
        """Return stable's hash, empty until the status is about the present spec."""
        return str((self.status().get("stable") or {}).get("revision", ""))

    def rollouts(self) -> list[Obj]:
        """Return its ModelRollouts, the first attempt first."""
        found = self.bench.kube.items("modelrollouts", self.namespace, self.label())
        return sorted(found, key=lambda one: int(one["spec"]["attempt"]))

    def last(self) -> Obj:
        """Return the status of its latest rollout; empty while there is none."""
        rollouts = self.rollouts()
        return (rollouts[-1].get("status") or {}) if rollouts else {}

    def label(self, revision: str = "") -> str:
        """Return the label selector of its objects."""
        return f"{DEPLOYMENT}={self.name}" + (f",{REVISION}={revision}" if revision else "")

    def pods(self, revision: str = "") -> list[Obj]:
        """Return its pods that are not on their way out."""
        found = self.bench.kube.items("pods", self.namespace, self.label(revision))
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def route(self) -> Obj:
        """Return its HTTPRoute."""
        return self.bench.kube.object("httproutes", self.namespace, self.name)

    # Waiting

    def until(self, seen: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
        """Wait until something is true; a failure tells all about this ModelDeployment."""
        return until(seen, what, self.tell, within_s)

    def promoted(self, within_s: float = 60.0) -> None:
        """Wait until the spec's revision is stable and everything is at rest."""
        self.until(
            lambda: self.condition("Promoted").get("status") == "True",
            f"{self.name} promoted", within_s,
        )  # fmt: skip

    def rolled_back(self, within_s: float = 60.0) -> Obj:
        """Wait until the present spec's rollout was rolled back, and its revision is named (B26).

        Returns the status.
        """

        def seen() -> Obj | None:
            status = self.status()
            bad = str((status.get("candidate") or {}).get("revision"))
            told = f"{self.name}-{bad} was rolled back" in status.get("message", "")
            return status if status.get("phase") == "RolledBack" and told else None

        found: Obj = self.until(seen, f"{self.name} rolled back, with its name", within_s)
        return found

    def weighs(self, weight_pct: int, within_s: float = 60.0) -> None:
        """Wait until the candidate has this share of the requests in the route."""
        self.until(
            lambda: share(self.route()) == weight_pct, f"a weight of {weight_pct} %", within_s
        )

    def in_force(self, weight_pct: int, within_s: float = 60.0) -> None:
        """Wait until a step with this weight runs, accepted by the Gateway."""

        def seen() -> bool:
            last = self.last()
            running = bool((last.get("step") or {}).get("inForceSince"))
            return running and last.get("weightPct") == weight_pct

        self.until(seen, f"a step of {weight_pct} % in force", within_s)

    # Doing

    def signal(self, pod: Obj, number: int) -> None:
        """Send a signal to the model server in a pod with shared processes."""
        script = (
            "import os,pathlib\n"
            "for p in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            "    if b'rampway_server' in p.read_bytes() and int(p.parts[2]) != os.getpid():\n"
            f"        os.kill(int(p.parts[2]), {number})\n"
        )
        self.execute(pod, "python3", "-c", script)

    def execute(self, pod: Obj, *words: str) -> str:
        """Run a command in a pod's server container."""
        name = pod["metadata"]["name"]
        return self.bench.kube("exec", name, "-n", self.namespace, "-c", "server", "--", *words)

    def logs(self, pod: Obj) -> list[Obj]:
        """Return the records that a pod's server logged."""
        said = self.bench.kube("logs", pod["metadata"]["name"], "-n", self.namespace)
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    # Telling

    def tell(self) -> str:
        """Return all that helps to understand a failure: statuses, pods, the operator's log."""
        kube, space = self.bench.kube, self.namespace
        parts = [f"ModelDeployment {space}/{self.name}:"]
        for one in kube.items("modeldeployments,modelrollouts", space):
            status = {k: v for k, v in (one.get("status") or {}).items() if k != "evidence"}
            parts.append(f"{one['kind']} {one['metadata']['name']}: {json.dumps(status)}")
        parts.append(kube("get", "pods,httproutes,deployments", "-n", space, "-o", "wide"))
        parts.append(kube("get", "events", "-n", space, "--sort-by=.lastTimestamp")[-3000:])
        parts.append(self.bench.operator_log(space))
        return "\n".join(parts)


def condition(status: Mapping[str, Any], kind: str) -> Obj:
    """Return a condition of a status, empty if it has none of that type."""
    found: Sequence[Obj] = status.get("conditions") or []
    return next((one for one in found if one["type"] == kind), {})


def backends(route: Mapping[str, Any]) -> dict[str, int]:
    """Return the weights of a route's one rule, by Service."""
    (rule,) = route["spec"]["rules"]
    return {ref["name"]: int(ref["weight"]) for ref in rule["backendRefs"]}


def share(route: Mapping[str, Any]) -> int:
    """Return the candidate's percentage: what does not go to the Service of the same name."""
    weights = backends(route)
    stable = weights.pop(route["metadata"]["name"])
    given = sum(weights.values())
    return round(100 * given / (given + stable))


def turns(found: Iterable[Value]) -> list[Value]:
    """Return values without repetitions in a row."""
    return [value for value, _ in groupby(found)]


def identities(pods: Sequence[Mapping[str, Any]]) -> set[tuple[str, int]]:
    """Return uid and restart count of pods: equal only if nothing was restarted or replaced."""
    return {
        (
            pod["metadata"]["uid"],
            sum(c["restartCount"] for c in pod["status"].get("containerStatuses", [])),
        )
        for pod in pods
    }


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def terms(changes: Iterable[Change]) -> list[int]:
    """Return the leaders' terms that an object was stamped with, version by version (B31)."""
    notes = [change.object["metadata"].get("annotations") or {} for change in changes]
    return turns(int(note.get(TERM, 0)) for note in notes)
