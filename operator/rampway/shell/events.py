"""Events on the ModelDeployment, each recorded once, by a name that follows from its cause."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from rampway.api.base import API_VERSION
from rampway.api.parse import ModelDeployment
from rampway.core.actions import Emit
from rampway.core.instants import to_wire
from rampway.kube.base import KubeApi
from rampway.kube.errors import AlreadyExists, KubeError
from rampway.kube.kinds import EVENT

NOTE_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records Events; one that cannot be written is no reason to hold anything up."""

    api: KubeApi
    clock: Callable[[], float]
    instance: str

    async def record(self, deployment: ModelDeployment, event: Emit, emitted: set[str]) -> None:
        """Record an Event unless the same was recorded before."""
        if event.key in emitted:
            return
        emitted.add(event.key)
        digest = hashlib.sha256(f"{deployment.uid}/{event.key}".encode()).hexdigest()[:16]
        try:
            await self.api.create(EVENT, self._manifest(deployment, event, digest))
        except AlreadyExists:
            return
        except KubeError:
            emitted.discard(event.key)

    def _manifest(self, deployment: ModelDeployment, event: Emit, digest: str) -> dict[str, object]:
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": f"{deployment.name}.{digest}", "namespace": deployment.namespace},
            "eventTime": to_wire(self.clock()),
            "reportingController": "rampway.dev/operator",
            "reportingInstance": self.instance,
            "action": event.action,
            "reason": event.reason,
            "note": event.message[:NOTE_LENGTH],
            "type": "Warning" if event.warning else "Normal",
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": "ModelDeployment",
                "name": deployment.name,
                "namespace": deployment.namespace,
                "uid": deployment.uid,
            },
        }
