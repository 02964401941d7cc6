"""Steps for a harm budget: how large a first share may be, found by trials."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rampway.api.policy import Policy
from rampway.cli import assumed, drafting, reckoning, sight
from rampway.cli.drafting import Budget
from rampway.cli.policyfile import Subject
from rampway.cli.simulating import Outcome, outcome
from rampway.core.evidence import TARGET
from rampway.core.instants import brief
from rampway.core.numerals import plain
from rampway.sim.trials import chance, play

SHARES_PCT = (1, 2, 3, 5, 7, 10, 15, 20, 25, 35, 50)
"""First shares that are tried."""
FEW = 10
"""Trials by which shares are sorted out; the answer is tried again with as many as asked for."""
GIVE_UP = 2.0
"""A trial is given up after so many times the time that there is."""
FAR = 10.0
"""Nothing is tried where evidence is reckoned to take so many times the time that there is."""
HOUR_S = 3600.0


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

    def within(self, budget: Budget) -> bool:
        """Whether it finds the harm, with a check's power (B18), and costs no more than it may."""
        cheap = self.bad.lost.mean <= budget.bad_answers
        return cheap and self.took_s <= budget.finish_s and self.bad.stopped.share >= TARGET


def took_s(good: Outcome) -> float:
    """Return what half of the rollouts take at most; infinite if half of them do not end well."""
    return good.took.median if 2 * good.promoted > good.runs else math.inf


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

        Bad answers, and how many harmful candidates are promoted, rise with the first share and
        the time falls, so halving finds it.

        Raises:
            Impossible: there is none.
        """
        self._hope()
        bad = None
        for first_pct in reversed(SHARES_PCT[: self._promising()]):
            bad = self._bad(first_pct, self.runs)
            promoted = bad.promoted / bad.runs
            if bad.lost.mean > self.budget.bad_answers or 1 - promoted < TARGET:
                continue
            good = self._good(first_pct, self.runs)
            option = Option(first_pct, self._policy(first_pct), good, bad)
            if option.within(self.budget):
                return option
            raise Impossible(self._too_slow(option))
        least = bad or self._bad(SHARES_PCT[0], FEW)
        dear = least.lost.mean > self.budget.bad_answers
        raise Impossible(self._too_dear(least) if dear else self._missed(least))

    def _hope(self) -> None:
        """Say at once what no trial has to tell.

        That no check can see the harm, or that evidence takes far longer than there is.
        """
        policy = self._policy(SHARES_PCT[-1])
        why = sight.blind(policy, self.traffic, self.budget.detect)
        if why:
            raise Impossible(f"impossible: {why}")
        stable = sight.beyond(policy, self.traffic).values()
        why = sight.endless(policy, self.traffic) or "; ".join(stable)
        if why:
            raise Impossible(f"impossible: {why}.")
        within_s = FAR * self.budget.finish_s
        why = reckoning.hopeless(policy, self.traffic.rate_per_s, within_s)
        if why:
            mirror = "" if self.budget.mirror else ", or --mirror: copies are judged as well"
            raise Impossible(
                f"impossible: {why}, not within {brief(self.budget.finish_s)}. What would do: a "
                f"longer --finish-within, a larger --detect{mirror}."
            )

    def _promising(self) -> int:
        """Return how many of the first shares keep to the budget, as few trials tell."""
        return bisect_left(SHARES_PCT, True, key=self._hardly)

    def _hardly(self, first_pct: int) -> bool:
        bad = self._bad(first_pct, FEW)
        missed = chance(bad.promoted, bad.runs).low > 1 - TARGET
        return bad.lost.mean > self.budget.bad_answers or missed

    def _in_time(self, first_pct: int) -> bool:
        return took_s(self._good(first_pct, FEW)) <= self.budget.finish_s

    def _policy(self, first_pct: int) -> Policy:
        return drafting.planned(self.subject.policy, first_pct, self.budget, self.traffic)

    def _harm(self, policy: Policy) -> assumed.Harm:
        return assumed.errors(self.budget.detect, self.traffic, policy)

    def _good(self, first_pct: int, runs: int) -> Outcome:
        return self._played(self._policy(first_pct), first_pct, assumed.NO_HARM, runs)

    def _bad(self, first_pct: int, runs: int) -> Outcome:
        policy = self._policy(first_pct)
        return self._played(policy, first_pct, self._harm(policy), runs)

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
        text = (
            f"impossible: at {plain(rate)} requests a second, steps that keep to "
            f"{budget.bad_answers:g} bad answers begin with {option.first_pct} % and "
        )
        if option.took_s <= budget.finish_s:
            found, within = option.bad.stopped, brief(GIVE_UP * budget.finish_s)
            text += f"stop only {found.count} of {found.runs} such candidates within {within}"
            return f"{text}; {100 * TARGET:.0f} % is the least. {self._would_do()}"
        took = "longer than was tried" if math.isinf(option.took_s) else brief(option.took_s)
        text += f"take {took}, not {brief(budget.finish_s)}"
        larger = [pct for pct in SHARES_PCT if pct > option.first_pct]
        fast = next(iter(larger[bisect_left(larger, True, key=self._in_time) :]), None)
        if fast is None:
            would_do = self._would_do(answers=False)
            return f"{text}. No larger share is done in time either. {would_do}"
        bad = self._bad(fast, FEW)
        missed = f" and promote {bad.promoted} of {bad.runs} such candidates"
        return (
            f"{text}. In time are only steps that begin with {fast} % or more, and they cost "
            f"{bad.lost.mean:.0f} bad answers{missed if bad.promoted else ''}. {self._would_do()}"
        )

    def _too_dear(self, least: Outcome) -> str:
        return (
            f"impossible: at {plain(self.traffic.rate_per_s)} requests a second even steps that "
            f"begin with {SHARES_PCT[0]} % cost {least.lost.mean:.0f} bad answers where "
            f"{least.harm.name}, not {self.budget.bad_answers:g}: so many it takes to tell "
            f"this harm from chance. {self._would_do(time=False)}"
        )

    def _missed(self, least: Outcome) -> str:
        policy = self._policy(SHARES_PCT[0])
        return (
            f"impossible: where {least.harm.name}, even steps that begin with {SHARES_PCT[0]} % "
            f"promote {least.promoted} of {least.runs} such candidates; "
            f"{100 * (1 - TARGET):.0f} % is the most. {sight.hasty(policy, self.traffic)}"
        )

    def _would_do(self, *, answers: bool = True, time: bool = True) -> str:
        """Return what may help; `answers`, `time`: more of these may."""
        harm = self._harm(self._policy(SHARES_PCT[0]))
        ways = ["more --max-bad-answers"] * answers + ["a longer --finish-within"] * time
        ways += ["a larger --detect"] * ((harm.error_rate or 0.0) < 1)
        ways += ["--mirror: copies are judged that nobody sees"] * (not self.budget.mirror)
        *others, last = ways
        return f"What would do: {', '.join(others)}{', or ' if others else ''}{last}."


def costs(option: Option, traffic: assumed.Traffic, replicas: int, seed: int) -> Sequence[str]:
    """Return in sentences what it costs."""
    good, bad = option.good, option.bad
    pods = good.most_pods - replicas
    took = (
        f"Without harm: half of the rollouts take {brief(good.took.median)} or less, 98 % of them "
        f"{brief(good.took.low)} to {brief(good.took.high)}; "
        f"{good.stopped.count} of {good.runs} were rolled back wrongly."
    )
    found = bad.stopped
    harm = (
        f"Where {bad.harm.name}: {found.count} of {bad.runs} stopped, {100 * found.share:.0f} % ± "
        f"{100 * found.error:.0f} (95 % certain: at least {100 * found.low:.0f} %), half of them "
        f"within {brief(bad.exposed.median)}; {bad.lost.mean:.0f} bad answers in the mean until "
        f"then or the promotion, at most {bad.lost.high:.0f} in 99 of 100."
    )
    if bad.unfinished:
        harm += f" {bad.unfinished} were given up undecided."
    extra = f"Extra pods: {pods} at most; {good.pod_hours.mean:.1f} pod hours a rollout."
    _, notes = assumed.tried(option.policy, traffic)
    granted = [f"Taken for granted: {'; '.join(notes)}."] if notes else []
    head = f"For {traffic.said}. Tried {good.runs} times each, seed {seed}."
    return [head, took, harm, _slipped(bad, traffic), extra, *granted]


def promoted_costs_per_h(bad: Outcome, traffic: assumed.Traffic) -> float:
    """Return the bad answers an hour of a harmful candidate that has all requests."""
    return traffic.rate_per_s * HOUR_S * (bad.harm.error_rate or 0.0)


def _slipped(bad: Outcome, traffic: assumed.Traffic) -> str:
    """Return what a harmful candidate costs once it is promoted."""
    was = "One that is promoted all the same costs"
    if bad.promoted:
        were = "was promoted: it costs" if bad.promoted == 1 else "were promoted: each costs"
        was = f"{bad.promoted} of {bad.runs} {were}"
    usual = traffic.rate_per_s * HOUR_S * traffic.error_rate
    return (
        f"{was} {promoted_costs_per_h(bad, traffic):.0f} bad answers an hour from then on, "
        f"where stable has {usual:.0f}, until a watch or a person finds it."
    )


def unwatched(subject: Subject) -> Subject:
    """Return the subject without a watch: a plan is of what leads to promotion."""
    return replace(subject, policy=subject.policy.model_copy(update={"watch": None}))
