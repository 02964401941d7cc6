"""Whether the checks of a policy can see that a candidate fails more often, or is slower. Pure."""

import math

from rampway.api.checks import Check
from rampway.api.paired import Against
from rampway.api.policy import Policy
from rampway.cli import doubts
from rampway.cli.assumed import Traffic, bounds, errors
from rampway.core.checks import kinds
from rampway.core.checks.kinds.counts import OfUsers
from rampway.core.checks.references import limit_of
from rampway.core.instants import brief
from rampway.core.numerals import plain
from rampway.sim.answering import share_within

_HARDLY = 0.001
"""With a smaller share of the answers within its bounds a histogram tells nothing."""


def blind(policy: Policy, traffic: Traffic, detect: str) -> str:
    """Return why no check can see so many times the failures, and what would; empty if one can."""
    if not _asking(policy):
        names = ", ".join(check.name for check in policy.checks) or "none"
        return (
            f"no check of the policy ({names}) counts the model's failed answers, so none sees "
            f"{detect} as many of them. What would do: a check with errorRate."
        )
    if traffic.error_rate >= 1:
        return "all of stable's answers fail. What would do: an --error-rate below 100%."
    try:
        harm = errors(detect, traffic, policy)
    except ValueError:
        return (
            f"stable has no failures and the checks ignore none, so {detect} as many are none. "
            "What would do: an --error-rate, or an ignoreBelow above 0%."
        )
    if any(_limit(check, traffic) < (harm.error_rate or 0.0) for check in _asking(policy)):
        return ""
    return (
        f"{_limits(policy, traffic)}, so none sees that {harm.name}. What would do: tolerate less "
        "(ignoreBelow, maxIncrease, value), or a larger --detect."
    )


def hasty(policy: Policy, traffic: Traffic) -> str:
    """Return why checks that could see it pass too soon to, and what would do."""
    unpaired = any(one.error_rate and not one.paired for one in policy.checks)
    stable = " an errorRate against Stable, or" if unpaired else ""
    return (
        f"{_limits(policy, traffic)}, and passes before it tells the harm from that. What would "
        f"do:{stable} to tolerate less (ignoreBelow, maxIncrease), or a larger --detect."
    )


def endless(policy: Policy, traffic: Traffic) -> str:
    """Return which checks no candidate ever passes, and why; empty if there are none.

    Those of latency that find no bounds to compare in how long answers take, and those against a
    value beside which the harm to detect is none.
    """
    told = bounds(traffic)
    coarse = [(check.name, kinds.of(check).lacks(told)) for check in policy.checks if check.latency]
    too_long = _past_the_end(traffic)
    coarse += [(c.name, too_long) for c in policy.checks if c.latency and c.usual is None]
    found = [f"{name} never passes: {why}" for name, why in coarse if why]
    found += [doubts.never(c, c.usual) for c in policy.checks if c.usual is not None]
    return "; ".join(f"check {why}" for why in found if why)


def _past_the_end(traffic: Traffic) -> str:
    """Return that answers take longer than a histogram has bounds for, empty if they do not."""
    last_s = max((bound_s for bound_s, _ in traffic.durations if bound_s < math.inf), default=0.0)
    if not last_s or share_within(traffic.durations, last_s) >= _HARDLY:
        return ""
    return (
        f"answers take longer than {brief(last_s)}, the histogram's last bound but +Inf, so that "
        "slower ones do not show"
    )


def beyond(policy: Policy, traffic: Traffic) -> dict[str, str]:
    """Return the checks that hold stable itself for harm, by name, and why in words.

    Those against a value that stable is beyond: to stop a candidate like it is what they are for.
    """
    found = {}
    for check in policy.checks:
        rate = _of_stable(check, traffic)
        if check.usual is None or rate is None:
            continue
        kind, limit = kinds.of(check), limit_of(check, check.usual)
        if rate < limit if kind.fewer else rate > limit:
            bound = "at least" if kind.fewer else "at most"
            found[check.name] = (
                f"stable itself is beyond the value of check {check.name}: {bound} "
                f"{kind.amount(limit)} is no harm, and stable has {kind.amount(rate)}; a candidate "
                f"like it is stopped rightly: {'lower' if kind.fewer else 'raise'} the value"
            )
    return found


def _of_stable(check: Check, traffic: Traffic) -> float | None:
    """Return how often stable has a check's events, as a fraction; None where nobody knows."""
    kind = kinds.of(check) if check.comparison else None
    if check.error_rate:
        return traffic.error_rate
    if kind is not None and check.latency and check.latency.usual_s is not None:
        (pair,) = kind.begin(bounds(traffic)).bounds
        return 1 - share_within(traffic.durations, pair.candidate_bound_s)
    told = traffic.counted.get(check.name)
    if told is None or not isinstance(kind, OfUsers):
        return None
    return kind.scaled(1, told.mean)


def _asking(policy: Policy) -> list[Check]:
    return [check for check in policy.checks if check.error_rate]


def _limit(check: Check, traffic: Traffic) -> float:
    """Return the largest share of failures that is no harm to a check."""
    return limit_of(check, traffic.error_rate if check.usual is None else check.usual)


def _limits(policy: Policy, traffic: Traffic) -> str:
    """Return the same of each check that counts failures, in words."""
    return "; ".join(
        f"check {check.name} calls up to {plain(100 * _limit(check, traffic))} % no harm "
        f"(against: {_against(check)})"
        for check in _asking(policy)
    )


def _against(check: Check) -> Against:
    return check.error_rate.against if check.error_rate else Against.STABLE
