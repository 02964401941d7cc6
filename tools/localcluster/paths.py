"""Where everything lies: the cache of built parts, the running cluster's state, the logs."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
# A unix socket's address holds 108 bytes, and containerd appends to the folder it is given.
LONGEST_STATE_PATH = 60


def _home(variable: str, fallback: str) -> Path:
    """Return an XDG base folder; a relative value counts as unset, as its specification says."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / fallback


@dataclass(frozen=True)
class Layout:
    """The folders of one user's local cluster.

    ``cache`` outlives the cluster; ``state`` is removed by ``down``.
    """

    cache: Path
    state: Path

    @property
    def parts(self) -> Path:
        """Finished parts, one folder per name and version."""
        return self.cache / "parts"

    @property
    def logs(self) -> Path:
        """Logs of builds and programs: in the cache, so that they can be read after ``down``."""
        return self.cache / "logs"

    @property
    def records(self) -> Path:
        """One JSON file per program that was started."""
        return self.state / "processes"

    @property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig for the host; works inside the namespace as well."""
        return self.state / "kubeconfig"

    @property
    def bin(self) -> Path:
        """A folder for PATH with ``kubectl`` in it."""
        return self.cache / "bin"

    @property
    def images_json(self) -> Path:
        """Names of the project's images, written by ``images``."""
        return self.state / "images.json"

    @property
    def current_images_json(self) -> Path:
        """The same for CLUSTER=current: ``down`` has nothing to do with it."""
        return self.state.parent / "current" / "images.json"

    @property
    def containerd_socket(self) -> Path:
        """The socket of the cluster's own containerd."""
        return self.state / "containerd.sock"

    @property
    def identity(self) -> str:
        """Name of the network namespace and control group: one per state folder."""
        return "rampway-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:6]


def layout() -> Layout:
    """Return this user's folders, from XDG_CACHE_HOME and XDG_STATE_HOME or their defaults."""
    return Layout(
        cache=_home("XDG_CACHE_HOME", ".cache") / "rampway",
        state=_home("XDG_STATE_HOME", ".local/state") / "rampway" / "cluster",
    )
