"""Events about a pause, and about its end; what a rollout records of them is in reactions."""

from rampway.api.authors import Author, Told
from rampway.api.conditions import Act, Reason
from rampway.core.actions import Action, Emit, WriteStatus
from rampway.core.model import authors
from rampway.core.observation import Observation


def told(obs: Observation, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return the actions with the Event about a pause, or the end of one, among them.

    It comes before the status, which then tells of it: a crash in between repeats it, by its name
    once. Whatever else there is to do comes first.
    """
    at = next((n for n, one in enumerate(actions) if isinstance(one, WriteStatus)), len(actions))
    return (*actions[:at], *_news(obs), *actions[at:])


def _news(obs: Observation) -> tuple[Emit, ...]:
    """Return the Event about a pause, or the end of one, that the status does not tell of yet."""
    known, now = obs.deployment.status.paused_by, obs.authors.paused
    if now is not None and _essence(now) != _essence(known):
        return (_event(Act.PAUSED, Reason.PAUSED, authors.in_full("paused", now), now),)
    if known is not None and not obs.deployment.spec.paused:
        ended = obs.authors.resumed or Author()
        # Of a pause whose end nobody stamped, its begin makes the name.
        key = ended if ended.told == Told.STAMP else known
        return (_event(Act.RESUMED, Reason.RESUMED, authors.in_full("resumed", ended), key),)
    return ()


def _event(act: Act, reason: Reason, text: str, about: Author) -> Emit:
    return Emit(f"{act}-{about.by}-{about.at}", act, reason, text)


def _essence(author: Author | None) -> tuple[str, ...]:
    """Return what makes it another pause; a program's latest write may be about anything."""
    if author is None:
        return ()
    return (author.by, author.told, author.at if author.told == Told.STAMP else "")
