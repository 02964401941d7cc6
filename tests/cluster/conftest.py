"""What the cluster tests share: kubectl, pointed at the cluster that KUBECONFIG names."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of the tests that need a cluster."""
    config.addinivalue_line("markers", "cluster: needs a Kubernetes cluster")


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs kubectl and returns what it printed."""
    program = shutil.which("kubectl")
    if program is None or "KUBECONFIG" not in os.environ:
        pytest.fail(
            "kubectl on PATH and KUBECONFIG are needed; run `make cluster-up`, then "
            '`eval "$(python3 -m tools.localcluster env)"`'
        )

    def run(*args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002 - as in subprocess
        return subprocess.run(
            [program, *args], input=input, text=True, capture_output=True, check=False, timeout=60
        )

    return run
