"""What `explain` has to say: sentences, as data."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that has to be so before it goes on; `met` None: nobody can know from here."""

    met: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences.

    Attributes:
        where: Where it is.
        why: Why, in the operator's words.
        needs: What has to be so before it goes on.
        then: What happens once all of it is so.
        moves: What a person can do.
        back: What would send it back by itself.
        who: Who paused it, changed it, released what is rolled out.
    """

    where: str
    why: str
    needs: tuple[Need, ...] = ()
    then: str = ""
    moves: tuple[str, ...] = ()
    back: tuple[str, ...] = field(default=())
    who: tuple[str, ...] = field(default=())
