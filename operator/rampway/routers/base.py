"""The Protocol of a router: it shows the split as it is, and sets it."""

from typing import Protocol

from rampway.api.parse import ModelDeployment
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split


class Router(Protocol):
    """Splits the traffic of a ModelDeployment between stable and a candidate."""

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as it is now, with what the gateway says of it (B13)."""
        ...

    async def set_split(self, deployment: ModelDeployment, split: Split, now_s: float) -> None:
        """Split the requests like this; at rest stable's Service is the only backend (B14).

        Idempotent; makes what is missing and puts right what was changed. Its write is bound to
        what it read: somebody else's write in between makes it a `Conflict`, not a loss.

        Args:
            deployment: Whose traffic it is; the Service of its name is stable's.
            split: Who shall get which requests.
            now_s: The present, seconds since 1970: a rule for chosen requests comes and goes in
                two calls, seconds apart, and in between `Route.ajar` is true.
        """
        ...
