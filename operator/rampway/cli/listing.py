"""All ModelDeployments at a glance: a row for each. Pure."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from rampway.api.deployment import RevisionStatus
from rampway.api.parse import ModelDeployment
from rampway.cli import words
from rampway.cli.facts import full_size
from rampway.cli.printing import rows
from rampway.cli.words import clean
from rampway.core.instants import from_wire

_TITLES = ("NAME", "PHASE", "STABLE", "CANDIDATE", "STEP", "WEIGHT>", "AGE>", "REASON")


def table(
    found: Sequence[ModelDeployment], now_s: float, *, among: str | None, wide: bool
) -> Table | Text:
    """Return the table of a namespace, None: of all; `wide`: with the whole message."""
    spaces = among is None
    if not found:
        return Text(f"no ModelDeployments{'' if spaces else f' in namespace {among}; -A: in all'}")
    titles = ("NAMESPACE", *_TITLES) if spaces else _TITLES
    extra = ("PODS>", "AUTOMATION", "MESSAGE") if wide else ()
    made = []
    for one in found:
        row = _row(one, now_s)
        space = [Text(one.namespace)] if spaces else []
        more = [_pods(one), _automation(one), Text(clean(one.status.message))] if wide else []
        made.append([*space, *row, *more])
    return rows((*titles, *extra), made)


def _row(one: ModelDeployment, now_s: float) -> list[Text]:
    status = one.status
    symbol, colour = words.PHASES.get(status.phase, words.OTHER)
    behind = status.observed_generation < one.generation
    phase = Text(f"{symbol} {status.phase}", colour) if status.phase else Text("⚠ none", "yellow")
    reason = "the operator has not looked at the change yet" if behind else clean(status.reason)
    return [
        Text(one.name, "bold"),
        phase,
        Text(_revision(status.stable)),
        Text(_revision(status.candidate)),
        Text(clean(status.step) or "-"),
        Text(f"{status.weight_pct} %" if status.candidate or status.weight_pct else "-"),
        Text(words.ago(from_wire(one.created_at), now_s)),
        Text(reason, "yellow" if behind else ""),
    ]


def _revision(named: RevisionStatus | None) -> str:
    return clean(named.shown) if named else "-"


def _pods(one: ModelDeployment) -> Text:
    ready = one.status.stable.ready_replicas if one.status.stable else 0
    wanted = full_size(one)
    return Text(f"{ready}/{wanted}", "yellow" if ready < wanted else "")


def _automation(one: ModelDeployment) -> Text:
    return Text(clean(one.status.stable.automation) or "-" if one.status.stable else "-")


def data(found: Sequence[ModelDeployment]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {
            "namespace": one.namespace,
            "name": one.name,
            "generation": one.generation,
            "createdAt": one.created_at,
            "paused": one.spec.paused,
            "replicas": full_size(one),
            "status": one.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        for one in found
    ]
