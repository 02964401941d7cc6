"""Who paused, resumed, changed and released, as a reader wants it: how long ago. Pure."""

from collections.abc import Iterator

from rampway.api.authors import Author, Told
from rampway.api.conditions import Reason
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.cli import words
from rampway.cli.facts import Facts, ended
from rampway.cli.words import clean
from rampway.core.instants import from_wire
from rampway.core.model.authors import UNSTAMPED, by_whom

HOW = (
    "the API server stamps no names: it knows the program that wrote a field, and when that wrote "
    "last. On Kubernetes 1.36 `kubectl apply -k manifests/people/stamp` has it put down users"
)


def lines(deployment: ModelDeployment, rollout: ModelRollout | None, now_s: float) -> Iterator[str]:
    """Yield who paused or resumed it, and who changed it if that is not what is rolled out."""
    status = deployment.status
    if status.paused_by is not None:
        if status.reason != Reason.PAUSED:  # else the message has it
            yield said("paused", status.paused_by, now_s)
    elif status.resumed_by is not None and _within(rollout, status.resumed_by):
        yield said("resumed", status.resumed_by, now_s)
    released_by = rollout.spec.released_by if rollout else None
    if status.changed_by is not None and status.changed_by != released_by:
        yield said("model or server changed last", status.changed_by, now_s)


def _within(rollout: ModelRollout | None, author: Author) -> bool:
    """Whether it was done while this rollout ran, which has not ended."""
    if rollout is None or ended(rollout):
        return False
    began_s, at_s = from_wire(rollout.status.started_at), from_wire(author.at)
    return began_s is None or at_s is None or at_s >= began_s


def who(facts: Facts, now_s: float) -> Iterator[str]:
    """Yield all that is known, and by what where it is no user's name."""
    yield from lines(facts.deployment, facts.rollout, now_s)
    if facts.running and facts.running.spec.released_by.by:
        yield said(f"{facts.running.name} released", facts.running.spec.released_by, now_s)
    status = facts.deployment.status
    known = [one for one in (status.paused_by, status.changed_by) if one is not None]
    if any(author.told == Told.MANAGER for author in known):
        yield HOW


def said(what: str, author: Author, now_s: float) -> str:
    """Return what was done, by whom, or at least with which program, and how long ago."""
    at_s = from_wire(author.at)
    age = "" if at_s is None else f" {words.ago(at_s, now_s)} ago"
    if age and author.told == Told.MANAGER:
        age = f", which wrote last{age} ({UNSTAMPED})"
    return clean(f"{what}{by_whom(author)}{age}")


def of(author: Author) -> str:
    """Return the name alone: of a user, or of a program; `-` where nobody can tell."""
    return by_whom(author).removeprefix(" by ") or "-"
