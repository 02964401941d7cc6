"""How single things are said: symbols, times, percentages, one line for a whole state. Pure."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

from rampway.api.conditions import Phase, RolloutPhase
from rampway.cli import queued
from rampway.cli.facts import Facts, RevisionFacts
from rampway.core.checks.judged import CheckState
from rampway.core.instants import brief, from_wire

DAY_S = 24 * 3600.0

PHASES: Mapping[str, tuple[str, str]] = {
    Phase.PENDING: ("◌", "cyan"),
    Phase.HEALTHY: ("✔", "green"),
    Phase.PROGRESSING: ("◔", "cyan"),
    Phase.WATCHING: ("◉", "green"),
    Phase.PAUSED: ("‖", "yellow"),
    Phase.HOLDING: ("?", "yellow"),
    Phase.ROLLING_BACK: ("↶", "red"),
    Phase.ROLLED_BACK: ("✖", "red"),
    Phase.DEGRADED: ("⚠", "red"),
    Phase.SCALED_TO_ZERO: ("○", "yellow"),
    Phase.REFUSED: ("✖", "red"),
}
"""Symbol and colour of each phase."""
CHECKS: Mapping[str, tuple[str, str]] = {
    CheckState.PASS: ("✔", "green"),
    CheckState.FAIL: ("✖", "red"),
    CheckState.WAITING: ("◌", "cyan"),
    CheckState.UNKNOWN: ("?", "yellow"),
}
"""Symbol and colour of each answer."""
OTHER = ("•", "default")
"""For a word that a newer operator wrote."""


def why(err: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read or written, without the name that is told beside it."""
    told = err.strerror if isinstance(err, OSError) else None
    return told[0].lower() + told[1:] if told else str(err)


def clean(text: str) -> str:
    """Return the text on one line and without control characters.

    Messages carry a container's last words: those must not steer the reader's terminal.
    """
    line = " ".join(text.split())
    return "".join(c for c in line if unicodedata.category(c) not in {"Cc", "Cf"})


def ago(at_s: float | None, now_s: float) -> str:
    """Return how long ago that was, such as `4 s`; `?` if it is not known."""
    if at_s is None:
        return "?"
    return brief(now_s - at_s)


def clock(at_s: float) -> str:
    """Return the time of day, UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%SZ")


def at(instant: str, now_s: float) -> str:
    """Return an instant of the status as a person reads it: time of day, UTC; older, the date."""
    at_s = from_wire(instant)
    if at_s is None:
        return "?"
    if now_s - at_s < DAY_S / 2:
        return clock(at_s)
    return datetime.fromtimestamp(at_s, UTC).strftime("%m-%d %H:%MZ")


def pct(share: int | None) -> str:
    """Return a share as `25 %`; `-` if it is not known."""
    return "-" if share is None else f"{share} %"


def share(share_pct: int | None, mirror_pct: int, *, matched: bool) -> str:
    """Return which requests a revision gets: `25 %`, `copies 50 %`, `by match`, or several."""
    parts = [f"copies {mirror_pct} %"] if mirror_pct else []
    parts += ["by match"] if matched else []
    return " + ".join([*([pct(share_pct)] if share_pct or not parts else []), *parts])


def split_of(shown: RevisionFacts) -> tuple[str, str]:
    """Return a revision's share as the status gives it, and as the route has it."""
    wanted = share(shown.set_pct, shown.set_mirror_pct, matched=shown.set_matched)
    observed = share(shown.observed_pct, shown.observed_mirror_pct, matched=shown.observed_matched)
    return wanted, observed


def step(facts: Facts) -> str:
    """Return the step as `2/4 half`, empty where there is none."""
    shown, rollout = facts.deployment.status.step, facts.running
    name = rollout.status.step.name if rollout else ""
    stepping = rollout is not None and rollout.status.phase == RolloutPhase.STEPPING
    return f"{shown} {name}".strip() if shown and stepping else shown


def key(facts: Facts) -> tuple[object, ...]:
    """Return what makes a new line of `--watch` and `--wait`: everything but the counts."""
    rollout = facts.running
    checks = [(c.name, c.state) for c in rollout.status.checks] if rollout else []
    shares = [(r.revision, r.role, r.ready, *split_of(r)) for r in facts.revisions]
    return (*course_key(facts), tuple(checks), tuple(shares))


def course_key(facts: Facts) -> tuple[object, ...]:
    """Return what makes a new line of `--wait`: phase, reason, step and who waits."""
    status = facts.deployment.status
    return (facts.outdated, status.phase, status.reason, step(facts), queued.told(facts))


def line(facts: Facts, now_s: float) -> str:
    """Return the whole state in one line."""
    status = facts.deployment.status
    parts = [clock(now_s)]
    if not status.phase or facts.outdated:
        return f"{parts[0]} {missing(facts)}"
    parts += [PHASES.get(status.phase, OTHER)[0], status.phase]
    if shown := step(facts):
        parts.append(f"step {shown}")
    candidates = [r for r in facts.revisions if r.role == "candidate"]
    for shown_set, observed in map(split_of, candidates):
        parts.append(f"candidate set {shown_set}, observed {observed}")
    waits = f"; queued: {queued.told(facts)}" if status.queued else ""
    return clean(f"{' '.join(parts)} {status.reason}: {status.message}{waits}")


def missing(facts: Facts) -> str:
    """Return what it means that the status is not about this spec."""
    deployment = facts.deployment
    if not deployment.status.phase:
        return "no status yet: the operator has not looked at it; is it running?"
    return (
        f"the spec is at generation {deployment.generation}, this status is about "
        f"{deployment.status.observed_generation}: the operator has not looked at the change yet"
    )


def duration(length_s: float) -> str:
    """Return a duration as a policy has it, such as 1h30m or 20s."""
    whole = round(length_s)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"
