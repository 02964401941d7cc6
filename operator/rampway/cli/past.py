"""The rollouts of a ModelDeployment: how each went, and one of them in full. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rampway.api.parse import ModelRollout
from rampway.api.rollout import Contender, Decision
from rampway.cli import authors, course, words
from rampway.cli.facts import ended
from rampway.cli.printing import bare, grid, rows
from rampway.cli.words import clean
from rampway.core.instants import from_wire

_COLOURS = {"Promoted": "green", "RolledBack": "red", "Superseded": "yellow", "Aborted": "yellow"}


def table(rollouts: Sequence[ModelRollout], now_s: float, *, wide: bool) -> Table | Text:
    """Return a row for each rollout, the latest first."""
    if not rollouts:
        return Text("no rollout has been made: the first revision is served without one")
    titles = ["ATTEMPT>", "FROM", "TO", "ENDED", "BY", "STARTED", "TOOK>", "WHY"]
    found = []
    for one in reversed(rollouts):
        row = _row(one, now_s)
        if not wide:  # a reason in one word is enough where lines are short
            row[-1] = Text(clean(one.status.reason))
        else:
            row.insert(3, Text(clean(authors.of(one.spec.released_by))))
        found.append(row)
    if wide:
        titles.insert(3, "RELEASED BY")
    return rows(titles, found)


def _row(one: ModelRollout, now_s: float) -> list[Text]:
    status = one.status
    return [
        Text(str(one.spec.attempt)),
        Text(_known(one.spec.stable)),
        Text(_known(one.spec.candidate)),
        Text(_how(one), _COLOURS.get(status.phase, "cyan")),
        Text(by_whom(one)),
        Text(words.at(status.started_at, now_s)),
        Text(_took(one, now_s)),
        Text(clean(f"{status.reason}: {status.message}")),
    ]


def _known(contender: Contender) -> str:
    return clean(contender.info.version or contender.revision)


def _how(one: ModelRollout) -> str:
    phase = clean(one.status.phase) or "Starting"
    return phase if ended(one) else f"{phase} …"


def by_whom(one: ModelRollout) -> str:
    """Return who took the decision that ended it, or the latest one."""
    made = one.status.decisions
    return clean(made[-1].actor) if made else "-"


def _took(one: ModelRollout, now_s: float) -> str:
    took_s = took(one, now_s)
    return "?" if took_s is None else words.ago(now_s - took_s, now_s)


def took(one: ModelRollout, now_s: float) -> float | None:
    """Return how long it took, or has been running, in seconds."""
    began_s, ended_s = from_wire(one.status.started_at), from_wire(one.status.ended_at)
    if began_s is None:
        return None
    return (now_s if ended_s is None else ended_s) - began_s


def in_full(one: ModelRollout, now_s: float) -> RenderableType:
    """Return all decisions and requests of one rollout, and what its checks said last."""
    status = one.status
    head = Text.assemble(
        (one.name, "bold"),
        f", attempt {one.spec.attempt}: from {_known(one.spec.stable)} to "
        f"{_known(one.spec.candidate)}, ",
        (_how(one), _COLOURS.get(status.phase, "cyan")),
        f" ({_took(one, now_s)})",
    )
    parts: list[RenderableType] = [head, Text(clean(f"{status.reason}: {status.message}"))]
    if one.spec.released_by.by:
        parts.append(Text(authors.said("released", one.spec.released_by, now_s), "dim"))
    if status.decisions:
        made = decided(status.decisions, lambda instant: f"{instant[:19]}Z", answers=True)
        parts += [Text(), Text("DECISIONS", "bold"), made]
    for title, found in (("HOOKS", course.hooks(one)), ("REQUESTS", course.requests(one))):
        lines = [[Text(part) for part in row] for row in found]
        if lines:
            parts += [Text(), Text(title, "bold"), _plain(lines)]
    if status.checks:
        checks = [
            [Text(clean(c.name)), Text(clean(c.state)), Text(clean(c.message))]
            for c in status.checks
        ]
        parts += [Text(), Text("CHECKS, as they were last", "bold"), _plain(checks)]
    return Group(*parts)


def decided(
    decisions: Sequence[Decision],
    at: Callable[[str], str],
    known: str = "",
    *,
    answers: bool = False,
) -> Table:
    """Return decisions under the names that the API has for their fields.

    Args:
        decisions: Of a ModelRollout's status.
        at: How an instant is shown.
        known: What is said above them: a message that is part of it is not repeated.
        answers: Whether to show what the checks said as a step ended.
    """
    table_ = bare()
    for title in ("AT", "ACTOR", "ACTION", "REASON", "MESSAGE"):
        longest = 32 if title == "ACTOR" else None  # a service account's name is long
        table_.add_column(title, max_width=longest, no_wrap=title == "AT", overflow="fold")
    for made in decisions:
        message = clean(made.message)
        said = "as said above" if message and message in known else message
        about = (clean(made.actor), clean(made.action), clean(made.reason))
        told = Text("\n").join([Text(said), *(_answers(made) if answers else ())])
        table_.add_row(Text(at(made.at), "dim"), *(Text(part) for part in about), told)
    return table_


def _answers(made: Decision) -> Iterator[Text]:
    """Yield what the checks said as the step before a decision ended."""
    for check in made.checks:
        symbol, colour = words.CHECKS.get(check.state, words.OTHER)
        yield Text(clean(f"{symbol} {check.name} {check.state}: {check.message}"), colour)


def _plain(found: Sequence[Sequence[Text]]) -> Table:
    table_ = grid(*("" for _ in found[0]), header=False)
    for row in found:
        table_.add_row(*row)
    return table_


def data(rollouts: Sequence[ModelRollout], now_s: float) -> list[dict[str, Any]]:
    """Return the same for programs, the latest first; each with its decisions."""
    return [_data(one, now_s) for one in reversed(rollouts)]


def _data(one: ModelRollout, now_s: float) -> dict[str, Any]:
    took_s = took(one, now_s)
    status = one.status.model_dump(mode="json", by_alias=True, exclude={"evidence"})
    return {
        "name": one.name,
        "attempt": one.spec.attempt,
        "from": _contender(one.spec.stable),
        "to": _contender(one.spec.candidate),
        "releasedBy": one.spec.released_by.model_dump(mode="json", by_alias=True),
        "ended": ended(one),
        "by": by_whom(one),
        "tookSeconds": None if took_s is None else round(took_s, 1),
        "requests": one.spec.requests.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": status,
    }


def _contender(one: Contender) -> dict[str, str]:
    return {"revision": one.revision, "version": one.info.version or ""}
