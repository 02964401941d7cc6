"""Which decisions a rollout keeps on record where there are more than its status has room for."""

from rampway.api.conditions import Act
from rampway.api.rollout import Decision

MAX_DECISIONS = 40
MAX_ANSWERS = 100
"""So many answers of checks are kept with them, the newest: an object must not grow too large."""
_MANY = (Act.QUEUED, Act.ASKED, Act.STEP_STARTED)
"""What there is much of, the least important first; the latest of each says what is known."""


def kept(made: tuple[Decision, ...], most: int = MAX_DECISIONS) -> tuple[Decision, ...]:
    """Return the decisions as far as there is room; the newest, the last, is always among them.

    Whoever may pause may do so any number of times: a pause that is over goes first, the oldest
    before others, so that it pushes no approval, promotion or rollback off the record.
    """
    while len(made) > most:
        gone = _pause(made) or _one_of_many(made) or {0}
        made = tuple(one for n, one in enumerate(made) if n not in gone)
    return _with_answers(made)


def _with_answers(made: tuple[Decision, ...]) -> tuple[Decision, ...]:
    """Return the decisions without the answers of the oldest, as far as there is no room."""
    room, found = MAX_ANSWERS, []
    for one in reversed(made):
        room -= len(one.checks)
        found.append(one if room >= 0 else one.model_copy(update={"checks": ()}))
    return tuple(reversed(found))


def _pause(made: tuple[Decision, ...]) -> set[int]:
    """Return where the oldest pause that is over begins and ends, as far as it is not the newest.

    A begin or an end whose other half is gone already counts alone.
    """
    begun: set[int] = set()
    for n, one in enumerate(made):
        if one.action == Act.PAUSED:
            if begun:
                return begun
            begun = {n}
        elif one.action == Act.RESUMED:
            found = (begun | {n}) - {len(made) - 1}
            if found:
                return found
    return set()


def _one_of_many(made: tuple[Decision, ...]) -> set[int]:
    """Return where the oldest of what there is much of is, the latest of each left out."""
    for act in _MANY:
        found = [n for n, one in enumerate(made) if one.action == act]
        if len(found) > 1:
            return {found[0]}
    return set()
