"""Steps for a harm budget: how large a first share may be, found by trials."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rampway.api.base import API_VERSION, factor
from rampway.api.policy import Policy
from rampway.cli import assumed, reckoning
from rampway.cli.policyfile import Subject
from rampway.cli.simulating import Outcome, outcome
from rampway.cli.words import duration
from rampway.core.instants import brief
from rampway.sim.trials import play

SHARES_PCT = (1, 2, 3, 5, 7, 10, 15, 20, 25, 35, 50)
"""First shares that are tried."""
RISE = 3
"""Each step has so many times the share of the one before."""
LAST_PCT = 60
HOLD_S = 120.0
FEW = 10
"""Trials by which shares are sorted out; the answer is tried again with as many as asked for."""
GIVE_UP = 2.0
"""A trial is given up after so many times the time that there is."""
FAR = 10.0
"""Nothing is tried where evidence is reckoned to take so many times the time that there is."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a rollout may cost.

    Attributes:
        bad_answers: Failed answers of the harmful candidate, in the mean.
        detect: The harm that they are counted for, such as 2x.
        finish_s: Half of the good rollouts take no longer.
        mirror: Copies of requests are judged first.
    """

    bad_answers: float
    detect: str
    finish_s: float
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One way to roll out, as trials found it.

    Attributes:
        first_pct: Share of its first step.
        good: A candidate without harm.
        bad: One with the harm of the budget.
    """

    first_pct: int
    policy: Policy
    good: Outcome
    bad: Outcome

    @property
    def took_s(self) -> float:
        """What half of the good rollouts take at most."""
        return took_s(self.good)

    @property
    def lost(self) -> float:
        """Failed answers of the harmful candidate, in the mean."""
        return self.bad.lost.mean

    def within(self, budget: Budget) -> bool:
        """Whether it costs no more than it may."""
        return self.lost <= budget.bad_answers and self.took_s <= budget.finish_s


def took_s(good: Outcome) -> float:
    """Return what half of the rollouts take at most; infinite if half of them do not end well."""
    done = good.runs - good.unfinished - good.stopped.count
    return good.took.median if 2 * done > good.runs else math.inf


class Impossible(Exception):  # noqa: N818 - an answer, not a defect
    """No steps keep to the budget; the message says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Tries shares for one traffic and one budget.

    Attributes:
        more: Fields of the trials' settings.
    """

    subject: Subject
    traffic: assumed.Traffic
    budget: Budget
    runs: int
    seed: int
    workers: int | None
    told: Callable[[int], None]
    more: dict[str, float]

    def plan(self) -> Option:
        """Return the way with the largest first share, hence the fastest, within the budget.

        Bad answers rise with the first share and the time falls, so halving finds it.

        Raises:
            Impossible: there is none.
        """
        self._hope()
        first_pct = self._largest()
        while first_pct is not None:
            option = self._option(first_pct, self.runs)
            if option.within(self.budget):
                return option
            smaller = [pct for pct in SHARES_PCT if pct < first_pct]
            if option.took_s > self.budget.finish_s:
                raise Impossible(self._too_slow(option))
            first_pct = max(smaller, default=None)
        raise Impossible(self._too_dear())

    def _hope(self) -> None:
        """Say so at once where evidence takes far longer than there is, whatever is tried."""
        policy = planned(self.subject.policy, SHARES_PCT[-1], self.budget, self.traffic)
        within_s = FAR * self.budget.finish_s
        why = reckoning.hopeless(policy, self.traffic.rate_per_s, within_s)
        if why:
            mirror = "" if self.budget.mirror else ", or --mirror: copies are judged as well"
            raise Impossible(
                f"impossible: {why}, not within {brief(self.budget.finish_s)}. What would do: a "
                f"longer --finish-within, a larger --detect{mirror}."
            )

    def _largest(self) -> int | None:
        """Return the largest first share whose harm is within the budget, as few trials tell."""
        best: int | None = None
        low, high = 0, len(SHARES_PCT)
        while low < high:
            middle = (low + high) // 2
            if self._bad(SHARES_PCT[middle], FEW).lost.mean <= self.budget.bad_answers:
                best, low = SHARES_PCT[middle], middle + 1
            else:
                high = middle
        return best

    def _in_time(self, first_pct: int) -> bool:
        policy = planned(self.subject.policy, first_pct, self.budget, self.traffic)
        good = self._played(policy, first_pct, assumed.NO_HARM, FEW)
        return took_s(good) <= self.budget.finish_s

    def _option(self, first_pct: int, runs: int) -> Option:
        policy = planned(self.subject.policy, first_pct, self.budget, self.traffic)
        good = self._played(policy, first_pct, assumed.NO_HARM, runs)
        return Option(first_pct, policy, good, self._bad(first_pct, runs))

    def _bad(self, first_pct: int, runs: int) -> Outcome:
        policy = planned(self.subject.policy, first_pct, self.budget, self.traffic)
        harm = assumed.errors(self.budget.detect, self.traffic, policy)
        return self._played(policy, first_pct, harm, runs)

    def _played(self, policy: Policy, first_pct: int, harm: assumed.Harm, runs: int) -> Outcome:
        tried, _ = assumed.tried(policy, self.traffic)
        more = self.more | {"longest_s": GIVE_UP * self.budget.finish_s}
        setting = assumed.setting(self.subject.spec, tried, self.traffic, harm, **more)
        # Dice of their own for the search: its luck is no part of the answer.
        seed = 10 * (100 * self.seed + first_pct) + 2 * (runs > FEW) + (harm is assumed.NO_HARM)
        (ended,) = play(
            setting, [setting.candidate], runs, seed, workers=self.workers, told=self.told
        )
        return outcome(harm, ended)

    def _too_slow(self, option: Option) -> str:
        budget, rate = self.budget, self.traffic.rate_per_s
        took = "longer than was tried" if math.isinf(option.took_s) else brief(option.took_s)
        text = (
            f"impossible: at {rate:.3g} requests a second, steps that keep to "
            f"{budget.bad_answers:g} bad answers begin with {option.first_pct} % and take {took}, "
            f"not {brief(budget.finish_s)}"
        )
        larger = [pct for pct in SHARES_PCT if pct > option.first_pct]
        fast = next(iter(larger[bisect_left(larger, True, key=self._in_time) :]), None)
        if fast is None:
            return f"{text}. No larger share is done in time either. {self._would_do()}"
        return (
            f"{text}. In time are only steps that begin with {fast} % or more, and they cost "
            f"{self._bad(fast, FEW).lost.mean:.0f} bad answers. {self._would_do()}"
        )

    def _too_dear(self) -> str:
        least = self._bad(SHARES_PCT[0], FEW)
        return (
            f"impossible: at {self.traffic.rate_per_s:.3g} requests a second even steps that "
            f"begin with {SHARES_PCT[0]} % cost {least.lost.mean:.0f} bad answers where "
            f"{least.harm.name}, not {self.budget.bad_answers:g}: so many it takes to tell "
            f"this harm from chance. {self._would_do()}"
        )

    def _would_do(self) -> str:
        mirror = "" if self.budget.mirror else ", or --mirror: copies are judged that nobody sees"
        return (
            "What would do: more --max-bad-answers, a longer --finish-within, a larger --detect"
            f"{mirror}."
        )


def planned(base: Policy, first_pct: int, budget: Budget, traffic: assumed.Traffic) -> Policy:
    """Return a policy with steps from a first share on, and all else as it is."""
    spec = base.model_dump(mode="json", by_alias=True, exclude_unset=True)
    spec["steps"] = steps(first_pct, budget)
    given = spec.get("checks") or _checks(traffic, budget.detect)
    spec["checks"] = [_detecting(c, budget.detect) for c in given]
    return Policy.model_validate(spec, by_name=False)


def steps(first_pct: int, budget: Budget) -> list[dict[str, Any]]:
    """Return the steps: each share is RISE times the one before."""
    shares = [first_pct]
    while shares[-1] * RISE <= LAST_PCT:
        shares.append(shares[-1] * RISE)
    number = len(shares) + budget.mirror
    hold = duration(max(10, 10 * (min(HOLD_S, budget.finish_s / (3 * number)) // 10)))
    first = [{"name": "shadow", "mirror": "100%", "hold": hold}] if budget.mirror else []
    return [*first, *({"name": f"at-{p}", "weight": f"{p}%", "hold": hold} for p in shares)]


def _checks(traffic: assumed.Traffic, detect: str) -> list[dict[str, Any]]:
    """Return checks that tell the harm to detect from what they tolerate.

    What is ignored lies a quarter of the way from stable's own failures to the harm. Less would
    not do: of a kind of failure that stable has none of, the harm is a multiple of what is ignored.
    """
    ignored = {}
    if traffic.error_rate:
        part = min(1.0, (factor(detect) - 1.1) / 4)
        ignored = {"ignoreBelow": f"{max(0.005, 100 * traffic.error_rate * part):.3f}%"}
    return [{"name": "errors", "errorRate": ignored}, {"name": "latency", "latency": {}}]


def _detecting(check: dict[str, Any], detect: str) -> dict[str, Any]:
    if "errorRate" not in check:
        return check
    return check | {"errorRate": (check["errorRate"] or {}) | {"detect": detect}}


def manifest(option: Option, name: str, base: Policy) -> dict[str, Any]:
    """Return the policy as an object to apply, with the watch of the one it was made from."""
    policy = option.policy.model_copy(update={"watch": base.watch}) if base.watch else option.policy
    spec = policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        "apiVersion": API_VERSION,
        "kind": "RolloutPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def left_out(base: Policy) -> Sequence[str]:
    """Return what the steps of the policy that it was made from had, and these have not."""
    asks = any(step.approval for step in base.steps)
    raises = any(step.automation for step in base.steps)
    lost = [*(["approvals"] if asks else []), *(["degrees of automation"] if raises else [])]
    return [f"Not taken over from the steps before: {' and '.join(lost)}."] if lost else []


def costs(option: Option, traffic: assumed.Traffic, replicas: int, seed: int) -> Sequence[str]:
    """Return in sentences what it costs."""
    good, bad = option.good, option.bad
    pods = good.most_pods - replicas
    took = (
        f"Without harm: half of the rollouts take {brief(good.took.median)} or less, 98 % of them "
        f"{brief(good.took.low)} to {brief(good.took.high)}; "
        f"{good.stopped.count} of {good.runs} were rolled back wrongly."
    )
    harm = (
        f"Where {bad.harm.name}: {bad.stopped.count} of {bad.runs} stopped, half of them within "
        f"{brief(bad.exposed.median)}; {bad.lost.mean:.0f} bad answers in the mean, at most "
        f"{bad.lost.high:.0f} in 99 of 100."
    )
    extra = f"Extra pods: {pods} at most; {good.pod_hours.mean:.1f} pod hours a rollout."
    _, notes = assumed.tried(option.policy, traffic)
    granted = [f"Taken for granted: {'; '.join(notes)}."] if notes else []
    head = f"For {traffic.said}. Tried {good.runs} times each, seed {seed}."
    return [head, took, harm, extra, *granted]


def unwatched(subject: Subject) -> Subject:
    """Return the subject without a watch: a plan is of what leads to promotion."""
    return replace(subject, policy=subject.policy.model_copy(update={"watch": None}))
