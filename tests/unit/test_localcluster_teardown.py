"""Teardown finds what is left in the kernel's own tables, and puts the machine back as it was."""

import json
import os
import socket
from pathlib import Path

import pytest

from tools.localcluster import controlgroups, debian, hostsettings, namespace, teardown
from tools.localcluster.paths import Layout

MOUNTS = r"""
22 1 254:0 / / rw - ext4 /dev/vda rw
50 22 0:40 / /state/x/containerd/state/a/rootfs rw - overlay overlay rw
51 50 0:41 / /state/x/containerd/state/a/rootfs/proc rw - proc proc rw
52 22 0:42 / /state/x/kubelet/with\040blank rw - tmpfs tmpfs rw
53 22 0:43 / /state/xy/other rw - tmpfs tmpfs rw
""".strip()


def test_mounts_below_the_state_folder_come_innermost_first() -> None:
    """Nested mounts come before what they lie on, and a neighbour's are not among them."""
    found = teardown.mounts_below(Path("/state/x"), MOUNTS)
    assert set(found) == {
        "/state/x/containerd/state/a/rootfs/proc",
        "/state/x/containerd/state/a/rootfs",
        "/state/x/kubelet/with blank",
    }
    inner, outer = "/state/x/containerd/state/a/rootfs/proc", "/state/x/containerd/state/a/rootfs"
    assert found.index(inner) < found.index(outer)


def test_down_after_a_reboot_removes_the_state_and_touches_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records of another boot name ids that now belong to others: here this very process."""
    monkeypatch.setattr(namespace, "NETNS_FOLDER", tmp_path / "netns")
    monkeypatch.setattr(controlgroups, "ROOT", tmp_path / "groups")
    (tmp_path / "groups").mkdir()
    layout = Layout(cache=tmp_path / "cache", state=tmp_path / "state")
    layout.records.mkdir(parents=True)
    record = {"name": "etcd", "pid": os.getpid(), "start_ticks": 1, "boot_id": "before"}
    (layout.records / "etcd.json").write_text(json.dumps(record))
    assert teardown.down(layout) is True
    assert not layout.state.exists()
    assert teardown.down(layout) is False


def test_a_namespace_file_without_a_namespace_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot the name of the namespace is a plain file."""
    monkeypatch.setattr(namespace, "NETNS_FOLDER", tmp_path / "netns")
    (tmp_path / "netns").mkdir()
    (tmp_path / "netns/rampway-test-gone").touch()
    assert not namespace.exists("rampway-test-gone")
    namespace.delete("rampway-test-gone")
    assert not (tmp_path / "netns").exists()


def test_kernel_settings_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kubelet changed has its old value again, unless a reboot has done that."""
    (tmp_path / "sys/vm").mkdir(parents=True)
    setting = tmp_path / "sys/vm/overcommit_memory"
    setting.write_text("0\n")
    empty, used = tmp_path / "empty", tmp_path / "used"
    monkeypatch.setattr(hostsettings, "FOLDER", tmp_path / "sys")
    monkeypatch.setattr(hostsettings, "FIXED_FOLDERS", (empty, used))
    layout = Layout(cache=tmp_path / "cache", state=tmp_path / "state")
    hostsettings.save(layout)
    setting.write_text("1\n")
    empty.mkdir()
    used.mkdir()
    (used / "someone else's").touch()
    hostsettings.restore(layout, same_boot=False)
    assert setting.read_text() == "1\n"
    setting.write_text("1\n")
    hostsettings.restore(layout, same_boot=True)
    assert setting.read_text() == "0"
    assert (empty.exists(), used.exists()) == (False, True)


def test_sockets_that_someone_holds_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second cluster's sockets are held in another network namespace; only dead ones go."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    paths = {name: folder / name for name in ("host", "other-cluster", "dead")}
    for path in paths.values():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    for pid, name in (("1", "host"), ("77", "other-cluster")):
        process = tmp_path / "proc" / pid
        (process / "ns").mkdir(parents=True)
        (process / "net").mkdir()
        (process / "ns/net").touch()
        row = f"0000: 00000002 00000000 00010000 0001 01 1 {paths[name]}\n"
        (process / "net/unix").write_text(f"Num RefCount Path\n{row}")
    monkeypatch.setattr(teardown, "SHIM_SOCKETS", folder)
    monkeypatch.setattr(teardown, "DEVICE_PLUGINS", tmp_path / "nothing")
    monkeypatch.setattr(teardown, "PROCESSES", tmp_path / "proc")
    teardown._remove_dead_sockets()
    assert {name: path.exists() for name, path in paths.items()} == {
        "host": True,
        "other-cluster": True,
        "dead": False,
    }


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 0\n"])
def test_the_switch_for_service_starts_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """No service starts while packages are installed; afterwards the machine is as before."""
    switch = tmp_path / "policy-rc.d"
    if before is not None:
        switch.write_text(before)
    monkeypatch.setattr(debian, "POLICY", switch)
    with debian._services_kept_down():
        assert "exit 101" in switch.read_text()
    assert (switch.read_text() if switch.exists() else None) == before
