"""What the programs change on the machine itself, written down before and put back after."""

import json
from contextlib import suppress
from pathlib import Path

from tools.localcluster.paths import Layout

SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
FOLDER = Path("/proc/sys")
# Folders at fixed places, which no setting moves; innermost first. Only empty ones are removed:
# by then they may serve another kubelet or containerd.
FIXED_FOLDERS = (
    Path("/var/lib/kubelet/device-plugins"),
    Path("/var/lib/kubelet"),
    Path("/var/lib/cni/results"),
    Path("/var/lib/cni"),
    Path("/var/log/containers"),
    Path("/run/containerd/s"),
    Path("/run/containerd"),
)


def save(layout: Layout) -> None:
    """Write down the present settings and missing folders, before the first program starts."""
    values = {}
    for name in SETTINGS:
        with suppress(OSError):
            values[name] = (FOLDER / name).read_text().strip()
    absent = [str(folder) for folder in FIXED_FOLDERS if not folder.exists()]
    layout.state.mkdir(parents=True, exist_ok=True)
    _file(layout).write_text(json.dumps({"settings": values, "absent": absent}) + "\n")


def restore(layout: Layout, *, same_boot: bool) -> None:
    """Put the settings back, which a reboot does by itself, and remove folders that came."""
    try:
        saved = json.loads(_file(layout).read_text())
        settings, absent = dict(saved["settings"]), set(saved["absent"])
    except (OSError, ValueError, KeyError):
        return
    if same_boot:
        for name, value in settings.items():
            with suppress(OSError):
                if (FOLDER / name).read_text().strip() != value:
                    (FOLDER / name).write_text(value)
    for folder in FIXED_FOLDERS:
        if str(folder) in absent:
            with suppress(OSError):
                folder.rmdir()


def _file(layout: Layout) -> Path:
    return layout.state / "host-settings.json"
