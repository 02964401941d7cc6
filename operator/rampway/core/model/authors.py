"""Who asked, paused, resumed and changed, and how that is said."""

from dataclasses import dataclass

from rampway.api.authors import Author, Told
from rampway.api.rollout import Request

SOMEBODY = "somebody"
UNSTAMPED = "no names are stamped here"
"""What is said where the API server has no policy that puts down who it was."""


@dataclass(frozen=True, slots=True)
class Authors:
    """Who did what, None where that has not happened, or nobody can tell.

    Attributes:
        paused: Who paused it; None while it is not paused.
        resumed: Who ended the last pause; where no names are stamped, who last set `spec.paused`,
            which may be who made the object.
        changed: Who changed `model` or `server` last.
    """

    paused: Author | None = None
    resumed: Author | None = None
    changed: Author | None = None


NOBODY = Authors()


def who(asked: Request) -> str:
    """Return who asked something of a rollout, as far as the API server told."""
    return asked.by or SOMEBODY


def in_words(what: str, asked: Request) -> str:
    """Return what a person did, who it was, and why."""
    return f"{what} by {who(asked)}" + (f": {asked.message}" if asked.message else "")


def actor(author: Author | None) -> str:
    """Return whom a decision is put down to; empty where nothing at all is known."""
    if author is None:
        return ""
    return author.by if author.told == Told.STAMP else SOMEBODY


def by_whom(author: Author | None) -> str:
    """Return ` by alice`, ` by somebody with kubectl-patch`, or nothing where nobody can tell."""
    if author is None or not author.by:
        return ""
    return f" by {author.by}" if author.told == Told.STAMP else f" by {SOMEBODY} with {author.by}"


def in_full(what: str, author: Author | None, *notes: str) -> str:
    """Return what was done, by whom, when; notes in brackets, and that nobody stamps names."""
    known = author is not None and author.told == Told.MANAGER
    about = "; ".join([*notes, *([UNSTAMPED] if known else [])])
    return f"{what}{by_whom(author)}{_when(author)}" + (f" ({about})" if about else "")


def _when(author: Author | None) -> str:
    if author is None or not author.at:
        return ""
    return f" at {author.at}" if author.told == Told.STAMP else f", which wrote last at {author.at}"


def stamped(author: Author | None) -> Author | None:
    """Return who it was where a stamp says so, else None."""
    return author if author is not None and author.told == Told.STAMP else None


def released(author: Author | None) -> str:
    """Return who asked for what is rolled out, as the end of a sentence; nothing if unknown."""
    return f"; {in_full('spec changed', author)}" if author is not None else ""


def pause(author: Author | None, where: str = "") -> str:
    """Return the pause as a sentence's part, with the field that ends it; `where` is ` at 10 %`."""
    return in_full(f"paused{where}", author, "spec.paused")
