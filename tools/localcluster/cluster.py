"""Brings the cluster up: from nothing, from what is left of it, or not at all when it is well."""

import json
import resource
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.localcluster import (
    addons,
    certificates,
    components,
    controlgroups,
    hostsettings,
    kubectl,
    namespace,
    processes,
    teardown,
)
from tools.localcluster.catalog import IMAGES, Catalog
from tools.localcluster.commands import cluster_environment, output_of, run, succeeds
from tools.localcluster.components import Component
from tools.localcluster.errors import StepError
from tools.localcluster.kubectl import Kubectl
from tools.localcluster.paths import HERE, LONGEST_STATE_PATH, Layout
from tools.localcluster.progress import step
from tools.localcluster.systemimages import ARCHIVE

FIRST_PORT = 16443
POLL_S = 0.1
ANSWERS_WITHIN_S = 90
OPEN_FILES = 1 << 18


@dataclass(frozen=True)
class Facts:
    """What a running cluster was started with; written last, so a broken start has none."""

    boot_id: str
    port: int
    started_at: float  # seconds since 1970, UTC
    parts: dict[str, str]


def facts(layout: Layout) -> Facts | None:
    """Return what is written about the cluster, or None when there is no finished one."""
    try:
        return Facts(**json.loads((layout.state / "cluster.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def client(layout: Layout, built: Catalog) -> Kubectl:
    """Return the cluster's own kubectl."""
    return kubectl.for_local(built.folder("kubernetes"), layout.kubeconfig)


def problem(layout: Layout, built: Catalog) -> str | None:
    """Return why the cluster is not up and well, or None: a real check, in about two seconds."""
    known = facts(layout)
    if known is None or known.boot_id != processes.boot_id():
        return "it is not running"
    if known.parts != built.keys():
        return "it was started from other versions"
    recorded = processes.recorded(layout.records)
    wanted = [component.name for component in _components(layout, built, known.port)]
    dead = [name for name in wanted if name not in recorded or not recorded[name].alive()]
    if dead:
        return f"not running any more: {', '.join(dead)}"
    kube = client(layout, built)
    return addons.problem(kube) or _unserved(layout, kube)


def bring_up(layout: Layout, built: Catalog) -> None:
    """Mend the cluster when only programs of it died, else start anew; all parts are built."""
    known = facts(layout)
    mendable = (
        known is not None
        and known.boot_id == processes.boot_id()
        and known.parts == built.keys()
        and namespace.exists(layout.identity)
    )
    if known is not None and mendable:
        try:
            _mend(layout, built, known.port)
        except StepError as error:
            print(f"  that did not help ({error.what}); starting anew")
        else:
            return
    teardown.down(layout)
    _start(layout, built)


def load_image(layout: Layout, archive: Path) -> None:
    """Load an image archive, OCI or docker's, into the node."""
    log = layout.logs / "load-image.log"
    log.unlink(missing_ok=True)
    run(
        [*_ctr(layout), "images", "import", str(archive)],
        log=log,
        advice="see that the cluster is up (`status`) and that the file is an image archive",
    )


def has_image(layout: Layout, tag: str) -> bool:
    """Say whether the node has an image of that name."""
    return output_of([*_ctr(layout), "images", "ls", "-q", f"name=={tag}"]) == tag


def _ctr(layout: Layout) -> list[str]:
    return ["ctr", "--address", str(layout.containerd_socket), "--namespace", "k8s.io"]


def _mend(layout: Layout, built: Catalog, port: int) -> None:
    print("Mending the cluster:")
    _run_components(layout, _components(layout, built, port), built)
    with step("waiting for node, DNS and gateway"):
        kube = client(layout, built)
        addons.wait_ready(kube, _log(layout, "kubelet"))
        _await_services(layout, kube)


def _await_services(layout: Layout, kube: Kubectl) -> None:
    """Wait until the programs answer: what the API server says of pods may be out of date."""
    deadline_s = time.monotonic() + ANSWERS_WITHIN_S
    while (reason := _unserved(layout, kube)) is not None:
        if time.monotonic() > deadline_s:
            raise StepError(reason, "run `down`, then `up`", _log(layout, "kubelet"))
        time.sleep(POLL_S)


def _unserved(layout: Layout, kube: Kubectl) -> str | None:
    """Connect to DNS and Envoy Gateway by their Services; return who does not answer, or None."""
    inside = [*namespace.inside(layout.identity), "timeout", "2", "bash", "-c"]
    for where, name, port in addons.SERVICES:
        question = ["get", "service", "-n", where, name, "-o", "jsonpath={.spec.clusterIP}"]
        address = kube.output(*question)
        if not succeeds([*inside, f"exec 3<>/dev/tcp/{address}/{port}"]):
            return f"{name} does not answer at {address}:{port}"
    return None


def _start(layout: Layout, built: Catalog) -> None:
    if len(str(layout.state)) > LONGEST_STATE_PATH:
        raise StepError(
            f"the state folder's path is too long for a socket below it: {layout.state}",
            f"set XDG_STATE_HOME so that it has at most {LONGEST_STATE_PATH} characters",
        )
    print("Starting the cluster:")
    _raise_open_files()
    for log in layout.logs.glob("run-*.log"):
        log.unlink()
    port = _free_port()
    with step("network namespace, control groups, certificates"):
        hostsettings.save(layout)
        namespace.create(layout.identity)
        controlgroups.create(layout.identity)
        certificates.create(layout, port)
        components.write_settings(layout, IMAGES["pause"].tag)
    _run_components(layout, _components(layout, built, port), built)
    _fill(layout, built)
    known = Facts(processes.boot_id(), port, time.time(), built.keys())
    (layout.state / "cluster.json").write_text(json.dumps(asdict(known), indent=2) + "\n")


def _fill(layout: Layout, built: Catalog) -> None:
    """Load the images and apply what runs in the cluster from the start."""
    kube = client(layout, built)
    with step("custom resources of the Gateway API"):
        addons.apply_crds(kube, built.folder("envoy-gateway") / "crds")
    with step("loading images"):
        for part in built.images.values():
            load_image(layout, part.folder(layout) / ARCHIVE)
    with step("DNS and Envoy Gateway"):
        addons.apply_programs(kube)
        addons.wait_ready(kube, _log(layout, "kubelet"))
        _await_services(layout, kube)


def _components(layout: Layout, built: Catalog, port: int) -> list[Component]:
    programs = built.folder("kubernetes")
    namespace_file = str(namespace.path(layout.identity))
    relay = ["/usr/bin/python3", str(HERE / "relay.py"), namespace_file]
    return [
        *components.control_plane(layout, built.folder("etcd") / "etcd", programs, port),
        Component("relay", (*relay, str(port), namespace.NODE_IP, str(port))),
        *components.node(layout, programs),
    ]


def _run_components(layout: Layout, wanted: list[Component], built: Catalog) -> None:
    """Start every program that does not run, and wait until those that answer do answer."""
    recorded = processes.recorded(layout.records)
    for component in wanted:
        running = recorded.get(component.name)
        if running is None or not running.alive():
            with step(component.name):
                _start_one(layout, component)
                _await(layout, component, built)


def _start_one(layout: Layout, component: Component) -> None:
    # The relay enters the namespace by itself, after it has begun to listen outside.
    prefix = [] if component.name == "relay" else namespace.inside(layout.identity)
    command = [*prefix, *component.command]
    log = _log(layout, component.name)
    processes.start(component.name, command, layout.records, log, cluster_environment())


def _await(layout: Layout, component: Component, built: Catalog) -> None:
    """Wait until a program answers; one that ended is reported at once, with its log."""
    inside = namespace.inside(layout.identity)
    admin = [str(built.folder("kubernetes") / "kubectl"), f"--kubeconfig={layout.kubeconfig}"]
    ready = [*admin, "get", "--raw", "/readyz"]
    listens = [*inside, "bash", "-c"]
    question = {
        "etcd": [*listens, "exec 3<>/dev/tcp/127.0.0.1/2379"],
        "kube-apiserver": [*inside, *ready],
        "relay": ready,
        "containerd": [*_ctr(layout), "version"],
        "kubelet": [*listens, "exec 3<>/dev/tcp/127.0.0.1/10248"],
    }.get(component.name)
    deadline_s = time.monotonic() + ANSWERS_WITHIN_S
    while question is not None and not succeeds(question):
        if not processes.recorded(layout.records)[component.name].alive():
            _fail(layout, component, "ended right after its start")
        if time.monotonic() > deadline_s:
            _fail(layout, component, f"does not answer after {ANSWERS_WITHIN_S} s")
        time.sleep(POLL_S)


def _fail(layout: Layout, component: Component, what: str) -> None:
    advice = "read the log above; `down` cleans up what has been started, `up` tries again"
    raise StepError(f"{component.name} {what}", advice, _log(layout, component.name))


def _log(layout: Layout, name: str) -> Path:
    return layout.logs / f"run-{name}.log"


def _free_port() -> int:
    """Return the first free port on the host's loopback, from 16443 on."""
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StepError(f"no free port on 127.0.0.1 from {FIRST_PORT} on", "stop what listens there")


def _raise_open_files() -> None:
    """Let the started programs open many files; a lower hard limit is kept."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
