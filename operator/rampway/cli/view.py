"""The text view of one ModelDeployment: facts in, something for rich to print out. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rampway.api.conditions import ConditionType, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import CheckStatus
from rampway.cli import authors, course, past, queued, words
from rampway.cli.asked import logs
from rampway.cli.facts import Facts, RevisionFacts, Role
from rampway.cli.printing import bare
from rampway.cli.words import clean
from rampway.core.instants import from_wire
from rampway.core.rollout.automation import UNTOLD

WIDTH = 100
"""Columns at most: two views fit side by side on a wide screen."""
WIDE = 200
"""Columns of `-o wide` where there is no terminal."""
DECISIONS = 5
"""The latest decisions that are shown."""
SILENT_S = 120.0
"""An operator that runs writes a running rollout's status about every 30 s."""
_DIM, _BAD = "dim", "red"
_ROLE_STYLES = {
    Role.STABLE: "green",
    Role.PREVIOUS: "yellow",
    Role.CANDIDATE: "cyan",
    Role.ROLLED_BACK: "red",
}
_GOOD: Mapping[str, str] = {ConditionType.STALLED: "False"}
"""The good state of a condition, where it is not True."""


def view(facts: Facts, now_s: float, trouble: str = "", *, wide: bool = False) -> RenderableType:
    """Return the view; `trouble` is why what is shown could not be read anew.

    With `wide`, of all decisions instead of the latest.
    """
    parts: list[RenderableType] = [*_header(facts), *_authors(facts, now_s)]
    if trouble:  # at the top, where a short terminal shows it
        age = words.ago(facts.read_at_s, now_s)
        parts.append(Text(f"⚠ read {age} ago; trying again: {clean(trouble)}", "bold red"))
    parts += [Text(), _revisions(facts, wide=wide), *_route(facts)]
    if facts.rollout is not None:
        parts += _rollout(facts, facts.rollout, now_s, wide=wide)
    parts += _conditions(facts)
    parts += [_indented(Text(f"not shown: {clean(note)}", "yellow")) for note in facts.notes]
    return Group(*parts)


def _header(facts: Facts) -> Iterable[RenderableType]:
    deployment, status = facts.deployment, facts.deployment.status
    symbol, colour = words.PHASES.get(status.phase, words.OTHER)
    place = f"  namespace {deployment.namespace}  {words.clock(facts.read_at_s)}"
    yield Text.assemble((deployment.name, "bold"), (place, _DIM))
    if facts.outdated or not status.phase:
        yield Text(f"⚠ {words.missing(facts)}", "bold yellow")
    if status.phase:
        about = [f"step {words.step(facts)}"] if words.step(facts) else []
        about += [clean(status.reason)] if status.reason != status.phase else []
        yield Text.assemble(
            (f"{symbol} {status.phase}", f"bold {colour}"), *(f"  {part}" for part in about)
        )
        yield _indented(Text(clean(status.message)))
    if status.queued:
        yield _indented(Text(f"queued: {clean(queued.told(facts))}", "cyan"))
    if status.fallback:
        yield _indented(Text(clean(status.fallback), "yellow"))


def _authors(facts: Facts, now_s: float) -> Iterable[RenderableType]:
    for line in authors.lines(facts.deployment, facts.rollout, now_s):
        yield _indented(Text(line, _DIM))


def _revisions(facts: Facts, *, wide: bool) -> RenderableType:
    table = bare()
    # Where all answers are for use, as they are unless somebody says otherwise, nothing is said.
    degrees = wide or any(shown.automation not in {"", UNTOLD} for shown in facts.revisions)
    for title, right in (
        ("REVISION", False),
        ("ROLE", False),
        ("VERSION", False),
        ("PODS", True),
        ("RESTARTS", True),
        ("WEIGHT SET", True),
        ("OBSERVED", True),
        *([("AUTOMATION", False)] if degrees else []),
    ):
        table.add_column(
            title,
            justify="right" if right else "left",
            overflow="ellipsis",
            no_wrap=True,
            max_width=24,
        )
    for shown in facts.revisions:
        table.add_row(*_revision(shown)[: len(table.columns)])
    rest: list[RenderableType] = [_indented(text) for text in _beneath(facts)]
    if not facts.revisions:
        rest.append(_indented(Text("no revision has been made yet", _DIM)))
    if facts.idle:
        rest.append(_indented(Text(f"and {facts.idle} older without pods", _DIM)))
    return Group(table, *rest)


def _beneath(facts: Facts) -> Iterator[Text]:
    """Yield what is said of single revisions; each line names its own, as others may follow it."""
    known = clean(facts.deployment.status.message)
    for shown in facts.revisions:
        if shown.trouble and clean(shown.trouble) not in known:
            yield Text(f"{shown.revision}: {clean(shown.trouble)}", _BAD)
        if shown == facts.failed:
            asked = logs(facts.deployment, shown.revision)
            yield Text(f"logs of {shown.revision}: {asked}", _DIM)


def _revision(shown: RevisionFacts) -> list[Text]:
    wanted, observed = words.split_of(shown)
    differs = shown.observed_pct is not None and observed != wanted
    short = shown.ready < shown.wanted
    return [
        Text(shown.revision),
        Text(shown.role, _ROLE_STYLES.get(shown.role, "")),
        Text(clean(shown.version) or "-"),
        Text(f"{shown.ready}/{shown.wanted}", "yellow" if short else ""),
        Text(str(shown.restarts), "yellow" if shown.restarts else ""),
        Text(wanted),
        Text(observed, "yellow" if differs else ""),
        Text(clean(shown.automation) or "-"),
    ]


def _route(facts: Facts) -> Iterable[RenderableType]:
    route = facts.route
    if route is None:
        return
    if not route.exists:
        yield Text("Route: none yet", "yellow")
    elif route.accepted:
        yield Text("Route: accepted by every Gateway", _DIM)
    else:
        yield _entry(Text("Route:"), Text(f"not in force: {clean(route.message)}", "yellow"))


def _rollout(
    facts: Facts, rollout: ModelRollout, now_s: float, *, wide: bool
) -> Iterable[RenderableType]:
    status = rollout.status
    ended_s, began_s = from_wire(status.ended_at), from_wire(status.started_at)
    yield Text()
    if facts.running:
        when = f"for {words.ago(began_s, now_s)}" if began_s is not None else "just made"
    else:
        when = f"{words.ago(ended_s, now_s)} ago"
    title = "ROLLOUT" if facts.running else "LAST ROLLOUT"
    yield Text.assemble(
        (title, "bold"),
        f" {rollout.name}, attempt {rollout.spec.attempt}: ",
        f"{clean(status.phase) or RolloutPhase.STARTING} {when}",
    )
    if rollout.spec.released_by.by:
        yield _indented(Text(authors.said("released", rollout.spec.released_by, now_s), _DIM))
    yield from map(_indented, course.lines(facts, now_s))
    if status.phase != RolloutPhase.PROMOTED:
        yield from _checks(facts, status.checks, now_s)
    yield from _rows("HOOKS", course.hooks(rollout))
    yield from _rows("REQUESTS", course.requests(rollout))
    yield from _decisions(facts, rollout, now_s, wide=wide)


def _checks(facts: Facts, checks: Iterable[CheckStatus], now_s: float) -> Iterable[RenderableType]:
    rows = list(checks)
    if not rows:
        return
    ages = [f"evidence {words.ago(facts.evidence_s, now_s)} old"] if facts.evidence_s else []
    ages.append(f"answered {words.ago(facts.answered_s, now_s)} ago")
    yield Text()
    yield Text.assemble(("CHECKS", "bold"), (f"  {', '.join(ages)}", _DIM))
    if facts.running and now_s - (facts.answered_s or now_s) > SILENT_S:
        yield _indented(Text("the operator has not written since then; is it running?", "yellow"))
    table = bare(header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in rows:
        symbol, colour = words.CHECKS.get(check.state, words.OTHER)
        state = Text(f"{symbol} {clean(check.state)}", colour)
        table.add_row(Text(clean(check.name)), state, Text(clean(check.message)))
    yield table


def _rows(title: str, found: Iterable[tuple[str, str, str]]) -> Iterable[RenderableType]:
    """Show what people have asked of this attempt, or its hooks, if there are any."""
    rows = list(found)
    if not rows:
        return
    yield Text()
    yield Text(title, "bold")
    table = bare(header=False)
    table.add_column(no_wrap=True)
    table.add_column(max_width=40, overflow="fold")
    table.add_column(overflow="fold")
    for what, who, why in rows:
        table.add_row(Text(what), Text(who, _DIM), Text(why))
    yield table


def _decisions(
    facts: Facts, rollout: ModelRollout, now_s: float, *, wide: bool
) -> Iterable[RenderableType]:
    """Show the latest decisions; a message that is in the header already is not repeated."""
    latest = rollout.status.decisions[0 if wide else -DECISIONS :]
    if not latest:
        return
    yield Text()
    yield Text("DECISIONS", "bold")
    known = clean(facts.deployment.status.message)
    yield past.decided(latest, lambda instant: words.at(instant, now_s), known)


def _conditions(facts: Facts) -> Iterable[RenderableType]:
    """Show the conditions that are not as they should be; Reconciling is what the phase says."""
    status = facts.deployment.status
    matter = [
        found
        for found in status.conditions
        if found.type != ConditionType.RECONCILING and found.status != _GOOD.get(found.type, "True")
    ]
    if not matter:
        return
    yield Text()
    yield Text("CONDITIONS", "bold")
    for found in matter:
        said = found.message == status.message
        text = f"{clean(found.reason)}" + ("" if said else f": {clean(found.message)}")
        yield _entry(Text(f"  {found.type}={found.status}"), Text(text))


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _entry(label: Text, text: Text) -> Table:
    """Return a label and a text that wraps beside it."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, text)
    return grid
