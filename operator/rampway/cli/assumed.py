"""What a trial takes for granted: the traffic, how stable answers, and the harm of a candidate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from rampway.api.base import API_VERSION, factor, fraction, seconds
from rampway.api.checks import Check
from rampway.api.deployment import ModelDeploymentSpec
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.api.policy import Policy
from rampway.api.traffic import TrafficType
from rampway.cli import counted
from rampway.core.checks import kinds
from rampway.core.checks.deltas import Delta
from rampway.core.evidence import Histogram
from rampway.core.numerals import plain
from rampway.sim.answering import Answering, Shares, lognormal, slowed, trimmed
from rampway.sim.counting import Counting
from rampway.sim.trial_place import Setting

SIGMA = 0.4
"""Spread of the durations where only their median is told, of the natural logarithm."""
MEDIAN_S = 0.05
REPLICAS = 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic of a model, and how stable answers it.

    Attributes:
        rate_per_s: Requests a second of all clients together.
        error_rate: Part of stable's answers that fail.
        durations: How long stable's answers take.
        said: The same in words.
        client_error_rate: Part of the requests that stable refuses.
        past_s: Stable's pods have been scraped for so long.
        counted: What checks of users' own counters meet with stable, by check.
    """

    rate_per_s: float
    error_rate: float
    durations: Shares
    said: str
    client_error_rate: float = 0.0
    past_s: float = 9000.0
    counted: Mapping[str, Counting] = field(default_factory=dict)

    @property
    def stable(self) -> Answering:
        """How stable answers."""
        users = tuple(self.counted.values())
        return Answering(self.error_rate, self.durations, self.client_error_rate, users)


@dataclass(frozen=True, slots=True)
class Harm:
    """What a candidate does wrong.

    Attributes:
        name: In words.
        error_rate: Part of its answers that fail; None: as many as of stable.
        slowdown: Its answers take so many times as long.
        changed: What users count is changed: for which check, and by which factor (`0.5x`).
    """

    name: str
    error_rate: float | None = None
    slowdown: float = 1.0
    changed: tuple[str, str] | None = None

    def counted(self, traffic: Traffic) -> tuple[Counting, ...]:
        """Return what users count where it does this."""
        if self.changed is None:
            return tuple(traffic.counted.values())
        check, times = self.changed
        asked = traffic.counted[check]
        return tuple(
            counted.changed(one, times) if one.events == asked.events else one
            for one in traffic.counted.values()
        )


NO_HARM = Harm("no harm")


def traffic(rps: float, error_rate: str, latency: str, histogram: str | None) -> Traffic:
    """Return traffic as the command line tells it.

    Raises:
        ValueError: with what was expected.
    """
    durations = lognormal(seconds(latency), SIGMA) if histogram is None else told(histogram)
    slow = f"half of them within {latency}" if histogram is None else "durations as told"
    said = f"{rps:g} requests/s, {error_rate} of stable's answers fail, {slow}"
    return Traffic(rps, fraction(error_rate), durations, said)


def told(histogram: str) -> Shares:
    """Return durations as Prometheus prints a histogram: `0.01:120,0.05:900,+Inf:1000`.

    Raises:
        ValueError: it is none.
    """
    expected = "expected for example 0.01:120,0.05:900,+Inf:1000, bounds in seconds, counts so far"
    try:
        pairs = [part.split(":") for part in histogram.split(",")]
        found = [(float(bound), float(count)) for bound, count in pairs]
    except ValueError as err:
        raise ValueError(f"{expected}; seen: {histogram!r}") from err
    rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(found))
    (first, least), (last, total) = found[0], found[-1]
    counted = least >= 0 and 0 < total < math.inf
    if not rising or not counted or first <= 0 or not math.isinf(last) or len(found) == 1:
        why = (
            "bounds rise, two at least, counts from 0 on never fall, and the last bound is +Inf "
            "with all requests"
        )
        raise ValueError(f"{expected}: {why}; seen: {histogram!r}")
    return tuple((bound, count / found[-1][1]) for bound, count in found)


def errors(text: str, traffic: Traffic, policy: Policy) -> Harm:
    """Return a candidate that fails more often: `5x` as often as stable, or `20%` of its answers.

    As in a check's `detect`, a multiple is of what is ignored where stable fails less than that.

    Raises:
        ValueError: it is neither, a multiple of nothing, or no more than stable's failures.
    """
    if text.endswith("%"):
        rate = fraction(text)
    else:
        base = _failing(traffic, policy)
        if not base:
            text = f"{text} of no failure is none: expected a share of the answers, such as 5%"
            raise ValueError(text)
        rate = min(1.0, factor(text) * base)
    if rate > 1:
        raise ValueError(f"expected at most 100%; seen: {text}")
    if rate <= traffic.error_rate:
        stables = f"{plain(100 * traffic.error_rate)} %"
        raise ValueError(f"expected more failures than stable's {stables}; seen: {text}")
    return Harm(f"{plain(100 * rate)} % fail" + ("" if text.endswith("%") else f" ({text})"), rate)


def _failing(traffic: Traffic, policy: Policy) -> float:
    """Return what a multiple of failures is of, as a part of the answers."""
    floors = [check.error_rate.floor for check in policy.checks if check.error_rate]
    return max([traffic.error_rate, *floors])


def slower(text: str) -> Harm:
    """Return a candidate each of whose answers takes longer: `1.5x`.

    Raises:
        ValueError: it is no such factor.
    """
    if factor(text) <= 1:
        raise ValueError(f"expected more than 1x; seen: {text}")
    return Harm(f"{text} as slow", slowdown=factor(text))


def changed(text: str, traffic: Traffic, policy: Policy) -> Harm:
    """Return a candidate with which users count something else: `orders=0.5x`.

    Raises:
        ValueError: it is no such check, or nothing is known of it, or it is no factor of harm.
    """
    check, times = counted.named(text, policy)
    if check.name not in traffic.counted:
        raise ValueError(f"{text}: expected --counted {check.name}=... as well, what it is of")
    fewer, more = kinds.of(check).fewer, factor(times)
    if more >= 1 if fewer else more <= 1:
        bound = "less" if fewer else "more"
        raise ValueError(f"{text}: expected {bound} than 1x, which is harm to {check.name}")
    return Harm(f"{check.name} {times}", changed=(check.name, times))


def usual(traffic: Traffic, policy: Policy) -> list[Harm]:
    """Return the harms that are tried where none are named: those that the checks look for."""
    found: list[Harm] = []
    if any(check.error_rate for check in policy.checks):
        multiples = ("2x", "5x", "20x") if _failing(traffic, policy) else ("1%", "5%", "20%")
        if traffic.error_rate < 1:
            failing = [errors(text, traffic, policy) for text in (*multiples, "100%")]
            found += {harm.error_rate: harm for harm in failing}.values()
    if any(check.latency for check in policy.checks):
        found += [slower(text) for text in ("1.5x", "3x")]
    asked = [check for check in counted.of_users(policy.checks) if check.name in traffic.counted]
    for check in asked:
        found.append(changed(f"{check.name}={counted.detected(check)}", traffic, policy))
    return list({harm.name: harm for harm in found}.values())


def setting(
    spec: ModelDeploymentSpec | None, policy: Policy, traffic: Traffic, harm: Harm, **more: float
) -> Setting:
    """Return the trial of a candidate; `more` are fields of the Setting."""
    failing = traffic.error_rate if harm.error_rate is None else harm.error_rate
    refused = min(traffic.client_error_rate, 1 - failing)
    durations, harmed = trimmed(
        traffic.durations,
        slowed(traffic.durations, harm.slowdown),
        least=_least(policy.checks),
        asked_s=_asked_s(policy.checks, traffic),
    )
    return replace(
        Setting(
            deployment(spec, policy),
            traffic.rate_per_s,
            replace(traffic.stable, durations=durations),
            Answering(failing, harmed, refused, harm.counted(traffic)),
            past_s=traffic.past_s,
        ),
        **more,  # type: ignore[arg-type]  # all of them are numbers
    )


def bounds(traffic: Traffic) -> Delta:
    """Return the bounds of the histogram, without a count."""
    return Delta(buckets=Histogram.of({bound_s: 0 for bound_s, _ in traffic.durations}))


def _asked_s(checks: Sequence[Check], traffic: Traffic) -> set[float]:
    """Return the bounds that are held against a value."""
    timed = [kinds.of(c) for c in checks if c.latency and c.latency.usual_s is not None]
    begun = [kind.begin(bounds(traffic)) for kind in timed]
    return {pair.candidate_bound_s for state in begun for pair in state.bounds}


def _least(checks: Sequence[Check]) -> float:
    """Return below which part of stable's durations no check looks."""
    asked = [check.latency.quantile for check in checks if check.latency]
    return min([0.4, *(quantile / 2 for quantile in asked if quantile)])


def deployment(spec: ModelDeploymentSpec | None, policy: Policy) -> ModelDeployment:
    """Return the ModelDeployment of a trial: what depends on a cluster is made plain."""
    wanted: dict[str, Any] = {
        "model": {"uri": "http://models/candidate"},
        "replicas": spec.replicas if spec else REPLICAS,
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "gateway"}]}},
        "rollout": {"policy": _dumped(policy)},
    }
    if spec is not None:
        wanted["metrics"] = {"directLook": _dumped(spec.metrics.direct_look)}
        wanted["capacity"] = _dumped(spec.capacity)
        if spec.traffic.type is TrafficType.REPLICAS:
            wanted["traffic"] = _dumped(spec.traffic)
    meta = {"name": "trial", "namespace": "trials", "uid": "trial", "generation": 1}
    return parse_deployment({"apiVersion": API_VERSION, "metadata": meta, "spec": wanted})


def _dumped(part: BaseModel) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _whole(check: Check) -> Check:
    """Return a check without its slices."""
    asked = {"counts": check.counts, "mean": check.mean}
    plain = {name: of and of.model_copy(update={"slices": None}) for name, of in asked.items()}
    return check.model_copy(update=plain)


def tried(policy: Policy, traffic: Traffic) -> tuple[Policy, list[str]]:
    """Return the policy as a trial has it, and in words what is taken for granted."""
    left_out = [c for c in counted.of_users(policy.checks) if c.name not in traffic.counted]
    known = tuple(c for c in policy.checks if c not in left_out)
    notes = [
        f"check {c.name} is left out: what it counts is not known here (--counted {c.name}=...)"
        for c in left_out
    ]
    if len(left_out) < len(counted.of_users(policy.checks)):
        notes.append("what users count comes at once, and once a scrape")
    if any(kind.slices for kind in kinds.compared(known)):
        known = tuple(_whole(check) for check in known)
        notes.append("slices are not played: the whole is judged alone, and a little sooner")
    if any(kind.warm_up for kind in kinds.compared(known)):
        notes.append("a warm-up is left out of a revision's pods together, once, and none is slow")
    if any(check.threshold for check in known):
        notes.append("thresholds stay within their limits")
    if any(step.approval for step in policy.steps):
        notes.append("people approve at once")
    if policy.hooks:
        notes.append("hooks succeed at once")
    if any(step.match for step in policy.steps):
        notes.append("a step with a match chooses the share of requests that --matched says")
    return policy.model_copy(update={"checks": known}), notes
