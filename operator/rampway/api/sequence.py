"""In which order the steps of a policy may stand, and which of them breaks a rule."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated

from rampway.api.rules import Path, Rule, matches
from rampway.api.steps import SHARE_PATTERN, Step


def _sorted_weights(steps: Sequence[Step]) -> bool:
    found = [w for w in (step.weights_pct for step in steps) if w is not None]
    return all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(found))


def _weights_last(steps: Sequence[Step]) -> bool:
    kinds = [step.weights_pct is not None for step in steps if step.approval is None]
    return kinds == sorted(kinds)


def named(steps: Sequence[Step], which: Callable[[Step], bool]) -> str:
    """Return the steps that something is so of, as `steps[0] five, steps[2] half`."""
    found = (f"steps[{i}] {step.name}" for i, step in enumerate(steps) if which(step))
    return ", ".join(found)


def _named_twice(steps: Sequence[Step]) -> str:
    names = [step.name for step in steps]
    return named(steps, lambda step: names.count(step.name) > 1)


def _second_of_a_name(steps: Sequence[Step]) -> Path:
    names = [step.name for step in steps]
    return next(i for i, name in enumerate(names) if name in names[:i]), "name"


def _fall(steps: Sequence[Step]) -> tuple[int, int]:
    """Return which step has more than a later one has, and which one that is."""
    found = [(i, w) for i, s in enumerate(steps) if (w := s.weights_pct)]
    return next((i, j) for (i, a), (j, b) in pairwise(found) if a[0] > b[0] or a[1] > b[1])


def _falling(steps: Sequence[Step]) -> str:
    before, after = (
        f"steps[{i}] {steps[i].name} with {_share(steps[i].weights_pct or (0, 0))}"
        for i in _fall(steps)
    )
    return f"{after} after {before}"


def _fallen(steps: Sequence[Step]) -> Path:
    _, after = _fall(steps)
    return after, "ramp" if steps[after].ramp else "weight"


def _second_ramp(steps: Sequence[Step]) -> Path:
    return [i for i, step in enumerate(steps) if step.ramp is not None][1], "ramp"


def _share(weights_pct: tuple[int, int]) -> str:
    first, last = weights_pct
    return f"{first}%" if first == last else f"{first}% to {last}%"


def _too_late(steps: Sequence[Step]) -> tuple[int, int]:
    """Return which step is the first with a share, and which later one has mirror or match."""
    weighted = next(i for i, step in enumerate(steps) if step.weights_pct)
    late = (i for i, s in enumerate(steps) if s.mirror is not None or s.match is not None)
    return weighted, next(i for i in late if i > weighted)


def _trial_too_late(steps: Sequence[Step]) -> str:
    weighted, late = (f"steps[{i}] {steps[i].name}" for i in _too_late(steps))
    return f"{late} after {weighted}"


def _late_trial(steps: Sequence[Step]) -> Path:
    _, late = _too_late(steps)
    return late, "mirror" if steps[late].mirror is not None else "match"


_WELL_FORMED = (
    f"self.all(step, (!has(step.weight) || {matches('step.weight', SHARE_PATTERN)}) && "
    f"(!has(step.ramp) || ({matches('step.ramp.from', SHARE_PATTERN)} && "
    f"{matches('step.ramp.to', SHARE_PATTERN)})))"
)


def _in_order(end: str) -> str:
    of_step, of_ramp = (f"int(step.{at}.replace('%', ''))" for at in ("weight", f"ramp.{end}"))
    # One map that also filters: of what filter() returns, the API server forgets how long it is.
    has_one = "has(step.weight) || has(step.ramp)"
    return f"self.map(step, {has_one}, has(step.weight) ? {of_step} : {of_ramp}).isSorted()"


Steps = Annotated[
    tuple[Step, ...],
    Rule(
        cel="self.all(step, self.exists_one(other, other.name == step.name))",
        message="expected a name of its own for each step",
        holds=lambda steps: len({step.name for step in steps}) == len(steps),
        seen=_named_twice,
        at=_second_of_a_name,
    ),
    Rule(
        cel=f"!{_WELL_FORMED} || ({_in_order('from')} && {_in_order('to')})",
        message="expected weights that never fall from one step to the next",
        holds=_sorted_weights,
        seen=_falling,
        at=_fallen,
    ),
    Rule(
        cel="self.filter(step, has(step.ramp)).size() <= 1",
        message="expected at most one ramp",
        holds=lambda steps: sum(step.ramp is not None for step in steps) <= 1,
        seen=lambda steps: named(steps, lambda step: step.ramp is not None),
        at=_second_ramp,
    ),
    Rule(
        cel="self.filter(step, !has(step.approval))"
        ".map(step, has(step.weight) || has(step.ramp) ? 1 : 0).isSorted()",
        message="expected steps with mirror or match before those with weight or ramp: who has "
        "had real answers is not sent back to the trial",
        holds=_weights_last,
        seen=_trial_too_late,
        at=_late_trial,
    ),
]
"""Their order is their meaning, hence no keyed list: a merge by name could mix two orders."""
