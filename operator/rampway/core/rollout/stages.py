"""What a policy's steps come to: stages, each a split of the requests. A strategy is this data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rampway.api.automation import Automation
from rampway.api.policy import Policy, Strategy
from rampway.api.steps import HeaderMatch, Ramp, Shape, Step, percent
from rampway.core.traffic.split import STABLE_ONLY, Split

FULL_PCT = 100
RAMP_STAGES = 10
"""A ramp rises in at most so many stages: each waits for evidence of its own."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a rollout.

    Attributes:
        name: Name of the step that it comes from.
        weight_pct: The candidate's share of all requests.
        mirror_pct: Share of the requests that it gets a copy of.
        headers: Requests with all of these go to it.
        size_pct: Part of its full size that it needs.
        hold_s: It lasts at least this long.
        min_requests: It lasts until the candidate answered so many.
        approval: A person's consent is needed, and what they are to look at; None if not.
        automation: What applications are told of the candidate's answers; None: as the spec says.
        asked_pct: The share that was asked for, where numbers of pods give it (podshare.py).
        pods: So many pods it has then, no more; else None.
    """

    name: str
    weight_pct: int = 0
    mirror_pct: int = 0
    headers: tuple[HeaderMatch, ...] = ()
    size_pct: int = FULL_PCT
    hold_s: float = 0.0
    min_requests: int = 0
    approval: str | None = None
    automation: Automation | None = None
    asked_pct: int = 0
    pods: int | None = None

    @property
    def share(self) -> str:
        """What of the requests it gives, such as `10%`, `mirror 50%` or `match`; empty if none."""
        if self.weight_pct or self.asked_pct:
            return f"{self.weight_pct}%"
        if self.mirror_pct:
            return f"mirror {self.mirror_pct}%"
        return "match" if self.headers else ""

    @property
    def shown(self) -> str:
        """What it does, in a word or two: its share, and whether a person is asked."""
        notes = [f"{self.asked_pct}% asked"] if self.asked_pct not in {0, self.weight_pct} else []
        notes += ["approval"] if self.approval is not None else []
        about = ", ".join(notes)
        return f"{self.share} ({about})" if self.share and about else self.share or about

    @property
    def impossible(self) -> bool:
        """Whether its share is too small to be given."""
        return bool(self.asked_pct and not self.weight_pct)

    @property
    def exposes(self) -> bool:
        """Whether any request reaches the candidate."""
        return bool(self.weight_pct or self.mirror_pct or self.headers)

    def split(self, candidate: str) -> Split:
        """Return the whole of it as a split; what ready pods carry may be less (B6)."""
        if not self.exposes:
            return STABLE_ONLY
        return Split(candidate, self.weight_pct, self.mirror_pct, self.headers)


def of(policy: Policy) -> tuple[Stage, ...]:
    """Return the stages of a policy, in order."""
    return _stages(policy.strategy, policy.steps)


def sentence(found: Sequence[Stage], index: int) -> str:
    """Return a stage (0-based index) as people read it: `step 2/3 look: 10% (approval)`."""
    stage = found[index]
    return f"step {index + 1}/{len(found)} {stage.name}: {stage.shown}"


@lru_cache(maxsize=4096)
def _stages(strategy: Strategy, steps: tuple[Step, ...]) -> tuple[Stage, ...]:
    found: list[Stage] = []
    for step in steps:
        before = found[-1] if found else Stage("", size_pct=1)
        degree = step.automation or before.automation
        found += [replace(stage, automation=degree) for stage in _of_step(step, before)]
    if strategy is Strategy.BLUE_GREEN:
        found = [replace(stage, size_pct=FULL_PCT) for stage in found]
    return tuple(found)


def _of_step(step: Step, before: Stage) -> list[Stage]:
    if step.approval is not None:  # nothing moves while a person thinks
        same = replace(before, name=step.name, hold_s=0.0, min_requests=0)
        return [replace(same, approval=step.approval.message)]
    if step.ramp is not None:
        weights = _rising(step.ramp)
        hold_s = step.ramp.over_s / len(weights)
        return [_weighted(step, weight, hold_s) for weight in weights]
    if step.weight is not None:
        return [_weighted(step, percent(step.weight), step.hold_s)]
    if step.mirror is not None:
        share = percent(step.mirror)
        return [
            Stage(
                step.name,
                mirror_pct=share,
                size_pct=share,
                hold_s=step.hold_s,
                min_requests=step.min_requests,
            )
        ]
    headers = step.match.as_headers if step.match else ()
    chosen = Stage(step.name, headers=headers, hold_s=step.hold_s)
    return [replace(chosen, min_requests=step.min_requests)]


def _weighted(step: Step, weight_pct: int, hold_s: float) -> Stage:
    return Stage(
        step.name,
        weight_pct=weight_pct,
        size_pct=weight_pct,
        hold_s=hold_s,
        min_requests=step.min_requests,
    )


def _rising(ramp: Ramp) -> list[int]:
    """Return a ramp's weights in percent; all of it is no stage but the promotion."""
    first, last = percent(ramp.from_), percent(ramp.to)
    number = min(RAMP_STAGES, last - first + 1)
    parts = [n / (number - 1) for n in range(number)]
    if ramp.shape is Shape.LINEAR:
        exact = [first + (last - first) * part for part in parts]
    else:
        exact = [first * (last / first) ** part for part in parts]
    found = sorted({round(weight) for weight in exact})
    return [weight for weight in found if weight < FULL_PCT]
