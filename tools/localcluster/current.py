"""The verbs for a cluster that is not ours: the present kubectl context."""

import os
import shutil
from typing import NoReturn

from tools.localcluster import addons, catalog
from tools.localcluster.errors import StepError
from tools.localcluster.kubectl import Kubectl
from tools.localcluster.locking import locked
from tools.localcluster.paths import Layout


def client(layout: Layout) -> Kubectl:
    """Return the machine's kubectl, or the one we build, with the caller's own KUBECONFIG."""
    program = shutil.which("kubectl")
    if program is None:
        with locked(layout):
            program = str(catalog.build_one(catalog.catalog(layout), "kubernetes") / "kubectl")
    return Kubectl(program, dict(os.environ))


def environment(layout: Layout) -> dict[str, str]:
    """Return what ``env`` sets: a PATH with kubectl on it; KUBECONFIG stays the caller's."""
    path = os.environ.get("PATH", "")
    if shutil.which("kubectl") is None:
        path = f"{os.path.dirname(client(layout).program)}:{path}"  # noqa: PTH120 -- no Path needed
    return {"PATH": path}


def up(layout: Layout) -> int:
    """Check that the cluster answers and has what Rampway needs; nothing is installed."""
    kube = client(layout)
    version = _version(kube)
    classes = addons.require_in(kube)
    print(f"Using the present context {context(kube)!r}, Kubernetes {version}.")
    print(f"GatewayClasses that are Accepted: {', '.join(classes)}")
    return 0


def down() -> int:
    """Leave the cluster alone: it is not ours."""
    print("CLUSTER=current: this cluster is not ours, and stays as it is.")
    return 0


def status(layout: Layout) -> int:
    """Say which cluster is in use."""
    kube = client(layout)
    print(f"context:     {context(kube)}")
    print(f"kubernetes:  {_version(kube)}")
    return 0


def enter() -> NoReturn:
    """Refuse: only our own cluster lives in a namespace of this machine."""
    raise StepError(
        "CLUSTER=current: there is no network namespace of that cluster on this machine",
        "use the Gateway's own address, `kubectl port-forward`, or a client that runs as a pod",
    )


def context(kube: Kubectl) -> str:
    """Return the present context's name."""
    return kube.output("config", "current-context")


def _version(kube: Kubectl) -> str:
    try:
        answer = kube.json("version")
    except StepError as error:
        raise StepError(
            f"the present kubectl context does not answer: {error.what}",
            "choose one that does: `kubectl config use-context …`, or set KUBECONFIG",
        ) from error
    return str(answer["serverVersion"]["gitVersion"])
