"""Defects that the model has found and that are open: what they show does not fail the suite.

Each is counted and printed by its name. An entry goes when the defect is mended.
"""

from collections.abc import Callable

from simulation.systematic.run import Run

Shows = Callable[[Run, str], bool]


def _broken_stable(_run: Run, problem: str) -> bool:
    """Stable itself is broken, and what the spec names now could replace it."""
    return "no rest" in problem and "no scrape of the stable" in problem


OPEN: dict[str, tuple[str, Shows]] = {
    "broken-stable": (
        "B17: where no pod of stable runs, a sound candidate waits for evidence about stable",
        _broken_stable,
    ),
}


def known(run: Run, problem: str) -> str:
    """Return the name of the open defect that a problem shows, empty if it is a new one."""
    return next((name for name, (_, shows) in OPEN.items() if shows(run, problem)), "")
