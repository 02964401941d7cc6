"""The clock of the simulated world: it stands still until it is told to go on."""

from dataclasses import dataclass
from datetime import UTC, datetime

EPOCH_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, in seconds since the Unix epoch: where every simulation begins."""


@dataclass(slots=True)
class SimClock:
    """Tells the same instant to everybody: as seconds since the epoch, or as a datetime in UTC.

    Attributes:
        now_s: The instant, in seconds since the Unix epoch.
        begin_s: The instant at which the simulation began.
    """

    now_s: float = EPOCH_S
    begin_s: float = EPOCH_S

    @property
    def elapsed_s(self) -> float:
        """Seconds since the simulation began."""
        return self.now_s - self.begin_s

    def __call__(self) -> float:
        """Return the instant in seconds since the Unix epoch."""
        return self.now_s

    def now(self) -> datetime:
        """Return the instant as a datetime in UTC."""
        return datetime.fromtimestamp(self.now_s, UTC)

    def advance(self, dt_s: float) -> None:
        """Let time go on.

        Raises:
            ValueError: back in time.
        """
        if dt_s < 0:
            raise ValueError(f"a clock cannot go back: dt_s is {dt_s}, expected at least 0")
        # To the microsecond: sums of many small steps stay the instants that they mean.
        self.now_s = round(self.now_s + dt_s, 6)
