"""Where a rollout is, what it asks of people, and what they asked of it: lines of text. Pure."""

from collections.abc import Iterator

from rich.text import Text

from rampway.api.parse import ModelRollout
from rampway.api.rollout import Request
from rampway.cli import queued, words
from rampway.cli.facts import Facts, Progress
from rampway.cli.words import clean
from rampway.core.instants import brief


def lines(facts: Facts, now_s: float) -> Iterator[Text]:
    """Yield the running step or watch, and the commands by which a person has a say in it."""
    rollout, at = facts.running, facts.progress(now_s)
    if rollout is None:
        return
    if at is not None:
        yield _step(at)
    watched = _watch(facts, rollout, now_s)
    if watched is not None:
        yield watched
    for command in consent(facts):
        yield Text(command, "bold yellow")


def consent(facts: Facts) -> list[str]:
    """Return the very commands to type where a rollout waits until a person says something."""
    rollout = facts.running
    step = facts.asks_about
    if rollout is None or not step:
        return []
    name, space = facts.deployment.name, facts.deployment.namespace
    meant = f"-n {space} --attempt {rollout.spec.attempt}"
    return [
        f"go on: kubectl rampway approve {name} {step} {meant}",
        f"give up: kubectl rampway abort {name} {meant}",
    ]


def _step(at: Progress) -> Text:
    step = at.step
    parts = [at.sentence]
    hold = words.duration(step.hold_s)
    if step.approval is not None:
        asked = f"asks for a person's consent: {clean(step.approval) or '-'}"
        return Text(", ".join([*parts, asked]))
    if at.held_s is None or at.left_s is None:
        parts.append(f"not in force yet, then held {hold}")
    else:
        left = f"{brief(at.left_s)} of {hold} left" if at.left_s else f"{hold} over"
        parts.append(f"in force {brief(at.held_s)} (hold: {left})")
    if at.requests is not None:
        least = f" of at least {step.min_requests}" if step.min_requests else ""
        parts.append(f"{at.requests}{least} requests")
    elif step.min_requests:
        parts.append(f"at least {step.min_requests} requests")
    return Text(", ".join(parts))


def _watch(facts: Facts, rollout: ModelRollout, now_s: float) -> Text | None:
    left_s, plan = facts.watch_left_s(now_s), rollout.spec.policy.watch
    if left_s is None or plan is None:
        return None
    beside = "no request goes to the previous revision, which is warm"
    if plan.holdback_pct:
        given = 100 - rollout.status.weight_pct
        beside = f"{given} % on the previous revision (holdback {plan.holdback})"
    text = f"watched: {brief(left_s)} of {words.duration(plan.hold_s)} left, {beside}"
    return Text(f"{text}; back to it: {queued.back(facts.deployment, rollout)}")


def hooks(rollout: ModelRollout) -> Iterator[tuple[str, str, str]]:
    """Yield the hooks that have run, and those that run: which, how, what it said."""
    for run in rollout.status.hooks:
        yield clean(run.key), clean(run.state), clean(run.message)


def requests(rollout: ModelRollout) -> Iterator[tuple[str, str, str]]:
    """Yield what people asked of an attempt: what, who, why."""
    asked = rollout.spec.requests
    for given in asked.approve:
        yield (f"approve {given.step}", *_who(given))
    for what, request in (
        ("promote", asked.promote),
        ("abort", asked.abort),
        ("retry", asked.retry),
    ):
        if request is not None:
            yield (what, *_who(request))


def _who(request: Request) -> tuple[str, str]:
    return clean(request.by) or "somebody", clean(request.message)
