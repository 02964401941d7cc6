"""Scheduler, kubelets and the node controller: a pod's life from binding to its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.cluster_scene import Scene
from rampway.sim.cluster_status import condition, pod_status, wire
from rampway.sim.pods import Counters, Ending, SimPod, Stage

_MAX_BACKOFF_S = 300.0
_ENDED_S = 1.0
"""So long a container shows as terminated before the kubelet looks again."""
_Turn = Callable[["Kubelets", SimPod, Behaviour, float], None]


@dataclass(slots=True)
class Kubelets:
    """The kubelets of all nodes, with the scheduler and the node controller."""

    scene: Scene

    def start(self) -> None:
        """Register the nodes."""
        ready = condition("Ready", "True", self.scene.clock.now_s, ("KubeletReady", ""))
        for name in self.scene.surroundings.nodes:
            self.scene.store.create(
                kinds.NODE, {"metadata": {"name": name}, "status": {"conditions": [ready]}}
            )
        self.scene.follow()

    def step(self) -> None:
        """Let every pod live on until now, and write what changed."""
        self._watch_nodes()
        now_s = self.scene.clock.now_s
        for pod in sorted(self.scene.pods.values(), key=lambda p: p.name):
            if not pod.severed:
                self._live(pod, now_s)
            if pod.dirty:
                self._write(pod, now_s)
            if pod.ends_at_s is not None and now_s >= pod.ends_at_s:
                self.scene.delete_pod(pod, grace_s=0.0)

    def end(self, pod: SimPod, reason: str, exit_code: int, message: str = "") -> None:
        """Let a pod's container end now."""
        self.scene.blows += 1
        now_s = self.scene.clock.now_s
        pod.last = Ending(reason, exit_code, pod.started_s, now_s, pod.container_id, message)
        pod.ready, pod.stage, pod.dirty = False, Stage.ENDED, True
        pod.until_s = now_s + _ENDED_S

    def tell(self, pod: SimPod) -> None:
        """Write a pod's status now."""
        self._write(pod, self.scene.clock.now_s)

    def _live(self, pod: SimPod, now_s: float) -> None:
        """Take the one turn that is due, if any; a turn that takes no time is followed by more."""
        how = self.scene.how(pod)
        for _ in self._TURNS:
            stage, ready = pod.stage, pod.ready
            if pod.ends_at_s is None or stage is Stage.RUNNING:
                self._TURNS[stage](self, pod, how, now_s)
            if pod.stage is stage and pod.ready == ready:
                return
            pod.dirty = True

    def _schedule(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        load = dict.fromkeys(self.scene.open_nodes(), 0)
        for other in self.scene.pods.values():
            if other.node in load:
                load[other.node] += 1
        if not load or self.scene.clock.elapsed_s < how.unschedulable_until_s:
            words = how.unschedulable_words if load else "0 nodes are available."
            pod.dirty = pod.dirty or pod.words[1] != words
            pod.words = ("Unschedulable", words)
            return
        pod.node = min(load, key=lambda name: (load[name], name))
        pod.stage, pod.scheduled_s = Stage.CREATING, now_s
        pod.until_s = now_s + self.scene.surroundings.image_pull_s
        self.scene.write_pod(pod, {"spec": {"nodeName": pod.node}})

    def _create(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        if now_s < pod.until_s and pod.stage is Stage.CREATING:
            return
        words = ("", "")
        if how.image_pull_error:
            words = ("ErrImagePull", how.image_pull_error)
            if pod.stage is Stage.STUCK and now_s >= pod.until_s + 2:
                back = f'Back-off pulling image "{pod.origin.image}": '
                words = ("ImagePullBackOff", f"{back}ErrImagePull: {how.image_pull_error}")
        elif how.missing_secret:
            words = ("CreateContainerConfigError", f'secret "{how.missing_secret}" not found')
        if not words[0]:
            self._begin(pod, how, now_s)
            return
        pod.dirty = pod.dirty or pod.words != words
        pod.stage, pod.words = Stage.STUCK, words

    def _begin(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        pod.stage, pod.started_s, pod.until_s = Stage.RUNNING, now_s, now_s + how.startup_s
        pod.counters, pod.loaded_sha256 = Counters(), ""
        offset_s = self.scene.rng.random() * self.scene.surroundings.scrape_interval_s
        pod.next_scrape_s = now_s + offset_s

    def _run(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        if self.scene.clock.elapsed_s < how.unready_until_s:
            pod.ready = False
        elif not pod.ready:
            if now_s >= pod.until_s:
                self._load(pod, how, now_s)
        elif pod.counters.requests >= how.oom_after_requests:
            self.end(pod, "OOMKilled", 137)
        elif (
            pod.counters.requests >= how.crash_after_requests
            or now_s - pod.ready_s >= how.crash_every_s
        ):
            self.end(pod, "Error", 139)

    def _load(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        got = how.sha256 or pod.origin.would_load_sha256
        pinned = (self.scene.pin(pod), "the digest this revision first loaded")
        for wanted, source in ((pod.origin.demanded_sha256, "spec.model.sha256"), pinned):
            if wanted and wanted != got and not how.fails_to_load:
                words = f"wrong digest: got {got}, expected {wanted} ({source})"
                self.end(pod, "Error", 1, words)
                return
        if how.fails_to_load:
            self.end(pod, "Error", 1, how.fails_to_load)
        elif not how.never_ready:
            pod.loaded_sha256, pod.ready, pod.ready_s = got, True, now_s

    def _restart(self, pod: SimPod, how: Behaviour, now_s: float) -> None:
        if now_s < pod.until_s:
            return
        if pod.stage is Stage.ENDED and pod.restarts:
            doubled_s = self.scene.surroundings.backoff_s * 2 ** min(pod.restarts - 1, 10)
            backoff_s = min(doubled_s, _MAX_BACKOFF_S)
            pod.stage, pod.until_s = Stage.BACKING_OFF, now_s + backoff_s
            whose = f"container=server pod={pod.name}_{pod.namespace}({pod.uid})"
            words = f"back-off {backoff_s:g}s restarting failed {whose}"
            pod.words = ("CrashLoopBackOff", words)
            return
        pod.restarts += 1
        self._begin(pod, how, now_s)

    _TURNS: ClassVar[Mapping[Stage, _Turn]] = {
        Stage.UNSCHEDULED: _schedule,
        Stage.CREATING: _create,
        Stage.STUCK: _create,
        Stage.RUNNING: _run,
        Stage.ENDED: _restart,
        Stage.BACKING_OFF: _restart,
    }

    def _write(self, pod: SimPod, now_s: float) -> None:
        pod.dirty = False
        status = pod_status(pod, now_s)
        if status != pod.written:
            pod.written = status
            self.scene.write_pod(pod, {"status": status}, "status")

    def _watch_nodes(self) -> None:
        now_s, around = self.scene.clock.now_s, self.scene.surroundings
        for node, since_s in self.scene.lost_s.items():
            silent_s = now_s - since_s
            if silent_s < around.node_grace_s:
                continue
            for pod in [p for p in self.scene.pods.values() if p.node == node]:
                if not pod.declared_lost:
                    pod.declared_lost = pod.dirty = True
                if pod.ends_at_s is None and silent_s >= around.node_grace_s + around.toleration_s:
                    self._expel(pod)
            self._declare_lost(node, now_s)

    def _expel(self, pod: SimPod) -> None:
        """Delete a lost node's pod: it stays, as no kubelet confirms that it ended."""
        words = "Taint manager: deleting due to NoExecute taint"
        pod.disruption, pod.dirty = ("DeletionByTaintManager", words), True
        self.scene.delete_pod(pod)

    def _declare_lost(self, node: str, now_s: float) -> None:
        found: Any = self.scene.objects[kinds.NODE].get(("", node))
        if found is None or found["status"]["conditions"][0]["status"] != "True":
            return
        words = ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        lost = condition("Ready", "Unknown", now_s, words) | {"lastHeartbeatTime": wire(now_s)}
        self.scene.store.patch(
            kinds.NODE, None, node, {"status": {"conditions": [lost]}}, subresource="status"
        )
        self.scene.follow()
