"""What must hold after every write of the operator, and at rest; each breach is a `Violation`."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from rampway.api import labels
from rampway.core.rollout.phases import TRANSITIONS
from rampway.core.traffic import podshare
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.kinds import Kind
from rampway.kube.slices import ready_behind
from rampway.routers import rules
from rampway.sim.api_faults import Call
from rampway.sim.world import SPACE, World

LAST_STEP = "most"
T = TypeVar("T")
ALL = 100
ENDED = frozenset({"Promoted", "RolledBack", "Superseded", "Aborted"})


class Violation(AssertionError):  # noqa: N818 - named like the thing it is
    """Something happened that the operator promises never to do."""


def require(holds: object, words: str) -> None:
    """Raise a `Violation` with these words unless something holds."""
    if not holds:
        raise Violation(words)


def is_ready(pod: Obj) -> bool:
    """Whether a pod's object says that it is ready and stays."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


@dataclass(slots=True)
class Watch:
    """Looks at the store after every write of the operator.

    Attributes:
        never: Hashes of revisions that are known to be bad early enough to be refused for sure.
        wiped: Somebody wiped a status: phases may begin anew.
        states: Every abstract state seen: where route, rollouts, pods and status stood together.
        writes: How many writes the operator has made.
    """

    world: World
    name: str
    never: set[str] = field(default_factory=set)
    wiped: bool = False
    states: set[tuple[Any, ...]] = field(default_factory=set)
    writes: int = 0
    _phases: dict[str, str] = field(default_factory=dict)
    _made: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _promoted: dict[str, str] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _given: int = 0
    _asked: int = 0
    _other: str = ""
    _tried: Split = STABLE_ONLY
    _read_ready: Mapping[str, int] = field(default_factory=dict)
    _read_replicas: int = 0
    _read_leaving: int = 0
    _read_reached: Mapping[str, int] = field(default_factory=dict)
    _read_at_s: float = 0.0
    _found: dict[str, Any] = field(default_factory=dict)
    _found_at: int = -1

    # What is, read without copying, and found out once a version of the store.

    def _once_a_version(self, what: str, find: Callable[[], T]) -> T:
        if self._found_at != self.world.store.revision:
            self._found_at = self.world.store.revision
            self._found.clear()
        if what not in self._found:
            self._found[what] = find()
        return cast("T", self._found[what])

    def objects(self, kind: Kind) -> dict[str, Obj]:
        """Return the stored objects of a kind by name."""
        return {name: o for (space, name), o in self.world.store.view(kind).items() if space}

    @property
    def deployment(self) -> Obj | None:
        """The ModelDeployment, None while there is none."""
        return self.world.store.view(kinds.MODEL_DEPLOYMENT).get((SPACE, self.name))

    @property
    def route(self) -> Obj | None:
        """The HTTPRoute, None while there is none."""
        return self.world.store.view(kinds.HTTP_ROUTE).get((SPACE, self.name))

    @property
    def by_pods(self) -> bool:
        """Whether there is no gateway: shares are numbers of pods."""
        traffic = (self.deployment or {"spec": {}})["spec"].get("traffic") or {}
        return traffic.get("type") == "Replicas"

    @property
    def live(self) -> Obj | None:
        """The Service that callers use without a gateway, None without it."""
        return self.world.store.view(kinds.SERVICE).get((SPACE, labels.live_name(self.name)))

    def backends(self) -> dict[str, int]:
        """Return the route's weights by Service, or what the pods behind a Service come to."""
        if self.by_pods:
            return self._shares()
        rules = (self.route or {"spec": {}})["spec"].get("rules") or [{}]
        return {ref["name"]: ref.get("weight", 1) for ref in rules[0].get("backendRefs") or []}

    def _shares(self) -> dict[str, int]:
        if self.live is None:
            return {}
        services, pods = self.objects(kinds.SERVICE), self.objects(kinds.DEPLOYMENT)
        mine = services.get(self.name) or {"spec": {"selector": {}}}
        stable = mine["spec"]["selector"].get(labels.REVISION, "")
        alone = self.live["spec"]["selector"].get(labels.REVISION, "")
        notes = self.live["metadata"].get("annotations") or {}
        candidate = labels.revision_name(self.name, alone) if alone else notes.get(labels.CANDIDATE)
        if alone == stable or not candidate:
            return {self.name: 1}
        asked = [
            int(pods[name]["spec"]["replicas"]) if name in pods else 0
            for name in (candidate, labels.revision_name(self.name, stable))
        ]
        share = ALL if alone else podshare.share_pct(*asked)
        return {self.name: ALL - share, candidate: share}

    @property
    def split(self) -> Split:
        """Who gets which requests, as the route is written."""
        if self.by_pods:
            others = [(name, pct) for name, pct in self.backends().items() if name != self.name]
            return Split(*others[0]).or_rest() if others else STABLE_ONLY
        return STABLE_ONLY if self.route is None else rules.read(self.route, 0, self.name)

    def mine(self, obj: Obj) -> bool:
        """Whether an object belongs to the ModelDeployment that is there now.

        Behind a user's route nothing has an owner: it is a matter of the label (B34).
        """
        if self.deployment is None:
            return False
        owners = obj["metadata"].get("ownerReferences") or []
        if not owners and labels.ON_DELETION in obj["metadata"]["labels"]:
            return bool(obj["metadata"]["labels"][labels.DEPLOYMENT] == self.name)
        return any(owner["uid"] == self.deployment["metadata"]["uid"] for owner in owners)

    def rollouts(self) -> list[Obj]:
        """Return the rollouts of this ModelDeployment, oldest first."""
        return self._once_a_version("rollouts", self._rollouts)

    def _rollouts(self) -> list[Obj]:
        found = [r for r in self.objects(kinds.MODEL_ROLLOUT).values() if self.mine(r)]
        return sorted(found, key=lambda r: int(r["spec"]["attempt"]))

    def promoted(self) -> dict[str, str]:
        """Return when each revision was promoted, by hash."""
        return self._once_a_version("promoted", self._find_promoted)

    def _find_promoted(self) -> dict[str, str]:
        found = {}
        for obj in self.objects(kinds.DEPLOYMENT).values():
            notes = obj["metadata"].get("annotations") or {}
            if labels.PROMOTED_AT in notes and self.mine(obj):
                found[obj["metadata"]["labels"][labels.REVISION]] = notes[labels.PROMOTED_AT]
        return found

    @property
    def stable(self) -> str:
        """Hash of the revision promoted last, empty without one."""
        found = self.promoted()
        return max(found, key=lambda digest: found[digest]) if found else ""

    def ready(self) -> Counter[str]:
        """Return how many pods are ready, by revision."""
        return self._once_a_version("ready", self._find_ready)

    def _find_ready(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for pod in self.world.store.view(kinds.POD).values():
            found[pod["metadata"]["labels"][labels.REVISION]] += is_ready(pod)
        return found

    @property
    def replicas(self) -> int:
        """Pods of a revision that carries everything: what the spec asks for, or stable has."""
        spec: dict[str, Any] = self.deployment["spec"] if self.deployment else {"replicas": 0}
        plan, stable = spec.get("autoscaling"), self.stable
        if not plan or not spec["replicas"]:
            return int(spec["replicas"])
        workload = self.objects(kinds.DEPLOYMENT).get(labels.revision_name(self.name, stable))
        now = int(workload["spec"]["replicas"]) if workload else 0
        return min(int(plan["maxReplicas"]), max(int(plan["minReplicas"]), now))

    @property
    def surge(self) -> int | None:
        """Pods that there may be beyond those; None: as many again."""
        capacity = (self.deployment or {"spec": {}})["spec"].get("capacity") or {}
        return None if capacity.get("fallback", "Full") == "Full" else capacity.get("maxSurge", 1)

    @property
    def leaving(self) -> int:
        """Pods of its revisions that are on their way out."""
        mine = {o["metadata"]["labels"][labels.REVISION] for o in self._workloads()}
        return sum(
            pod["metadata"]["labels"][labels.REVISION] in mine
            for pod in self.world.store.view(kinds.POD).values()
            if "deletionTimestamp" in pod["metadata"]
        )

    def reached(self, service: str) -> int:
        """Return how many ready pods the data plane knows behind a Service."""
        behind = ready_behind(self.objects(kinds.ENDPOINT_SLICE).values(), service)
        return sum(is_ready(pod) for name, pod in self.objects(kinds.POD).items() if name in behind)

    def _workloads(self) -> list[Obj]:
        return [o for o in self.objects(kinds.DEPLOYMENT).values() if self.mine(o)]

    def edited(self) -> None:
        """Take note that somebody else wrote the route: what the operator finds is no raise."""
        others = {name: pct for name, pct in self.backends().items() if name != self.name}
        self._given, self._other = sum(others.values()), next(iter(others), "")
        self._tried = self.split

    # After every call.

    def heard(self, call: Call) -> None:
        """Look at what the operator has just done."""
        if call.verb == "list" and call.kind is kinds.POD:
            self._read_ready, self._read_replicas = self.ready(), self.replicas
            self._read_leaving = self.leaving
            if self.surge is not None:
                services = self.objects(kinds.SERVICE)
                self._read_reached = {name: self.reached(name) for name in services}
            self._read_at_s = self.world.clock()
        if not call.writes:
            return
        self.writes += 1
        if call.verb == "create":
            self._once(call)
        if call.kind is kinds.HTTP_ROUTE or (self.by_pods and self._is_share(call)):
            self._weights()
        elif self.by_pods and call.kind is kinds.SERVICE:
            self.edited()  # another one is stable: who has the requests is as it was
        if call.kind is kinds.MODEL_ROLLOUT:
            self._attempts()
        elif call.kind is kinds.DEPLOYMENT:
            self._promotion()
            self._size()
            self._room()
        self.states.add(self._state())

    def _is_share(self, call: Call) -> bool:
        live = call.kind is kinds.SERVICE and call.name == labels.live_name(self.name)
        return live or call.kind is kinds.DEPLOYMENT

    def _once(self, call: Call) -> None:
        uid = self.deployment["metadata"]["uid"] if self.deployment else ""
        key = (call.kind.kind, call.name, uid)
        since = self._made.get(key)
        self._made[key] = self.world.store.revision
        gone = since is None or any(
            c.type == "DELETED" and (c.kind, c.obj["metadata"]["name"]) == (call.kind, call.name)
            for c in self.world.store.seen_since(since)
        )
        require(gone, f"{call.kind.kind} {call.name} was made twice")

    def _weights(self) -> None:
        backends = self.backends()
        others = [name for name in backends if name != self.name]
        if not backends and self.by_pods:
            return
        refs = (self.route or {"spec": {"rules": [{}]}})["spec"]["rules"][0].get("backendRefs", [])
        require(self.by_pods or len(refs) == len(backends), f"a Service is named twice: {refs}")
        require(self.name in backends, f"stable's Service is not in the route: {backends}")
        require(len(others) <= 1, f"more than one candidate in the route: {backends}")
        before, self._given = self._given, backends[others[0]] if others else 0
        self._trial()
        self._returned(before, self._other)
        self._other = others[0] if others else ""
        if not others:
            return
        require(sum(backends.values()) == 100, f"the weights do not sum to 100: {backends}")
        digest = others[0].removeprefix(f"{self.name}-")
        rollouts = self.objects(kinds.MODEL_ROLLOUT).values()
        known = {r["spec"][role]["revision"] for r in rollouts for role in ("candidate", "stable")}
        require(digest in known or self.wiped, f"no rollout's candidate in the route: {backends}")
        if self._given > before and not self._takes_over(digest):
            if self.by_pods and not before:
                self._nobody_else(digest)
            ready = max(self._read(digest), self.ready()[digest])
            wanted = min(self._read_replicas, self.replicas) or 1
            carried = 100 * ready // wanted
            if self.by_pods and self._given < ALL:  # a Service sends nothing to who is not ready
                carried = ALL if ready else 0
            require(self._given <= carried, f"{self._given} % to {ready} of {wanted} ready pods")

    def _nobody_else(self, candidate: str) -> None:
        """All pods are behind one Service: there are none but stable's and the candidate's."""
        ready = self.ready()
        there = {digest for digest, pods in self._read_ready.items() if pods and ready[digest]}
        strays = there - {candidate, self.stable}
        require(not strays, f"pods of {strays} are behind the Service too")

    def _returned(self, before: int, candidate: str) -> None:
        """Scarce pods of stable are not overrun: they get half as much again as theirs at most.

        But for what the candidate's pods do not carry: where none of them is reached, everything.
        """
        under_way = bool(self.rollouts()) and candidate.removeprefix(f"{self.name}-") != self.stable
        if self.surge is None or self._given >= before or self.wiped or not under_way:
            return
        wanted = min(self._read_replicas, self.replicas) or 1
        reached = min(self._read_reached.get(candidate, 0), self.reached(candidate))
        if self._given >= min(ALL, ALL * reached // wanted):
            return
        ready = max(self._read(self.stable), self.ready()[self.stable])
        left, carried = ALL - self._given, 150 * ready // wanted
        require(left - 1 <= carried, f"{left} % return to {ready} of {wanted} ready pods")

    def _trial(self) -> None:
        """Copies and chosen requests go to a rollout's candidate, within what its pods carry."""
        given, before = self.split, self._tried
        self._tried = given
        if given == before or not (given.mirror_pct or given.headers):
            return  # what it found and left, a foreign hand's included, is no raise
        digest = given.candidate.removeprefix(f"{self.name}-")
        # Also of one deleted meanwhile: a pass that has begun is finished, as with weights.
        rollouts = self.objects(kinds.MODEL_ROLLOUT).values()
        known = {r["spec"]["candidate"]["revision"] for r in rollouts}
        require(digest in known or self.wiped, f"no rollout's candidate is tried: {given}")
        require(not given.weight_pct, f"tried and given a share at a time: {given}")
        ready = max(self._read(digest), self.ready()[digest])
        wanted = min(self._read_replicas, self.replicas) or 1
        if given.mirror_pct > before.mirror_pct:
            fits = given.mirror_pct <= 100 * ready // wanted
            require(fits, f"{given.mirror_pct} % of copies to {ready} of {wanted} ready pods")
        if given.headers and not before.headers:
            require(ready >= wanted, f"chosen requests to {ready} of {wanted} ready pods")

    def _takes_over(self, digest: str) -> bool:
        """Whether it is the old revision of a watch, to which one ready pod is enough (B24)."""
        last = max(self.rollouts(), key=lambda r: r["spec"]["attempt"], default=None)
        return bool(last and last["spec"]["stable"]["revision"] == digest and self._given == ALL)

    def _read(self, digest: str) -> int:
        """Return the ready pods that this pass has read; something may have happened since."""
        fresh = self._read_at_s == self.world.clock()
        return self._read_ready.get(digest, 0) if fresh else 0

    def _attempts(self) -> None:
        rollouts = self.rollouts()
        attempts = Counter(r["spec"]["attempt"] for r in rollouts)
        require(max(attempts.values(), default=1) == 1, f"an attempt has two rollouts: {attempts}")
        phases = {r["metadata"]["name"]: (r.get("status") or {}).get("phase", "") for r in rollouts}
        under_way = [name for name, phase in phases.items() if phase not in ENDED]
        require(len(under_way) <= 1 or self.wiped, f"two rollouts at a time: {under_way}")
        for name, phase in phases.items():
            before = self._phases.get(name, "")
            legal = not before or phase == before or phase in TRANSITIONS[before]  # type: ignore[index]
            require(legal or self.wiped, f"{name}: {before} became {phase or 'nothing'}")
        self._phases = phases

    def _taken_back(self, digest: str) -> bool:
        """Whether it is the predecessor of one that failed before everything pointed to it."""
        last = max(self.rollouts(), key=lambda r: r["spec"]["attempt"], default=None)
        if last is None or (last.get("status") or {}).get("phase") in ENDED:
            return False
        return bool(last["spec"]["stable"]["revision"] == digest)

    def _promotion(self) -> None:
        found = self.promoted()
        for digest, at in found.items():
            if self._promoted.get(digest) == at:
                continue
            if self._taken_back(digest):
                continue
            alone = len(found) == 1
            require(alone or digest not in self.never, f"{digest} is bad and was promoted")
            last = [r for r in self.rollouts() if r["spec"]["candidate"]["revision"] == digest]
            phase = (last[-1].get("status") or {}).get("phase", "") if last else ""
            require(alone or last, f"{digest} was promoted without a rollout")
            require(phase != "RolledBack", f"{digest} was rolled back and then promoted")
        self._promoted = found

    def _size(self) -> None:
        if not self.stable:
            return
        workload = self.objects(kinds.DEPLOYMENT)[labels.revision_name(self.name, self.stable)]
        have, before = workload["spec"]["replicas"], self._sizes.get(self.stable, 0)
        need = min(self._read_replicas, self.replicas)
        if self.surge is not None:  # its pods follow its share, which is rounded down
            own = labels.revision_name(self.name, self.stable) in self.backends()
            share = self._given if own else ALL - self._given
            need = max(min(1, need), math.ceil((share - 1) * need / ALL))
        require(have >= min(before, need), f"stable was scaled from {before} to {have} of {need}")
        self._sizes[self.stable] = have

    def _room(self) -> None:
        """No revision grows beyond what all of them together may have, what leaves included."""
        before, self._asked = self._asked, sum(o["spec"]["replicas"] for o in self._workloads())
        if self.surge is None or self._asked <= before:
            return
        there = self._asked + min(self._read_leaving, self.leaving)
        most = max(self._read_replicas, self.replicas) + self.surge
        require(there <= most, f"{there} pods, those that leave included, of {most}")

    def _state(self) -> tuple[Any, ...]:
        status = (self.deployment or {}).get("status") or {}
        rollouts = tuple(
            ((s := r.get("status") or {}).get("phase", ""), (s.get("step") or {}).get("name", ""))
            for r in self.rollouts()
        )
        ready, stable = self.ready(), self.stable
        service = self.objects(kinds.SERVICE).get(self.name) or {"spec": {"selector": {}}}
        return (
            status.get("phase"),
            status.get("reason"),
            rollouts,
            tuple(self.backends().values()),
            (self.split.mirror_pct, bool(self.split.headers)),
            service["spec"]["selector"].get(labels.REVISION, "") == stable,
            ready[stable],
            sum(ready.values()),
            self.replicas,
            len(self.promoted()),
        )

    def _scaled(self) -> None:
        """Stable has an autoscaler, where that is asked for, and nobody without pods.

        Another revision that is only kept may lack one: it went before its own was made.
        """
        if not (self.deployment or {"spec": {}})["spec"].get("autoscaling"):
            return
        having = {o["metadata"]["name"] for o in self._workloads() if o["spec"]["replicas"]}
        needing = having & {labels.revision_name(self.name, self.stable)}
        found = set(self.objects(kinds.HORIZONTAL_POD_AUTOSCALER))
        told = f"autoscalers: {sorted(found)}, with pods: {sorted(having)}"
        require(needing <= found <= having, told)

    # At rest.

    def at_rest(self) -> None:
        """Require what must be so once everything has ended."""
        found = self.deployment
        require(found is not None, "the ModelDeployment is gone")
        status = (found or {}).get("status") or {}
        backends = self.backends()
        require(list(backends) == [self.name], f"at rest the route has the backends {backends}")
        service = self.objects(kinds.SERVICE)[self.name]["spec"]["selector"]
        require(
            service[labels.REVISION] == self.stable,
            f"the Service selects {service[labels.REVISION]}, stable is {self.stable}",
        )
        workload = self.objects(kinds.DEPLOYMENT)[labels.revision_name(self.name, self.stable)]
        have = workload["spec"]["replicas"]
        require(have == self.replicas, f"stable has {have} replicas, wanted are {self.replicas}")
        self._scaled()
        told = (status.get("stable") or {}).get("revision")
        require(told == self.stable, f"status names {told} as stable, it is {self.stable}")
        state = {c["type"]: c["status"] for c in status["conditions"]}
        promoted = self.world.desired(self.name) == self.stable
        require(
            state["Promoted"] == str(promoted),
            f"Promoted is {state['Promoted']}; that the spec's revision is stable is {promoted}",
        )
        require(state["Reconciling"] == "False", "at rest and still Reconciling")
