"""How many pods of a revision may be taken away at a time by a drain (B38)."""

from typing import Any

from rampway.api import labels
from rampway.api.parse import ModelDeployment
from rampway.core.model import revision
from rampway.core.model.belonging import owned_meta


def budget(deployment: ModelDeployment, digest: str) -> dict[str, Any]:
    """Return the PodDisruptionBudget of a revision (B38).

    One pod at a time may be drained, also where it is the only one: a budget of none would hold up
    the drain of its node for ever. Pods that are not ready never hold one up, else a candidate that
    does not start would.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owned_meta(deployment, labels.revision_name(deployment.name, digest), digest),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": revision.selector(deployment.name, digest)},
        },
    }
