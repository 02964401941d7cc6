"""What the bench puts onto the cluster and beside it, and takes away again."""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import aiohttp
from bench.scale import gateway
from bench.scale.api import TROUBLE, Api, Obj, connect, each
from bench.scale.controller import SYSTEM, Controller, TooLate, until
from bench.scale.exporter import SHARDS, Exporter
from bench.scale.figures import Plan

from demo import install
from demo.cluster import ROOT, Kubectl, images
from rampway.kube.kinds import CONFIG_MAP, NAMESPACE, NODE, Kind
from tools.localcluster import catalog, processes
from tools.localcluster.commands import cluster_environment
from tools.localcluster.namespace import NODE_IP
from tools.localcluster.paths import layout

WORK = ROOT / "build" / "bench" / "scale"
MADE_BY = "rampway.dev/made-by"
OURS = "bench-scale"
LABELS = {MADE_BY: OURS}
SELECTOR = f"{MADE_BY}={OURS}"
TAINT = "kwok.x-k8s.io/node"
PROMETHEUS = "prometheus"
SOURCES = "rampway-metric-sources"
NODES = 10
POD_RANGE = "10.99.0.0/16"
"""Addresses of the fake pods: of no network that exists, so nothing ever reaches them."""
FAKE_NODE_IP = "10.98.0.254"
REMOVED_S = 3600.0
STOP_S = 10.0
LEAN = {"RAMPWAY_CHECKPOINT_INTERVAL_S": "30"}
"""The operator's own default; the demo's installation has a shorter one."""


def say(text: str) -> None:
    """Tell what goes on."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a bench tells


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that stands while the bench runs.

    Attributes:
        prefix: What the names of the bench's namespaces begin with.
        prometheus: Address of the bench's own Prometheus.
    """

    plan: Plan
    api: Api
    controller: Controller
    exporter: Exporter
    prefix: str
    prometheus: str


@asynccontextmanager
async def standing(plan: Plan) -> AsyncIterator[Place]:
    """Set everything up; take all of it away at the end, however the block ends."""
    programs = found_programs()
    _require_namespace()
    env = dict(os.environ)
    await asyncio.to_thread(lambda: install.install_operator(Kubectl(env), images(env)))
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(Path(env["KUBECONFIG"])))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        controller = Controller(api, session)
        await controller.rolled_out()
        exporter = Exporter()
        runner, port = await exporter.serve(NODE_IP)
        stack.push_async_callback(runner.cleanup)
        await _stop_all()
        stack.push_async_callback(_stop_all)
        _start("kwok", kwok(programs["kwok"], Path(env["KUBECONFIG"])))
        url = await _prometheus(programs["prometheus"], port, plan.scrape_s, session)
        await remove(api)
        stack.push_async_callback(_remove_in_the_end, api)
        await _set_operator(stack, controller, plan, url)
        prefix = f"scale-{token_hex(2)}"
        for kind, obj in (*nodes(), *gateway.manifests(f"{prefix}-gateway", LABELS)):
            await api.create(kind, obj)
        await until(lambda: _ready(api), f"{NODES} nodes of kwok ready", 120.0)
        yield Place(plan, api, controller, exporter, prefix, url)
        say("the measurements are done")


def found_programs() -> dict[str, Path]:
    """Return where kwok and Prometheus lie, both built by the local cluster's tool."""
    built = catalog.catalog(layout())
    found = {name: built.folder(name) / name for name in ("kwok", "prometheus")}
    for name, path in found.items():
        if not path.exists():
            raise TooLate(f"{name} is not built: {path} is not there; run `make bench-scale`")
    return found


def _require_namespace() -> None:
    """Refuse to run where the cluster's addresses cannot be reached, or pods not reach us."""
    with socket.socket() as probe:
        try:
            probe.bind((NODE_IP, 0))
        except OSError as error:
            raise TooLate(
                f"{NODE_IP} is not here ({error}): run `make bench-scale`, which enters the "
                "local cluster's network; other clusters are not supported"
            ) from error


def kwok(program: Path, kubeconfig: Path) -> list[str]:
    """Return kwok's command: it plays the kubelet of the bench's nodes, and of no others."""
    return [
        str(program), f"--kubeconfig={kubeconfig}", "--manage-all-nodes=false",
        f"--manage-nodes-with-label-selector={SELECTOR}", f"--cidr={POD_RANGE}",
        f"--node-ip={FAKE_NODE_IP}", "--node-lease-duration-seconds=40",
    ]  # fmt: skip


def nodes() -> list[tuple[Kind, Obj]]:
    """Return the fake nodes; nothing but the bench's pods tolerates them."""
    taint = {"key": TAINT, "value": "fake", "effect": "NoSchedule"}
    names = [f"{OURS}-{number}" for number in range(NODES)]
    return [
        (NODE, {"apiVersion": "v1", "kind": "Node", "spec": {"taints": [taint]},
                "metadata": {"name": name, "annotations": {TAINT: "fake"},
                             "labels": {**LABELS, "kubernetes.io/hostname": name}}})
        for name in names
    ]  # fmt: skip


def pod_template() -> Obj:
    """Return the patch by which a ModelDeployment's pods run on the fake nodes alone."""
    toleration = {"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}
    return {"spec": {"nodeSelector": LABELS, "tolerations": [toleration]}}


def scrape_config(target: str, every_s: int) -> dict[str, Any]:
    """Return Prometheus's configuration: each of the exporter's pages is a target."""
    pages = [
        {"targets": [target], "labels": {"__metrics_path__": f"/{n}", "instance": f"shard-{n}"}}
        for n in range(SHARDS)
    ]
    times = {"scrape_interval": f"{every_s}s", "scrape_timeout": f"{min(10, every_s)}s"}
    jobs = [{"job_name": "rampway-models", "honor_timestamps": False, "static_configs": pages}]
    return {"global": times, "scrape_configs": jobs}


async def _prometheus(
    program: Path, exporter_port: int, every_s: int, session: aiohttp.ClientSession
) -> str:
    """Start a Prometheus of the bench's own; return its address when it is ready."""
    data = WORK / "prometheus"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    config = WORK / "prometheus.yml"
    config.write_text(json.dumps(scrape_config(f"{NODE_IP}:{exporter_port}", every_s)))
    with socket.socket() as probe:
        probe.bind((NODE_IP, 0))
        address = f"{NODE_IP}:{probe.getsockname()[1]}"
    options = {
        "config.file": config, "storage.tsdb.path": data, "storage.tsdb.retention.time": "12h",
        "web.listen-address": address, "log.level": "warn",
    }  # fmt: skip
    _start("prometheus", [str(program), *(f"--{name}={value}" for name, value in options.items())])

    async def ready() -> bool:
        try:
            async with session.get(f"http://{address}/-/ready") as answer:
                return bool(answer.status == 200)
        except TROUBLE:
            return False

    await until(ready, f"Prometheus ready; its log is {WORK / 'prometheus.log'}", 60.0)
    return f"http://{address}"


async def _set_operator(
    stack: AsyncExitStack, controller: Controller, plan: Plan, url: str
) -> None:
    """Let the operator use the bench's Prometheus, and put it back in the end.

    The installation's own Prometheus rests meanwhile: it would ask every fake pod every second.
    """
    replicas = await controller.replicas(PROMETHEUS)
    stack.push_async_callback(controller.scale, PROMETHEUS, replicas)
    await controller.scale(PROMETHEUS, 0)
    env = {"RAMPWAY_PROMETHEUS_URL": url, "RAMPWAY_LOOK_INTERVAL_S": str(plan.look_s), **LEAN}
    # It confines no query to its namespace, and holds nothing but what the bench makes up.
    opened = {"sources.yaml": json.dumps([{"prefix": url, "open": True}])}
    meta = {"name": SOURCES, "namespace": SYSTEM}
    listed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": opened}
    await controller.api.delete(CONFIG_MAP, SYSTEM, SOURCES)  # an interrupted run's
    await controller.api.create(CONFIG_MAP, listed)
    stack.push_async_callback(controller.api.delete, CONFIG_MAP, SYSTEM, SOURCES)
    before = await controller.environment()
    stack.push_async_callback(controller.configure, {name: before.get(name) for name in env})
    await controller.configure(env)


def _start(name: str, command: list[str]) -> None:
    log = WORK / f"{name}.log"
    log.unlink(missing_ok=True)
    processes.start(name, command, WORK / "processes", log, cluster_environment())


async def _stop_all() -> None:
    """End what this run or an earlier one started, by id, if it is still that very process."""
    for name, process in processes.recorded(WORK / "processes").items():
        await asyncio.to_thread(processes.stop, process, STOP_S)
        (WORK / "processes" / f"{name}.json").unlink(missing_ok=True)
    shutil.rmtree(WORK / "prometheus", ignore_errors=True)


async def _ready(api: Api) -> bool:
    found = await api.every(NODE, selector=SELECTOR)
    conditions = [c for node in found for c in node.get("status", {}).get("conditions") or []]
    return len([c for c in conditions if (c["type"], c["status"]) == ("Ready", "True")]) == NODES


async def _remove_in_the_end(api: Api) -> None:
    say("removing all that was made; interrupted again, it stays, and the next run removes it")
    await remove(api)


async def remove(api: Api) -> None:
    """Remove all namespaces, nodes and classes that bear the bench's label, and wait."""
    await remove_namespaces(api)
    for kind in (gateway.GATEWAY_CLASS, NODE):
        for obj in await api.every(kind, selector=SELECTOR):
            await api.delete(kind, None, obj["metadata"]["name"])


async def remove_namespaces(api: Api, spared: str = "") -> None:
    """Remove the bench's namespaces but one with all that is in them, and wait."""

    async def there() -> list[Obj]:
        found = await api.every(NAMESPACE, selector=SELECTOR)
        return [space for space in found if space["metadata"]["name"] != spared]

    found = await there()
    await each(found, lambda space: api.delete(NAMESPACE, None, space["metadata"]["name"]))
    told = len(found)

    async def gone() -> bool:
        nonlocal told
        left = len(await there())
        if left < told:
            told = left
            say(f"  {left} namespaces left to be removed")
        return not left

    await until(gone, "the bench's namespaces removed", REMOVED_S)
