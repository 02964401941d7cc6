"""Defects that the model has found and that are open: what they show does not fail the suite.

Each is counted and printed by its name. An entry goes when the defect is mended.
"""

from collections.abc import Callable

from simulation.systematic.run import Run

Shows = Callable[[Run, str], bool]
_METRICS = {"prometheus-down", "prometheus-500", "prometheus-partial"}


def _first_look_failed(run: Run, problem: str) -> bool:
    """Prometheus was away at the first look of a rollout, and its evidence never begins."""
    return "no rest" in problem and "no scrape of" in problem and bool(_METRICS & set(run.late))


def _overlooked(run: Run, problem: str) -> bool:
    """The candidate turned bad after the first step, and each later step had one look at it."""
    turned = {"candidate-errors", "candidate-slow"} & set(run.late)
    return bool(turned) and "bad" in problem and "promoted" in problem


def _crashes_once_stable(_run: Run, problem: str) -> bool:
    """The candidate loses its last ready pod between becoming stable and the Service's switch."""
    return "no rest" in problem and "switching the Service" in problem


def _broken_stable(_run: Run, problem: str) -> bool:
    """Stable itself is broken, and what the spec names now could replace it."""
    return "no rest" in problem and "no scrape of the stable" in problem


def _slow_stable(_run: Run, problem: str) -> bool:
    """Stable became slow, and a check compares with it what is sound."""
    return "no rest" in problem and "no number of requests at this split" in problem


OPEN: dict[str, tuple[str, Shows]] = {
    "first-look-failed": (
        "B17: Prometheus away at a rollout's first look: later looks begin in 1970, it holds",
        _first_look_failed,
    ),
    "overlooked": (
        "B18: a step shorter than the looks that prove harm passes on earlier steps' power",
        _overlooked,
    ),
    "crashes-once-stable": (
        "B24: a new stable without pods is waited for, though its predecessor's are ready",
        _crashes_once_stable,
    ),
    "broken-stable": (
        "B17: where no pod of stable runs, a sound candidate waits for evidence about stable",
        _broken_stable,
    ),
    "slow-stable": (
        "B18: where stable itself became slow a sound candidate never has had power, and waits",
        _slow_stable,
    ),
}


def known(run: Run, problem: str) -> str:
    """Return the name of the open defect that a problem shows, empty if it is a new one."""
    return next((name for name, (_, shows) in OPEN.items() if shows(run, problem)), "")
