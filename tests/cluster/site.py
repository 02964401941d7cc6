"""An HTTPRoute of the user's own, of three rules, one of which a ModelDeployment splits."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from subprocess import CompletedProcess
from threading import Event, Thread
from typing import Any

from cluster.bench import GATEWAY, Obj
from cluster.recorder import Change
from cluster.subject import Subject, turns

from rampway.api.labels import TERM

ROUTE = "site"
RULE = "predict"
PLACE = 1
"""Position of the rule among the user's."""
REF = {"type": "RouteRef", "routeRef": {"name": ROUTE, "rule": RULE}}
_KEPT_BY_THE_SERVER = ("resourceVersion", "generation", "managedFields")


@dataclass(frozen=True, slots=True)
class Site:
    """The user's route, and what its other rules send requests to."""

    subject: Subject

    def apply(self) -> None:
        """Make the other rules' Services, then the route, as its user does."""
        for name in ("tenant-a", "web"):
            meta = {"name": name, "namespace": self.subject.namespace}
            spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
            self.subject.bench.kube.apply(
                {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
            )
        done = self.sync()
        assert not done.returncode, done.stderr

    def manifest(self) -> Obj:
        """Return the route as its user wrote it."""
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": ROUTE,
                "namespace": self.subject.namespace,
                "labels": {"team": "shop"},
                "annotations": {"shop.example/owner": "web team"},
            },
            "spec": {
                "parentRefs": [{"name": GATEWAY, "namespace": self.subject.bench.home}],
                "rules": [
                    {
                        "name": "tenants",
                        "matches": [{"headers": [{"name": "tenant", "value": "a"}]}],
                        "filters": [_header("RequestHeaderModifier", "tenant-seen", "a")],
                        "backendRefs": [{"name": "tenant-a", "port": 80}],
                    },
                    _predict(self.subject.name),
                    {
                        "name": "web",
                        "matches": [_match(f"/{self.subject.namespace}")],
                        "backendRefs": [
                            {"name": "web", "port": 80, "weight": 3},
                            {"name": "tenant-a", "port": 80, "weight": 7},
                        ],
                    },
                ],
            },
        }

    def route(self) -> Obj:
        """Return the route as it is."""
        space = self.subject.namespace
        return self.subject.bench.kube.object("httproutes", space, ROUTE)

    def sync(self, *words: str) -> "CompletedProcess[str]":
        """Apply the user's manifest on the server, as the field manager `gitops`."""
        apply = ("kubectl", "apply", "--server-side", "--field-manager=gitops", "-f", "-")
        return self.subject.bench.kube.run(*apply, *words, given=json.dumps(self.manifest()))

    @contextmanager
    def syncing(self, *words: str, every_s: float = 1.0) -> "Iterator[list[CompletedProcess[str]]]":
        """Apply the user's manifest in a loop while the block runs; give what became of it."""
        done: list[CompletedProcess[str]] = []
        over = Event()

        def loop() -> None:
            while not over.wait(every_s):
                done.append(self.sync(*words))

        thread = Thread(target=loop)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join()


def untouched(route: Mapping[str, Any]) -> Obj:
    """Return all of a route that must stay byte for byte in a rollout (B14).

    Left out are the named rule's backends, a mirror of its requests, the rule that is added for
    requests with certain headers, and what the API server and our own stamp keep in the metadata.
    """
    meta = {k: v for k, v in route["metadata"].items() if k not in _KEPT_BY_THE_SERVER}
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != TERM}
    rules = deepcopy(route["spec"]["rules"])
    mine = next(rule for rule in rules if rule.get("name") == RULE)
    del mine["backendRefs"]
    mine["filters"] = [f for f in mine["filters"] if f["type"] != "RequestMirror"]
    theirs = [rule for rule in rules if not rule["name"].startswith("rampway-")]
    spec = route["spec"] | {"rules": theirs}
    return {"metadata": meta | {"annotations": notes}, "spec": spec}


def shares(changes: Iterable[Change], stable: str) -> list[int]:
    """Return the candidate's percentages in the named rule, version by version."""
    return turns(_share(c.object, stable) for c in changes if not c.gone)


def _share(route: Obj, stable: str) -> int:
    rule = next(rule for rule in route["spec"]["rules"] if rule.get("name") == RULE)
    weights = {ref["name"]: int(ref["weight"]) for ref in rule["backendRefs"]}
    return round(100 * (1 - weights.get(stable, 0) / sum(weights.values())))


def _predict(model: str) -> Obj:
    """Return the rule that is split."""
    return {
        "name": RULE,
        "matches": [
            _match(f"/v2/models/{model}"),
            _match("/beta") | {"headers": [{"name": "x-beta", "value": "1"}]},
        ],
        "filters": [
            _header("RequestHeaderModifier", "x-shop", "1"),
            _header("ResponseHeaderModifier", "x-served-by", "shop"),
        ],
        "timeouts": {"request": "9s"},
        "backendRefs": [{"name": model, "port": 80}],
    }


def _match(path: str) -> Obj:
    return {"path": {"type": "PathPrefix", "value": path}}


def _header(kind: str, name: str, value: str) -> Obj:
    field = kind[0].lower() + kind[1:]
    return {"type": kind, field: {"set": [{"name": name, "value": value}]}}
