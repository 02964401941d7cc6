"""The traffic client, for the cluster tests: the very one that the demo uses."""

from demo.load import (
    Answer,
    Digit,
    NoGateway,
    Plan,
    Summary,
    main,
    read_answers,
    read_digits,
    run,
)

__all__ = [
    "Answer",
    "Digit",
    "NoGateway",
    "Plan",
    "Summary",
    "main",
    "read_answers",
    "read_digits",
    "run",
]
