"""Times on the wire (RFC 3339, UTC) and in here (seconds since the epoch)."""

from datetime import UTC, datetime

_DAY_S = 24 * 3600.0


def to_wire(at_s: float) -> str:
    """Return the instant as Kubernetes writes it: `2026-01-02T03:04:05.000000Z`."""
    return f"{datetime.fromtimestamp(at_s, UTC).isoformat(timespec='microseconds')[:-6]}Z"


def from_wire(text: str) -> float | None:
    """Return the instant in seconds since the epoch, None for an empty or unreadable text."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def brief(duration_s: float) -> str:
    """Return a duration as people say it: `45 s`, `3 min`, `2.5 h`, `12 days`."""
    if duration_s < 90:  # noqa: PLR2004 - as people read it
        return f"{max(0, round(duration_s))} s"
    if duration_s < 90 * 60:
        return f"{round(duration_s / 60)} min"
    if duration_s < 2 * _DAY_S:
        return f"{duration_s / 3600:.1f} h"
    return f"{duration_s / _DAY_S:.0f} days"
