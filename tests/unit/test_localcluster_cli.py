"""The command line: failures say what to do next, and a user's own cluster is left alone."""

import asyncio
import re
import socket
import stat
from pathlib import Path

import pytest

from tools.localcluster import (
    addons,
    cli,
    cluster,
    downloads,
    golang,
    kubectl,
    local,
    relay,
    versions,
)
from tools.localcluster.catalog import IMAGES, catalog
from tools.localcluster.commands import cluster_environment, run
from tools.localcluster.errors import StepError
from tools.localcluster.kubectl import Kubectl
from tools.localcluster.paths import HERE, Layout, layout


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Keep every test away from the user's own cluster."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CLUSTER", raising=False)
    return layout()


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_failed_step_says_what_where_and_what_next(tmp_path: Path) -> None:
    """The report has the exit status, the log's last lines, its place and the next step."""
    log = tmp_path / "log"
    command = ["sh", "-c", "seq 100; exit 7"]
    with pytest.raises(StepError) as caught:
        run(command, log=log, advice="count again")
    report = caught.value.report()
    assert "ended with exit status 7, expected 0" in report
    assert "  | 100" in report
    assert "  | 50" not in report
    assert f"Log: {log}" in report
    assert report.endswith("Next: count again")


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    """A program that is not there is a failed step, not a traceback."""
    with pytest.raises(StepError, match="cannot start no-such-program"):
        run(["no-such-program"], log=tmp_path / "log", advice="install it")


def test_an_unknown_cluster_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt CLUSTER does not silently mean the local one."""
    monkeypatch.setenv("CLUSTER", "curent")
    assert cli.main(["up"]) == 1
    assert "CLUSTER=curent is unknown" in capsys.readouterr().err


def test_every_verb_is_in_the_help() -> None:
    """A verb that exists is explained."""
    explained = set(re.findall(r"^  ([a-z-]+) ", cli.VERBS, re.MULTILINE))
    assert explained == set(cli._verbs())


def test_another_cluster_is_neither_taken_down_nor_entered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With CLUSTER=current, `down` leaves the cluster, and `enter` says what to do instead."""
    monkeypatch.setenv("CLUSTER", "current")
    assert cli.main(["down"]) == 0
    assert "stays as it is" in capsys.readouterr().out
    assert cli.main(["enter", "true"]) == 1
    assert "kubectl port-forward" in capsys.readouterr().err


def test_without_a_cluster_the_verbs_say_to_bring_one_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`kubectl` and `enter` fail with advice, `status` with its own exit status."""
    for verb in ("kubectl", "enter"):
        assert cli.main([verb, "true"]) == 1
        assert "Next: run `up` first" in capsys.readouterr().err
    assert cli.main(["status"]) == local.NOT_WELL
    assert "not well: it is not running" in capsys.readouterr().out


def test_env_sets_path_kubeconfig_and_keeps_the_proxy_away(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_folders: Layout,
) -> None:
    """The lines can be evaluated by a shell; the loopback never goes through a proxy."""
    monkeypatch.setenv("NO_PROXY", "intern.example")
    assert cli.main(["env"]) == 0
    lines = capsys.readouterr().out
    assert f"export KUBECONFIG={own_folders.kubeconfig}" in lines
    assert f"export PATH={own_folders.bin}:" in lines
    assert "export NO_PROXY=intern.example,127.0.0.1,localhost" in lines


def test_no_proxy_reaches_the_clusters_own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the caller is for downloads; between the cluster's parts it would break all."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert not [name for name in cluster_environment() if "proxy" in name.lower()]


def test_a_half_written_state_counts_as_not_running(own_folders: Layout) -> None:
    """A crash while the facts were written leads to a fresh start, not to an error."""
    own_folders.state.mkdir(parents=True)
    (own_folders.state / "cluster.json").write_text('{"boot_id": ')
    assert cluster.problem(own_folders, catalog(own_folders)) == "it is not running"


def test_the_folders_follow_the_xdg_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative setting counts as unset, and two state folders are two clusters."""
    first = layout()
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    second = layout()
    assert second.state == Path.home() / ".local/state/rampway/cluster"
    assert first.identity != second.identity


@pytest.mark.parametrize("answer", ["go version go1.25.9 linux/amd64", "no version"])
def test_an_old_go_is_refused_before_the_long_build(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has what was seen and what is wanted."""
    script(tmp_path / "go", f"echo {answer}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match=re.escape(answer)) as caught:
        golang.require_go()
    assert caught.value.advice == "install Go 1.26 or later"


def test_the_lock_file_is_of_the_version_that_is_named() -> None:
    """versions.py and the Go modules that build Kubernetes and etcd cannot drift apart."""
    etcd = (golang.SOURCES / "etcd/go.mod").read_text()
    assert f"go.etcd.io/etcd/server/v3 v{versions.ETCD}\n" in etcd
    text = (golang.SOURCES / "kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes v{versions.KUBERNETES}\n" in text
    staging = "v0." + versions.KUBERNETES.partition(".")[2]
    assert set(re.findall(r"=> k8s\.io/\S+ (\S+)", text)) == {staging}


def test_manifests_use_local_images_only() -> None:
    """There is no registry: every image is a place filled with one that is built here."""
    values = {
        f"{name.upper().replace('-', '_')}_IMAGE": image.tag for name, image in IMAGES.items()
    }
    for manifest in addons.MANIFESTS.glob("*.yaml"):
        text = kubectl.filled(manifest, {**values, "DNS_IP": "10.96.0.10"})
        used = set(re.findall(r"image: (\S+)", text))
        assert used <= {image.tag for image in IMAGES.values()}


def test_the_machines_own_mirror_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of apt's sources only Debian's own, of this release, main, are taken; once each."""
    listing = """\
Debian Packages http://mirror.example/debian bookworm main
Debian Packages http://mirror.example/debian bookworm main
Debian Packages http://mirror.example/debian bookworm-updates main
Debian DEP-11 http://mirror.example/debian bookworm main
Debian Packages http://mirror.example/debian bookworm non-free
Debian Packages http://mirror.example/debian trixie main
Other Packages http://other.example/apt bookworm main
"""
    monkeypatch.setattr(downloads, "output_of", lambda _: listing)
    found = [entry.partition("] ")[2] for entry in downloads._mirrors()]
    assert found == [
        "http://mirror.example/debian bookworm main",
        "http://mirror.example/debian bookworm-updates main",
    ]
    monkeypatch.setattr(downloads, "output_of", lambda _: "")
    assert downloads._mirrors() == []


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("exit 1", "the cluster has no CRD gateways.gateway.networking.k8s.io"),
        ("""echo '{"items": []}'""", r"no GatewayClass is Accepted \(seen: none at all\)"),
        (
            """echo '{"items": [{"metadata": {"name": "old"}, "status": {}}]}'""",
            r"no GatewayClass is Accepted \(seen: old\)",
        ),
    ],
)
def test_what_another_cluster_lacks_is_named(answers: str, said: str, tmp_path: Path) -> None:
    """A cluster without the Gateway API or a class for it is refused with advice."""
    client = Kubectl(str(script(tmp_path / "kubectl", answers)), {"PATH": "/usr/bin:/bin"})
    with pytest.raises(StepError, match=said):
        addons.require_in(client)


def test_accepted_gateway_classes_are_listed(tmp_path: Path) -> None:
    """A class that its controller accepted makes another cluster fit."""
    condition = '{"type": "Accepted", "status": "True"}'
    item = f'{{"metadata": {{"name": "eg"}}, "status": {{"conditions": [{condition}]}}}}'
    answers = f"echo '{{\"items\": [{item}]}}'"
    client = Kubectl(str(script(tmp_path / "kubectl", answers)), {"PATH": "/usr/bin:/bin"})
    assert addons.require_in(client) == ["eg"]


async def test_the_relay_passes_both_directions_and_their_ends() -> None:
    """Bytes come back through the relay, and a closed direction is passed on."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"echo " + await reader.read())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    inner_port = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    outer_port = listener.getsockname()[1]
    serving = asyncio.create_task(relay.serve(listener, "127.0.0.1", inner_port))
    reader, writer = await asyncio.open_connection("127.0.0.1", outer_port)
    writer.write(b"hello")
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b"echo hello"
    writer.close()
    await writer.wait_closed()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    server.close()
    await server.wait_closed()


def test_no_file_names_a_registry() -> None:
    """Where things come from is the machine's setting, never written into a file here."""
    hosts = re.compile(
        r"docker\.io|pypi\.org|proxy\.golang\.org|deb\.debian\.org|registry\.k8s\.io"
    )
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert [path for path in files if hosts.search(path.read_text())] == []
