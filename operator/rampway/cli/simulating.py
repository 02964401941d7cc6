"""What trials of a policy come to: figures for programs, a table for people. Pure but for dice."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rampway.cli.assumed import NO_HARM, Harm, Traffic, setting
from rampway.core.instants import brief
from rampway.core.numerals import plain
from rampway.core.rollout import stages
from rampway.sim.trial import Ended
from rampway.sim.trials import Chance, Range, chance, play, spread

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rampway.api.policy import Policy
    from rampway.cli.policyfile import Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one kind of candidate.

    Attributes:
        harm: What it does wrong.
        stopped: How often a check ended or stopped the rollout.
        unfinished: Trials that were given up.
        took: Seconds from begin to promotion, of those that were promoted.
        exposed: Seconds from its first request until it was stopped, of those that were.
        answers: What it answered to users until then, of those.
        failed: How many of those failed.
        lost: Failed answers of all trials, promoted ones until their promotion.
        pod_hours: Beyond stable's full size, of all.
        most_pods: The most pods at a time.
        checks: How often each check stopped it.
        steps: Median second at which each step began, of those that came to it.
    """

    harm: Harm
    runs: int
    stopped: Chance
    unfinished: int
    took: Range
    exposed: Range
    answers: Range
    failed: Range
    lost: Range
    pod_hours: Range
    most_pods: int
    checks: dict[str, int]
    steps: dict[str, float]

    @property
    def promoted(self) -> int:
        """How many became stable."""
        return self.runs - self.stopped.count - self.unfinished


def outcome(harm: Harm, found: Sequence[Ended]) -> Outcome:
    """Return what became of one kind of candidate."""
    stopped = [one for one in found if one.stopped]
    names = sorted({one.check for one in stopped})
    began: dict[str, list[float]] = {}
    for one in found:
        for name, at_s in one.stages:
            began.setdefault(name, []).append(at_s)
    return Outcome(
        harm=harm,
        runs=len(found),
        stopped=chance(len(stopped), len(found)),
        unfinished=sum(not (one.promoted or one.stopped) for one in found),
        took=spread([one.took_s for one in found if one.promoted]),
        exposed=spread([one.exposed_s for one in stopped]),
        answers=spread([one.tally.answers for one in stopped]),
        failed=spread([one.tally.failed for one in stopped]),
        lost=spread([one.tally.failed for one in found]),
        pod_hours=spread([one.tally.pod_s / 3600 for one in found]),
        most_pods=max(one.tally.most_pods for one in found),
        checks={name: sum(one.check == name for one in stopped) for name in names},
        steps={name: spread(at_s).median for name, at_s in began.items()},
    )


def simulate(
    subject: "Subject",
    policy: "Policy",
    traffic: Traffic,
    harms: Sequence[Harm],
    *,
    runs: int,
    seed: int,
    workers: int | None,
    told: Callable[[int], None],
    **more: float,
) -> list[Outcome]:
    """Try a policy with a candidate that does no harm, and with harmful ones; that one is first."""
    tried = [NO_HARM, *harms]
    settings = [setting(subject.spec, policy, traffic, harm, **more) for harm in tried]
    candidates = [one.candidate for one in settings]
    found = play(settings[0], candidates, runs, seed, workers=workers, told=told)
    return [outcome(harm, ended) for harm, ended in zip(tried, found, strict=True)]


def as_data(outcomes: Sequence[Outcome], about: dict[str, Any]) -> dict[str, Any]:
    """Return the figures for programs; times in seconds, nothing where there is no figure."""
    return about | {"candidates": [_data(one) for one in outcomes]}


def _data(one: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        "candidate": one.harm.name,
        "errorRate": one.harm.error_rate,
        "slowdown": one.harm.slowdown,
        "changed": dict([one.harm.changed]) if one.harm.changed else None,
        "runs": one.runs,
        "unfinished": one.unfinished,
        "stopped": asdict(one.stopped) | {"share": one.stopped.share, "error": one.stopped.error},
        "stoppedBy": one.checks,
        "mostPods": one.most_pods,
        "stepsBeginSeconds": one.steps,
    }
    for name, figures in (
        ("promotedAfterSeconds", one.took),
        ("stoppedAfterSeconds", one.exposed),
        ("answersUntilStopped", one.answers),
        ("badAnswersUntilStopped", one.failed),
        ("badAnswers", one.lost),
        ("extraPodHours", one.pod_hours),
    ):
        found[name] = None if math.isnan(figures.mean) else _range(figures)
    return found


def _range(figures: Range) -> dict[str, float]:
    return {
        "p1": figures.low,
        "median": figures.median,
        "p99": figures.high,
        "mean": figures.mean,
    }


TITLES = (
    "CANDIDATE",
    "STOPPED>",
    "AFTER>",
    "1-99 %>",
    "ANSWERS>",
    "BAD>",
    "1-99 %>",
    "PROMOTED AFTER>",
    "1-99 %",
)


def table(outcomes: Sequence[Outcome], beyond: Mapping[str, str]) -> "RenderableType":
    """Return the figures for people; `beyond`: the checks that stable itself is beyond."""
    from rich.text import Text

    from rampway.cli.printing import rows

    found = [_row(one) for one in outcomes]
    if beyond:
        found[0][0] += f" (beyond {', '.join(beyond)})"
    return rows(TITLES, [[Text(text) for text in row] for row in found])


def _row(one: Outcome) -> list[str]:
    share = f"{one.stopped.count} of {one.runs}"
    stopped = ["-"] * 5
    if one.stopped.count:
        stopped = [
            brief(one.exposed.median),
            _between(one.exposed),
            f"{one.answers.median:.0f}",
            *_bad(one),
        ]
    promoted = ["-", ""]
    if one.promoted:
        promoted = [brief(one.took.median), _between(one.took)]
    return [one.harm.name, share, *stopped, *promoted]


def _bad(one: Outcome) -> list[str]:
    """Return how many answers failed; what else is harm makes all ANSWERS bad, or none."""
    if one.harm.error_rate is None and one.harm is not NO_HARM:
        return ["-", "-"]
    return [f"{one.failed.median:.0f}", f"{one.failed.low:.0f} - {one.failed.high:.0f}"]


def _between(times: Range) -> str:
    """Return a range of times, its unit once where both ends have it: `36 - 48 min`."""
    low, high = brief(times.low), brief(times.high)
    number, unit = low.split()
    return f"{number} - {high}" if unit == high.split()[1] else f"{low} - {high}"


def _why(policy: "Policy", longest_s: float) -> str:
    """Return why a trial may not have ended."""
    held_s = sum(stage.hold_s for stage in stages.of(policy))
    held_s += policy.watch.hold_s if policy.watch else 0.0
    if held_s >= longest_s:
        return f", as its steps and watch hold for {brief(held_s)} in all"
    return "; `kubectl rampway lint --rps` may say which step waits, and for what"


def _false(good: Outcome, policy: "Policy", beyond: Mapping[str, str]) -> list[str]:
    """Return how many candidates without harm were stopped, and which of them wrongly."""
    rightly = sum(good.checks.get(name, 0) for name in beyond)
    seen = chance(good.stopped.count - rightly, good.runs)
    found = [f"{why[0].upper()}{why[1:]}." for why in beyond.values()]
    if rightly:
        found[-1] += f" {rightly} of {good.runs} were stopped by that: no false rollbacks."
    others = " by other checks" if beyond else ""
    text = (
        f"False rollbacks{others}: {seen.count} of {good.runs}, {plain(100 * seen.share, 2)} % ± "
        f"{plain(100 * seen.error, 2)} (95 % certain: at most {plain(100 * seen.high, 2)} %); "
        f"the policy allows {policy.false_rollback_rate}. Requests are taken to fail each by "
        "itself: with bursts of failures there may be more."
    )
    return [*found, text]


def sentences(
    outcomes: Sequence[Outcome], policy: "Policy", longest_s: float, beyond: Mapping[str, str]
) -> list[str]:
    """Return what the table does not say; `beyond`: as `sight.beyond` has it."""
    found = _false(outcomes[0], policy, beyond)
    unfinished = [one for one in outcomes if one.unfinished]
    found += [
        f"{one.harm.name}: {one.unfinished} of {one.runs} had neither ended nor been stopped after "
        f"{brief(longest_s)}{_why(policy, longest_s) if one is unfinished[0] else ''}."
        for one in unfinished
    ]
    why = "harm as small as this is tolerated, or needs more requests than the steps give"
    if not any(stage.exposes for stage in stages.of(policy)):
        why = "no step sends the candidate a request, so nothing can be seen"
    found += [
        f"{one.harm.name}: {one.promoted} of {one.runs} were promoted: {why}."
        for one in outcomes[1:]
        if one.promoted
    ]
    return found
