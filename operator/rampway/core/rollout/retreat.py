"""Taking traffic away from a candidate, as fast as stable allows (B23, B24)."""

from dataclasses import replace

from rampway.api.conditions import Act, RolloutPhase
from rampway.core.pods import capacity, scarce, sizes
from rampway.core.rollout.course import Course, Outcome, enter, record, say
from rampway.core.rollout.health import Danger
from rampway.core.traffic.split import STABLE_ONLY, Split

P = RolloutPhase
ALL_PCT = 100


def keep(course: Course) -> Outcome:
    """Return the outcome that changes nothing."""
    return Outcome(course.status, course.split)


def share(course: Course, weight_pct: int) -> Split:
    """Return the split that gives the candidate this share and nothing else."""
    return Split(course.candidate.name, weight_pct).or_rest()


def unchanged(course: Course) -> Split:
    """Return the split of the last stage, as far as ready pods carry it."""
    stage, carried_pct = course.stage, course.carried_pct
    decided_pct = max(stage.weight_pct, course.status.weight_pct)  # a promotion goes beyond it
    if course.by_pods:  # each pod that it brings up raises it
        decided_pct = max(decided_pct, course.weight_pct)
    wanted = Split(
        course.candidate.name,
        min(decided_pct, carried_pct),
        min(stage.mirror_pct, carried_pct),
        stage.headers if course.candidate.serving else (),
    )
    return course.kept(wanted)


def retreat(outcome: Outcome, course: Course, found: Danger, end: RolloutPhase) -> Outcome:
    """Take traffic away from the candidate, as fast as stable allows, then end."""
    target, wait = _returning(course, found)
    returned = target.at_rest and _is_back(course)
    if target.at_rest and not returned and course.split.at_rest:
        words = course.obs.route.message or "there is no route yet"
        wait = f"; the gateway has not confirmed that all traffic is back: {words}"
    update = {"return_at_once": found.at_once}
    pods = scarce.leaving_size(course, target) if course.replicas else 0
    leaving = Outcome(outcome.status.model_copy(update=update), target, replicas=pods)
    leaving = say(leaving, found.reason, f"{found.message}{wait}")
    if course.phase is not P.ROLLING_BACK or course.status.reason != found.reason:
        action = Act.ROLLING_BACK if end is P.ROLLED_BACK else Act(end)
        leaving = record(leaving, course.now_s, action, found.reason, found.message)
    return enter(leaving, end if returned else P.ROLLING_BACK, course.now_s)


def _returning(course: Course, found: Danger) -> tuple[Split, str]:
    """Return what the candidate keeps for now, and what that waits for (B24)."""
    if not course.replicas:
        return STABLE_ONLY, ""  # nobody is to serve (B38)
    now = course.split
    answers = now.weight_pct or now.headers
    if answers and not course.stable.ready:
        words = "; stable has no ready pod, so traffic stays until it has one"
        return replace(now, mirror_pct=0), words
    whole = not sizes.is_scarce(course.obs)  # else one pod might have to carry everything
    if (found.at_once and whole) or not course.candidate.ready:
        return STABLE_ONLY, ""
    carried = capacity.returnable_pct(course.stable.ready, course.replicas)
    left_pct = min(now.weight_pct, ALL_PCT - carried)
    if left_pct and course.by_pods:
        return now, "; stable's ready pods do not carry all of it yet"
    words = f"; stable's ready pods carry {ALL_PCT - left_pct} %, the rest follows"
    return share(course, left_pct), words if left_pct else ""


def _is_back(course: Course) -> bool:
    """Whether the gateway says that the candidate gets nothing, if it ever got anything."""
    confirmed = course.obs.route.accepted or not course.status.traffic_since
    return course.split.at_rest and confirmed


def cause(message: str) -> str:
    """Return a rollback's message without what was appended about what it waits for."""
    return message.split("; stable", 1)[0].split("; the gateway", 1)[0]
