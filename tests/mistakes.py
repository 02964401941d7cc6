"""What users get wrong in a ModelDeployment: one table for pydantic and for the API server."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mistakes_counted import COUNTED, WHOLE_COUNTS, WHOLE_MEAN
from mistakes_valued import VALUED

Path = tuple[str | int, ...]

LEFT_OUT = object()
"""As a value: the field is removed."""

AUTOSCALING: Path = ("spec", "autoscaling")
POLICY: Path = ("spec", "rollout", "policy")
_POLICY = "spec.rollout.policy"
_EXACTLY_ONE = "exactly one of errorRate, latency, "


def minimal() -> dict[str, Any]:
    """Return the shortest valid ModelDeployment."""
    return {
        "apiVersion": "rampway.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {
            "model": {"uri": "file:///models/digits.skops"},
            "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
        },
    }


def full() -> dict[str, Any]:
    """Return a valid ModelDeployment that sets every field."""
    found = minimal()
    found["spec"] = {
        "model": {
            "uri": "pvc://models/digits/2.skops",
            "sha256": "9f" * 32,
            "auth": {"secretRef": {"name": "model-store"}},
            "trustedTypes": ["sklearn.pipeline.Pipeline", "numpy.dtype"],
        },
        "info": {"version": "2", "lineage": {"dataset": "digits@v7", "commit": "1a2b3c"}},
        "server": {
            "runtime": "Rampway",
            "image": "registry.example/model-server:1",
            "resources": {"requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"cpu": "1500m"}},
            "serviceAccountName": "digits",
            "podTemplatePatch": {"spec": {"nodeSelector": {"disk": "fast"}}},
        },
        "replicas": 3,
        "autoscaling": autoscaling(),
        "capacity": {"fallback": "Full"},
        "traffic": {
            "type": "OwnedRoute",
            "ownedRoute": {
                "parentRefs": [{"name": "eg", "namespace": "gateways", "sectionName": "http"}],
                "hostnames": ["digits.example", "*.models.example"],
                "pathPrefix": "/v2/models/digits",
            },
        },
        "rollout": {"policy": policy(), "progressDeadline": "20m"},
        "paused": True,
    }
    return found


def autoscaling() -> dict[str, Any]:
    """Return a valid autoscaling that sets every field."""
    return {
        "minReplicas": 2,
        "maxReplicas": 10,
        "metrics": [
            {"resource": "cpu", "utilization": "70%"},
            {"resource": "memory", "averageValue": "1500Mi"},
            {"metric": "requests_per_second", "averageValue": 20},
        ],
    }


def policy() -> dict[str, Any]:
    """Return a policy that sets every field."""
    return {
        "strategy": "Canary",
        "falseRollbackRate": "0.5%",
        "steps": [
            {"name": "five", "weight": "5%", "hold": "90s", "minRequests": 500},
            {"name": "five-again", "weight": "5%", "hold": "1h30m"},
            {"name": "all", "weight": "100%", "hold": "500ms"},
        ],
        "checks": [
            {
                "name": "errors",
                "errorRate": {"against": "Stable", "detect": "5x", "require": "HarmRuledOut"},
            },
            {"name": "slow", "latency": {"percentile": "99.9", "maxIncrease": "30%"}},
            {
                "name": "revenue",
                "threshold": {
                    "query": 'sum(rate(orders{revision="{{ candidate }}"}[1m]))',
                    "min": "-0.5",
                    "max": "3",
                    "sustained": "2m",
                },
            },
            WHOLE_COUNTS,
            WHOLE_MEAN,
        ],
        "onUnknown": {"after": "5m", "then": "Rollback"},
        "rollback": {"keepCandidate": "0s"},
    }


def shared(kind: str = "RolloutPolicy") -> dict[str, Any]:
    """Return a valid shared policy."""
    space = {"namespace": "team"} if kind == "RolloutPolicy" else {}
    return {
        "apiVersion": "rampway.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "careful", **space},
        "spec": policy(),
    }


def rollout() -> dict[str, Any]:
    """Return a valid ModelRollout, as the operator makes it."""
    spec = full()["spec"]
    return {
        "apiVersion": "rampway.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": "digits-0123456789-1"},
        "spec": {
            "deployment": "digits",
            "attempt": 1,
            "candidate": {
                "revision": "0123456789",
                "model": spec["model"],
                "server": spec["server"],
                "info": spec["info"],
            },
            "stable": {"revision": "9876543210"},
            "policy": policy(),
            "progressDeadline": "20m",
        },
    }


@dataclass(frozen=True)
class Mistake:
    """One mistake: where the full sample is changed, and what the refusal must say."""

    name: str
    at: Path
    value: Any
    words: tuple[str, ...]
    """Contained in the refusal: the field, and where a rule speaks, its sentence."""

    def made(self) -> dict[str, Any]:
        """Return the full sample with this mistake."""
        return changed(full(), self.at, self.value)


def changed(obj: Mapping[str, Any], at: Path, value: Any) -> dict[str, Any]:
    """Return a copy of an object with one field set, or left out."""
    copy: Any = deepcopy(dict(obj))
    inner = copy
    for part in at[:-1]:
        inner = inner[part]
    if value is LEFT_OUT:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return copy  # type: ignore[no-any-return]


def _step(name: str, weight: str) -> dict[str, str]:
    return {"name": name, "weight": weight}


STEPS = (*POLICY, "steps")
CHECKS = (*POLICY, "checks")
ERRORS = (*CHECKS, 0, "errorRate")
SLOW = (*CHECKS, 1, "latency")
REVENUE = (*CHECKS, 2, "threshold")
ROUTE = ("spec", "traffic", "ownedRoute")

MISTAKES = (
    Mistake("a name in capitals", ("metadata", "name"), "Digits", ("metadata.name",)),
    Mistake("a name with a dot", ("metadata", "name"), "a.b", ("metadata.name", "lower-case")),
    Mistake("a name too long", ("metadata", "name"), "d" * 53, ("metadata.name", "at most 52")),
    Mistake("nothing at all", ("spec",), LEFT_OUT, ("spec",)),
    Mistake("no model", ("spec", "model"), LEFT_OUT, ("spec.model",)),
    Mistake("no uri", ("spec", "model", "uri"), LEFT_OUT, ("spec.model.uri",)),
    Mistake(
        "an unknown scheme",
        ("spec", "model", "uri"),
        "ftp://models/digits",
        ("spec.model.uri", "expected file:///path, pvc://claim/path"),
    ),
    Mistake(
        "a claim without a path",
        ("spec", "model", "uri"),
        "pvc://models",
        ("spec.model.uri", "expected file:///path, pvc://claim/path"),
    ),
    Mistake("no key", ("spec", "model", "uri"), "s3://m", ("spec.model.uri", "s3://bucket/key")),
    Mistake(
        "a digest with its algorithm",
        ("spec", "model", "sha256"),
        "sha256:" + "9f" * 28,
        ("spec.model.sha256", "64 hexadecimal digits"),
    ),
    Mistake("a field of another kind", ("spec", "image"), "x", ("image",)),
    Mistake("a field misspelt", ("spec", "model", "sha_256"), "9f" * 32, ("spec.model.sha_256",)),
    Mistake(
        "a field in snake case",
        (*STEPS, 0, "min_requests"),
        3,
        (f"{_POLICY}.steps[0].min_requests",),
    ),
    Mistake(
        "a hook before a step that is not there",
        (*POLICY, "hooks"),
        [{"name": "smoke", "when": "BeforeStep", "step": "six", "http": {"url": "http://a/b"}}],
        (_POLICY, "hooks: expected the name of one of the steps as a hook's step"),
    ),
    Mistake(
        "too much lineage",
        ("spec", "info", "lineage"),
        {f"k{n}": "v" for n in range(33)},
        ("spec.info.lineage", "at most 32"),
    ),
    Mistake(
        "a whole story as lineage",
        ("spec", "info", "lineage", "story"),
        "x" * 254,
        ("spec.info.lineage.story", "253"),
    ),
    Mistake(
        "a key too long",
        ("spec", "info", "lineage", "k" * 254),
        "v",
        ("spec.info.lineage", "expected keys of at most 253 characters"),
    ),
    Mistake(
        "an unknown runtime", ("spec", "server", "runtime"), "Triton", ("spec.server.runtime",)
    ),
    Mistake(
        "an amount that is none",
        ("spec", "server", "resources", "limits", "memory"),
        "lots",
        ("spec.server.resources.limits.memory",),
    ),
    Mistake("fewer than no replicas", ("spec", "replicas"), -1, ("spec.replicas",)),
    Mistake("replicas as a string", ("spec", "replicas"), "3", ("spec.replicas", "integer")),
    Mistake(
        "more pods at least than at most",
        (*AUTOSCALING, "minReplicas"),
        11,
        ("spec.autoscaling", "minReplicas of at most maxReplicas"),
    ),
    Mistake("no most", (*AUTOSCALING, "maxReplicas"), LEFT_OUT, ("spec.autoscaling.maxReplicas",)),
    Mistake(
        "a resource and a metric at once",
        (*AUTOSCALING, "metrics", 0, "metric"),
        "queue",
        ("spec.autoscaling.metrics[0]", "exactly one of resource and metric"),
    ),
    Mistake(
        "two targets at once",
        (*AUTOSCALING, "metrics", 1, "utilization"),
        "70%",
        ("spec.autoscaling.metrics[1]", "exactly one of utilization and averageValue"),
    ),
    Mistake(
        "a target of nothing",
        (*AUTOSCALING, "metrics", 2, "averageValue"),
        "0.0m",
        ("spec.autoscaling.metrics[2].averageValue", "an amount above 0"),
    ),
    Mistake(
        "a target of nothing, as a number",
        (*AUTOSCALING, "metrics", 2, "averageValue"),
        0,
        ("spec.autoscaling.metrics[2].averageValue", "an amount above 0"),
    ),
    Mistake(
        "utilization of a metric",
        (*AUTOSCALING, "metrics", 2),
        {"metric": "requests_per_second", "utilization": "70%"},
        ("spec.autoscaling.metrics[2]", "utilization is about a resource"),
    ),
    Mistake(
        "a surge beside full size",
        ("spec", "capacity", "maxSurge"),
        2,
        ("spec.capacity", "no maxSurge", "as many pods again"),
    ),
    Mistake(
        "an autoscaler of scarce pods",
        ("spec", "capacity", "fallback"),
        "Proportional",
        ("spec", "capacity.fallback Full with autoscaling"),
    ),
    Mistake("paused as a string", ("spec", "paused"), "yes", ("spec.paused", "boolean")),
    Mistake(
        "another kind of traffic", ("spec", "traffic", "type"), "Envoy", ("spec.traffic.type",)
    ),
    Mistake(
        "a type without its field",
        ("spec", "traffic", "type"),
        "RouteRef",
        ("spec.traffic", "routeRef for RouteRef"),
    ),
    Mistake(
        "an autoscaler of pods that are shares",
        ("spec", "traffic"),
        {"type": "Replicas"},
        ("spec", "no autoscaling with traffic.type Replicas"),
    ),
    Mistake("no route", ROUTE, LEFT_OUT, ("spec.traffic", "ownedRoute for OwnedRoute")),
    Mistake("no Gateway", (*ROUTE, "parentRefs"), [], (".parentRefs", "at least 1 item")),
    Mistake(
        "a host with its port",
        (*ROUTE, "hostnames"),
        ["digits.example:8080"],
        ("spec.traffic.ownedRoute.hostnames[0]", "without port"),
    ),
    Mistake(
        "a host twice",
        (*ROUTE, "hostnames"),
        ["digits.example", "digits.example"],
        ("spec.traffic.ownedRoute.hostnames", "Duplicate value"),
    ),
    Mistake(
        "a path without a slash",
        (*ROUTE, "pathPrefix"),
        "models",
        ("spec.traffic.ownedRoute.pathPrefix", "expected a path from /"),
    ),
    Mistake(
        "a policy of its own and a shared one",
        ("spec", "rollout", "policyRef"),
        {"name": "careful"},
        ("spec.rollout", "expected policy or policyRef, never both"),
    ),
    Mistake(
        "a shared policy of another kind",
        ("spec", "rollout", "policyRef"),
        {"kind": "Policy", "name": "careful"},
        ("spec.rollout.policyRef.kind",),
    ),
    Mistake("no step", STEPS, [], (f"{_POLICY}.steps", "at least 1 item")),
    Mistake(
        "a weight without the sign",
        (*STEPS, 0, "weight"),
        "5",
        (f"{_POLICY}.steps[0].weight", "expected a whole percentage from 1% to 100%"),
    ),
    Mistake(
        "a weight as a number", (*STEPS, 0, "weight"), 5, (f"{_POLICY}.steps[0].weight", "string")
    ),
    Mistake(
        "a weight above all",
        (*STEPS, 2, "weight"),
        "101%",
        (f"{_POLICY}.steps[2].weight", "expected a whole percentage from 1% to 100%"),
    ),
    Mistake(
        "weights that fall",
        STEPS,
        [_step("half", "50%"), _step("five", "5%")],
        (f"{_POLICY}.steps", "expected weights that never fall"),
    ),
    Mistake(
        "two steps of one name",
        STEPS,
        [_step("five", "5%"), _step("five", "50%")],
        (f"{_POLICY}.steps", "expected a name of its own for each step"),
    ),
    Mistake(
        "a duration without a unit",
        (*STEPS, 0, "hold"),
        "90",
        (f"{_POLICY}.steps[0].hold", "expected a duration"),
    ),
    Mistake(
        "a step that holds for a fortnight",
        (*STEPS, 0, "hold"),
        "336h",
        (f"{_POLICY}.steps[0].hold", "at most 7 days (168h)"),
    ),
    Mistake(
        "two checks of one name",
        CHECKS,
        [{"name": "same", "errorRate": {}}, {"name": "same", "latency": {}}],
        (f"{_POLICY}.checks", "Duplicate value", "same"),
    ),
    Mistake(
        "a check of nothing", CHECKS, [{"name": "idle"}], (f"{_POLICY}.checks[0]", _EXACTLY_ONE)
    ),
    Mistake(
        "a check of two things",
        CHECKS,
        [{"name": "both", "errorRate": {}, "latency": {}}],
        (f"{_POLICY}.checks[0]", _EXACTLY_ONE),
    ),
    Mistake(
        "a harm that is an improvement",
        (*SLOW, "detect"),
        "0.5x",
        (f"{_POLICY}.checks[1].latency", "detect: expected a factor above 1x"),
    ),
    Mistake(
        "a harm that is tolerated",
        (*ERRORS, "maxIncrease"),
        "400%",
        (f"{_POLICY}.checks[0].errorRate", "detect: expected more than what maxIncrease tolerates"),
    ),
    Mistake(
        "a proof of no difference at all",
        ERRORS,
        {"require": "HarmRuledOut", "maxIncrease": "0%", "ignoreBelow": "0.0%"},
        (f"{_POLICY}.checks[0].errorRate", "require: HarmRuledOut proves no more than a tolerance"),
    ),
    Mistake(
        "a percentile above all",
        (*SLOW, "percentile"),
        "100",
        (f"{_POLICY}.checks[1].latency.percentile", "expected a percentile"),
    ),
    Mistake(
        "a threshold without limits",
        REVENUE,
        {"query": "vector(1)"},
        (f"{_POLICY}.checks[2].threshold", "expected min or max"),
    ),
    Mistake(
        "a threshold that nothing meets",
        (*REVENUE, "min"),
        "4",
        (f"{_POLICY}.checks[2].threshold", "expected min not above max"),
    ),
    Mistake(
        "a limit as a number",
        (*REVENUE, "max"),
        3,
        (f"{_POLICY}.checks[2].threshold.max", "string"),
    ),
    *(
        Mistake(name, (*CHECKS, 0), {"name": "x"} | check, (f"{_POLICY}.{at}", text))
        for name, check, at, text in (*COUNTED, *VALUED)
    ),
    Mistake(
        "a breach borne in two ways",
        (*REVENUE, "failures"),
        {"total": 3},
        (f"{_POLICY}.checks[2].threshold", "expected sustained or failures, not both"),
    ),
    Mistake(
        "failures in a row and in all",
        REVENUE,
        {"query": "x", "min": "1", "failures": {"total": 3, "consecutive": 2}},
        (f"{_POLICY}.checks[2].threshold.failures", "exactly one of consecutive and total"),
    ),
    Mistake("no query", (*REVENUE, "query"), "", (f"{_POLICY}.checks[2].threshold.query",)),
    Mistake(
        "no false rollback ever",
        (*POLICY, "falseRollbackRate"),
        "0%",
        (f"{_POLICY}.falseRollbackRate", "expected more than 0% and at most 50%"),
    ),
    Mistake(
        "a coin for a judge",
        (*POLICY, "falseRollbackRate"),
        "50.1%",
        (f"{_POLICY}.falseRollbackRate", "expected more than 0% and at most 50%"),
    ),
    Mistake(
        "an unknown reaction",
        (*POLICY, "onUnknown", "then"),
        "Ignore",
        (f"{_POLICY}.onUnknown.then",),
    ),
    Mistake(
        "a deadline in words",
        ("spec", "rollout", "progressDeadline"),
        "ten minutes",
        ("spec.rollout.progressDeadline", "expected a duration"),
    ),
)
