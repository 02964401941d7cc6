"""The answer to one query of a user: a value, or why there is none."""

from dataclasses import dataclass
from enum import StrEnum


class AnswerKind(StrEnum):
    """What a user's query came back as."""

    VALUE = "Value"
    NO_DATA = "NoData"
    NOT_A_NUMBER = "NotANumber"
    SEVERAL_SERIES = "SeveralSeries"
    WRONG_TYPE = "WrongType"
    BAD_QUERY = "BadQuery"
    UNAVAILABLE = "Unavailable"

    @property
    def users_mistake(self) -> bool:
        """Whether only the user can mend it: the query itself is wrong."""
        return self in {AnswerKind.SEVERAL_SERIES, AnswerKind.WRONG_TYPE, AnswerKind.BAD_QUERY}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query: a value, or why there is none, in a sentence."""

    kind: AnswerKind
    value: float | None = None
    message: str = ""
    at_s: float = 0.0
