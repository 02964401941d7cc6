"""What the cluster tests stand on: one installation for all, and ways to ask and to wait."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from signal import SIGKILL
from string import Template
from typing import Any

from cluster import asking

from demo import install
from demo.cluster import LOCAL, ROOT, Kubectl, images, is_current

SYSTEM = "rampway-system"
WORK = ROOT / "build" / "cluster-tests"
GATEWAY = "eg"
POLL_S = 0.3
COMMAND_S = 300.0
NOISE = 2.5
"""How much longer than on an idle machine anything may take: tests assert order and end state."""
REPLICAS = 2
LINES, LINE_LENGTH = 30, 500
MADE_BY = ("rampway.dev/made-by", "cluster-tests")
OPERATOR = ("deployment/rampway-operator", "-n", SYSTEM)

Obj = dict[str, Any]

SHARED = Template("""\
apiVersion: v1
kind: Namespace
metadata: {name: ${NAMESPACE}, labels: {${LABEL}: ${MADE_BY}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${GATEWAY}, namespace: ${NAMESPACE}}
spec:
  gatewayClassName: ${GATEWAY_CLASS}
  listeners:
    - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}
""")


class CommandFailed(AssertionError):  # noqa: N818 - named after what it is
    """A command that a test needs failed; the message holds its own words."""


class TooLate(AssertionError):  # noqa: N818 - named after what it is
    """What a test waited for did not come; the message says how things stood."""


@dataclass(frozen=True, slots=True)
class Kube:
    """kubectl, every call bounded in time."""

    env: Mapping[str, str]

    def __call__(self, *words: str, given: str = "") -> str:
        """Run kubectl with `given` as its input; return what it printed.

        Raises:
            CommandFailed: it failed.
        """
        done = self.run("kubectl", *words, given=given)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CommandFailed(f"`kubectl {shlex.join(words)}` said {done.returncode}: {said}")
        return done.stdout

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run any program in the cluster's environment."""
        return subprocess.run(
            words, env=self.env, cwd=ROOT, input=given, capture_output=True, text=True,
            check=False, timeout=COMMAND_S,
        )  # fmt: skip

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a program in the background; its output is read by `communicate`."""
        return subprocess.Popen(
            words, env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """Return what `kubectl … -o json` printed."""
        return json.loads(self(*words, "-o", "json"))

    def object(self, plural: str, namespace: str, name: str) -> Obj:
        """Return one object, without kubectl.

        Raises:
            CommandFailed: it is not there, or nobody answered.
        """
        try:
            return asking.read(self._config, asking.KINDS[plural], namespace, name, COMMAND_S)
        except asking.NotRead as error:
            raise CommandFailed(str(error)) from error

    def items(self, plurals: str, namespace: str, label: str = "") -> list[Obj]:
        """Return all objects of some kinds in a namespace, without kubectl.

        Raises:
            CommandFailed: nobody answered.
        """
        wanted = [asking.KINDS[plural] for plural in plurals.split(",")]
        ask = partial(asking.read_all, self._config, namespace=namespace, label=label)
        try:
            return [one for kind in wanted for one in ask(kind, timeout_s=COMMAND_S)]
        except asking.NotRead as error:
            raise CommandFailed(str(error)) from error

    @property
    def _config(self) -> str:
        return self.env.get("KUBECONFIG") or str(Path.home() / ".kube/config")

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        wrapped = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "-f", "-", given=json.dumps(wrapped))

    def make_namespace(self, name: str) -> None:
        """Make a namespace in which pods must be restricted, and none goes without processor.

        A pod that requests none has the least share there is: beside anything else that computes
        it stands still, and the tests would measure that.
        """
        labels = {"pod-security.kubernetes.io/enforce": "restricted", **dict([MADE_BY])}
        meta = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        limits = [{"type": "Container", "defaultRequest": {"cpu": "20m"}}]
        kept = {"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": limits}}
        self.apply(kept | {"metadata": {"name": "share", "namespace": name}})

    def drop_namespace(self, name: str) -> None:
        """Begin to delete a namespace; nobody waits for it."""
        self("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def drop_leftovers(self) -> None:
        """Begin to delete the namespaces of runs that were killed before they did so."""
        self("delete", "namespace", "-l", "=".join(MADE_BY), "--wait=false")


@dataclass(frozen=True, slots=True)
class Model:
    """A model's file in the store."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Bench:
    """One installation of everything, shared by all tests of a session.

    Attributes:
        home: Namespace of the Gateway and the model store.
        images: Names of the project's images, by target.
        models: Files of the store, by name: v1 to v4 of the demo, and small ones.
        holdout: Digits to ask for.
    """

    kube: Kube
    home: str
    images: Mapping[str, str]
    models: Mapping[str, Model]
    holdout: Path

    def to_json(self) -> str:
        """Return what another process needs to use the same installation."""
        models = {name: [model.file, model.sha256] for name, model in self.models.items()}
        return json.dumps([self.home, dict(self.images), models, str(self.holdout)])

    @classmethod
    def from_json(cls, text: str) -> "Bench":
        """Return the bench that `to_json` described."""
        home, names, models, holdout = json.loads(text)
        known = {name: Model(*model) for name, model in models.items()}
        return cls(Kube(environment()), home, names, known, Path(holdout))

    @property
    def replicas(self) -> int:
        """How many operators there are as a rule: one leads, the other is warm."""
        return REPLICAS

    @property
    def hooks(self) -> str:
        """Where rollouts' hooks may call; who wants to hear of them serves it."""
        return _hooks(self.home)

    @property
    def store(self) -> str:
        """Address of the model store."""
        return f"http://model-store.{self.home}.svc"

    def way_in(self) -> tuple[list[str], str]:
        """Return what to put before a command that asks the Gateway, and the Gateway's URL."""
        path = "jsonpath={.status.addresses[0].value}"
        address = self.kube("get", "gateway", GATEWAY, "-n", self.home, "-o", path)
        return ([] if is_current() else [*LOCAL, "enter"]), f"http://{address}:80"

    def await_operator(self) -> None:
        """Wait until the operator and Prometheus are there."""
        install.await_operator(Kubectl(self.kube.env))

    def install_operator(self) -> None:
        """Install CRDs, operator and Prometheus, with short intervals."""
        install.install_operator(Kubectl(self.kube.env), self.images, self.hooks)
        self.await_operator()

    def scale(self, name: str, replicas: int) -> None:
        """Scale the operator or Prometheus, and wait until it is so."""
        self.kube("scale", f"deployment/{name}", "-n", SYSTEM, f"--replicas={replicas}")
        label = f"app.kubernetes.io/name={name}"
        if replicas:
            self.await_operator()
            return
        until(
            lambda: not self.kube.items("pods", SYSTEM, label),
            f"no pod of {name} left", self.operator_log,
        )  # fmt: skip

    def operator_pods(self) -> list[Obj]:
        """Return the operator's pods that are not on their way out."""
        pods = self.kube.items("pods", SYSTEM, "app.kubernetes.io/name=rampway-operator")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def lease(self) -> Obj:
        """Return the spec of the Lease by which one of them leads (B31)."""
        found: Obj = self.kube.object("leases", SYSTEM, "rampway-operator")["spec"]
        return found

    def leader(self) -> Obj | None:
        """Return the pod that the Lease names, None if it names none that is there."""
        holder = str(self.lease().get("holderIdentity") or "").rpartition("-")[0]
        pods = self.operator_pods()
        return next((pod for pod in pods if pod["metadata"]["name"] == holder), None)

    def await_leader(self, other_than: str = "", within_s: float = 60.0) -> Obj:
        """Wait until a pod leads, another one than that of this name; return it."""

        def seen() -> Obj | None:
            pod = self.leader()
            return pod if pod and pod["metadata"]["name"] != other_than else None

        found: Obj = until(seen, f"a leader other than {other_than!r}", self.operator_log, within_s)
        return found

    def signal_operator(self, pod: Obj, number: int) -> bool:
        """Send a signal to all processes of an operator's container; whether they were found."""
        container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        mine = [
            int(at.parent.name) for at in Path("/proc").glob("[0-9]*/cgroup") if _in(at, container)
        ]
        for pid in mine:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(mine)

    def kill_operator(self) -> Obj:
        """End the leader without a word: SIGKILL where its process can be reached from here."""
        pod = self.await_leader()
        if not self.signal_operator(pod, SIGKILL):  # a cluster elsewhere
            self.replace_operator(pod)
        return pod

    def replace_operator(self, pod: Obj | None = None) -> None:
        """Delete a pod of the operator, the leader's, without grace; another one is made."""
        name = (pod or self.await_leader())["metadata"]["name"]
        self.kube("delete", "pod", name, "-n", SYSTEM, "--grace-period=0", "--force")

    def operator_log(self, about: str = "") -> str:
        """Return the operators' last lines about a namespace, or of all."""
        label = "app.kubernetes.io/name=rampway-operator"
        words = ("logs", "-n", SYSTEM, "-l", label, "--prefix", "--tail=1000")
        try:
            said = self.kube(*words).splitlines()
        except CommandFailed as failure:
            return f"operator: {failure}"
        mine = [line[:LINE_LENGTH] for line in said if about in line]
        return "\n".join(["operator:", *mine[-LINES:]])


def _in(cgroup: Path, container: str) -> bool:
    """Whether a process of this machine belongs to a container, by its cgroup file."""
    try:
        return container in cgroup.read_text(encoding="ascii")
    except OSError:
        return False


def until(
    seen: Callable[[], Any], what: str, diagnosis: Callable[[], str], within_s: float = 60.0
) -> Any:
    """Wait until something is true and return it; on a busy machine some times `within_s`.

    Raises:
        TooLate: it never was; the message holds the diagnosis.
    """
    began_s, limit_s = time.monotonic(), NOISE * within_s
    while not (found := seen()):
        waited_s = time.monotonic() - began_s
        if waited_s > limit_s:
            raise TooLate(f"not within {limit_s:.0f} s: {what}\n{diagnosis()}")
        time.sleep(POLL_S)
    return found


@contextmanager
def forwarded(kube: Kube, namespace: str, target: str, port: int) -> Iterator[str]:
    """Give the URL of a port on loopback that leads to a pod or Service while the block runs."""
    words = ["kubectl", "port-forward", "-n", namespace, target, f":{port}", "--address=127.0.0.1"]
    with subprocess.Popen(words, env=kube.env, stdout=subprocess.PIPE, text=True) as forward:
        try:
            said = forward.stdout.readline() if forward.stdout else ""
            found = re.match(r"Forwarding from (127\.0\.0\.1:\d+) -> ", said)
            assert found, f"kubectl port-forward said {said!r}, expected an address"
            yield f"http://{found[1]}"
        finally:
            forward.terminate()


def environment() -> dict[str, str]:
    """Return the environment with `kubectl rampway` on its PATH."""
    env = dict(os.environ)
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return env


def set_up(models: Callable[[Path], Mapping[str, Model]]) -> Bench:
    """Install everything and return the bench; `models` makes the store's files in a folder."""
    kube = Kube(environment())
    names = images(kube.env)
    folder = WORK / "models"
    folder.mkdir(parents=True, exist_ok=True)
    home = f"rampway-bench-{token_hex(3)}"
    kube.drop_leftovers()
    install.install_operator(Kubectl(kube.env), names, _hooks(home))
    with suppress(CommandFailed):  # an older API server knows no such kind
        kube("delete", "-k", "manifests/people/stamp", "--ignore-not-found")  # the demo's
    gateway_class = os.environ.get("GATEWAY_CLASS", "eg")
    kube("apply", "-f", "-", given=SHARED.substitute(
        NAMESPACE=home, LABEL=MADE_BY[0], MADE_BY=MADE_BY[1], GATEWAY=GATEWAY,
        GATEWAY_CLASS=gateway_class))  # fmt: skip
    bench = Bench(kube, home, names, models(folder), folder / "holdout.jsonl")
    _make_store(bench, folder)
    bench.await_operator()
    kube("rollout", "status", "deployment/model-store", "-n", home, "--timeout=240s")
    kube("wait", "--for=condition=Programmed", f"gateway/{GATEWAY}", "-n", home, "--timeout=240s")
    return bench


def _hooks(home: str) -> str:
    return f"http://hooks.{home}.svc/"


def _make_store(bench: Bench, folder: Path) -> None:
    """Serve the files over HTTP, each from a ConfigMap."""
    volumes = []
    for name, model in bench.models.items():
        words = ("create", "configmap", f"model-{name}", f"--from-file={folder / model.file}")
        bench.kube(*words, "-n", bench.home)
        volumes.append({"configMap": {"name": f"model-{name}"}})
    bench.kube.apply(*store(bench.home, bench.images["model-server"], volumes))


def store(namespace: str, image: str, sources: Sequence[Mapping[str, Any]]) -> list[Obj]:
    """Return a Deployment and a Service that serve what is in the sources."""
    command = ["python3", "-m", "http.server", "8080", "--directory", "/models"]
    workload, service = program(namespace, "model-store", image, command)
    pod = workload["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": "models", "mountPath": "/models"}]
    pod["volumes"] = [{"name": "models", "projected": {"sources": list(sources)}}]
    return [workload, service]


def program(namespace: str, name: str, image: str, command: Sequence[str]) -> tuple[Obj, Obj]:
    """Return a Deployment of one pod that listens on port 8080, and its Service."""
    labels = {"app.kubernetes.io/name": name}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    container = {
        "name": name,
        "image": image,
        "command": list(command),
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    port = {"port": 80, "targetPort": 8080}
    return (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta,
         "spec": {"selector": labels, "ports": [port]}},
    )  # fmt: skip
