"""Defects that the model has found and that are open: what they show does not fail the suite.

Each is counted and printed by its name. An entry goes when the defect is mended.
"""

from collections.abc import Callable

from simulation.systematic.run import Run

Shows = Callable[[Run, str], bool]


def _broken_stable(_run: Run, problem: str) -> bool:
    """Stable itself is broken, and what the spec names now could replace it."""
    return "no rest" in problem and "no scrape of the stable" in problem


def _deleted_beside_a_trial(run: Run, problem: str) -> bool:
    """The route of a deleted one still has its copies or header rule when it is applied again."""
    again = any(event.startswith("deleted-and-applied") for event in _events(run))
    return again and "no rollout's candidate is tried" in problem


def _edited_beside_copies(run: Run, problem: str) -> bool:
    """A foreign hand gives the one a share that gets copies."""
    edited = "route-edited" in _events(run) and run.case.strategy != "canary"
    return edited and ("at a time" in problem or "allowed is" in problem)


def _aborted_in_between(run: Run, problem: str) -> bool:
    """A person's abort meets another wish at the same time; what is allowed is not settled."""
    people = any(event.endswith("-by-a-person") for event in _events(run))
    return people and ("allowed is" in problem or "the spec names" in problem)


def _killed_at_the_watchs_end(run: Run, problem: str) -> bool:
    """Killed for its memory at the very end of the watch, with nothing left to return to."""
    killed = any(event.startswith("candidate-") for event in _events(run))
    return killed and run.case.strategy == "watched" and "Promoted v2" in problem


def _events(run: Run) -> set[str]:
    return {event.name for _, event in run.history}


OPEN: dict[str, tuple[str, Shows]] = {
    "broken-stable": (
        "B17: where no pod of stable runs, a sound candidate waits for evidence about stable",
        _broken_stable,
    ),
    "deleted-beside-a-trial": (
        "B14, B34: applied again in a trial, copies or a header rule outlive the deleted one",
        _deleted_beside_a_trial,
    ),
    "edited-beside-copies": (
        "B14: a share that a foreign hand gives beside copies is seen with them",
        _edited_beside_copies,
    ),
    "aborted-in-between": (
        "B26: an abort meets a new revision or another request at the same time",
        _aborted_in_between,
    ),
    "killed-at-the-watchs-end": (
        "B27: a revision killed for its memory as its watch ends stays stable",
        _killed_at_the_watchs_end,
    ),
}


def known(run: Run, problem: str) -> str:
    """Return the name of the open defect that a problem shows, empty if it is a new one."""
    return next((name for name, (_, shows) in OPEN.items() if shows(run, problem)), "")
