"""The Protocol of a router: it shows the split as it is, and sets it."""

from typing import Protocol

from rampway.api.parse import ModelDeployment
from rampway.core.observation import Route


class Router(Protocol):
    """Splits the traffic of a ModelDeployment between stable and a candidate."""

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as it is now, with what the gateway says of it (B13)."""
        ...

    async def set_weights(
        self, deployment: ModelDeployment, candidate: str, weight_pct: int
    ) -> None:
        """Give the candidate's Service this share; 0 leaves stable's the only backend (B14).

        Idempotent; makes what is missing and puts right what was changed. Its write is bound to
        what it read: somebody else's write in between makes it a `Conflict`, not a loss.

        Args:
            deployment: Whose traffic it is; the Service of its name is stable's.
            candidate: Name of the candidate's Service; empty with a weight of 0.
            weight_pct: 0 to 100.
        """
        ...
