"""The model of whole rollouts itself: a sample of it, its replays, random orders, broken code.

`make simulate` runs ten thousand rollouts of the same model, `make simulate-all` every pair.
"""

import argparse
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st
from simulation.systematic import allowed
from simulation.systematic.__main__ import quiet, simulate
from simulation.systematic.events import EVENTS
from simulation.systematic.explore import outcome, replayed
from simulation.systematic.invariants import Violation
from simulation.systematic.run import Case, Point, Run

from rampway.api import labels
from rampway.core import decide
from rampway.core.actions import Annotate, Scale
from rampway.core.checks.judged import Judged
from rampway.core.model import keeping
from rampway.core.observation import Observation
from rampway.core.pods import capacity, sizes
from rampway.core.rollout import (
    hooks,
    passes,
    phases,
    queueing,
    reactions,
    rolling,
    steps,
    watching,
)
from rampway.core.traffic.split import Split
from rampway.routers import chosen, rules

SEED = int(os.environ.get("SIMULATION_SEED", "1"))
"""Of the sample and of the random orders; printed with each failure."""
ANYWHERE = sorted(name for name, event in EVENTS.items() if not event.strategy)
"""What may happen to a rollout of any strategy."""


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> None:
    quiet()


@pytest.fixture(scope="module")
def sampled() -> list[dict[str, Any]]:
    """Return the results of a small sample: `make simulate` runs thousands."""
    return simulate(
        argparse.Namespace(
            all=False, seed=SEED, pairs=0.0005, singles=0.01, boundaries=0.4, workers=2,
            only=["watched"],
        )
    )  # fmt: skip


def test_b30_no_event_breaks_a_promise(sampled: list[dict[str, Any]]) -> None:
    """Every event at some boundaries, at writes and in pairs: the promises hold (B6, B23-B30)."""
    broken = [(r["story"], r["problem"]) for r in sampled if r["problem"]]
    assert not broken, f"seed {SEED}: {broken[:3]}"
    assert {name for r in sampled for name in r["events"]} == set(ANYWHERE)


def test_b29_the_end_follows_from_what_happened(sampled: list[dict[str, Any]]) -> None:
    """Rollouts end in every way there is, each in a way that its events allow."""
    ends = Counter(r["end"].split()[0] for r in sampled if r["end"])
    assert set(ends) >= {"Promoted", "RolledBack", "Superseded", "Aborted", "none"}, ends
    assert min(ends["Promoted"], ends["RolledBack"]) > 50


def test_a_replay_is_the_rollout_that_was_copied(sampled: list[dict[str, Any]]) -> None:
    """A story is enough to run a rollout again, alone, to the same end."""
    for found in [r for r in sampled if r["events"]][:: len(sampled) // 12]:
        plan = found["story"].split(") ", 1)[1].split(", ")
        again = outcome(replayed(Case(found["bad"], found["strategy"]), *plan))
        assert [again[k] for k in ("story", "end", "writes", "simulated_s")] == [
            found[k] for k in ("story", "end", "writes", "simulated_s")
        ]


@seed(SEED)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    bad=st.booleans(),
    order=st.lists(st.tuples(st.sampled_from(ANYWHERE), st.integers(0, 9)), min_size=1, max_size=4),
)
def test_b30_random_orders_of_events_end_as_they_must(
    bad: bool, order: list[tuple[str, int]]
) -> None:
    """Up to four events, at any seconds: the promises hold and the end is an allowed one."""
    run = Run(Case(bad))
    at_s = 0
    for name, gap_s in order:
        at_s += gap_s
        later(run, at_s, name)
    found = outcome(run)
    note(f"seed {SEED}: {found['story']}")
    assert not found["problem"], found["problem"]


def later(run: Run, at_s: int, name: str) -> None:
    """Let an event happen so many seconds from now."""
    run.later(at_s, lambda run: run.happen(Point("second", str(at_s)), EVENTS[name]))


# The code is broken on purpose: the model has to notice.

Break = Callable[[pytest.MonkeyPatch], None]


def no_capacity(patch: pytest.MonkeyPatch) -> None:
    """Give weights without asking for ready pods (B6)."""
    patch.setattr(capacity, "weight_for", lambda _ready, _replicas: 100)
    patch.setattr(capacity, "replicas_for", lambda _weight, _replicas: 1)


def weights_beyond_100(patch: pytest.MonkeyPatch) -> None:
    """Write weights that do not sum to 100."""
    one = chosen.backend

    def wrong(stable: str, split: Split, _known: object = None) -> list[chosen.Rule]:
        both = [one(stable, 100), one(split.candidate, split.weight_pct)]
        return both[: 1 + bool(split.weight_pct)]

    patch.setattr(rules, "backends", wrong)


def harm_unheard(patch: pytest.MonkeyPatch) -> None:
    """Do not act on checks that fail, and wait for none (B18, B24)."""
    patch.setattr(reactions, "failed", lambda _policy, _judged, _does: None)
    patch.setattr(Judged, "waiting", property(lambda _self: ""))


def refusal_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Try a refused revision again (B26)."""
    patch.setattr(decide, "_refusal", lambda _obs, _desired: None)


def two_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Overlook the rollout that is under way where the spec names another revision."""
    roll = rolling.roll

    def careless(obs: Observation, active: Any, stable: Any, desired: str) -> Any:
        if active.spec.candidate.revision != desired:
            return decide._consider(obs, stable, desired)
        return roll(obs, active, stable, desired)

    patch.setattr(rolling, "roll", careless)


def service_not_switched(patch: pytest.MonkeyPatch) -> None:
    """Leave the Service where it was (B5, B14)."""
    keep = passes.ensure_stable

    def lazy(obs: Observation, stable: Any, *least: Any) -> list[Any]:
        return [a for a in keep(obs, stable, *least) if type(a).__name__ != "PointService"]

    patch.setattr(passes, "ensure_stable", lazy)


def stable_made_small(patch: pytest.MonkeyPatch) -> None:
    """Take pods from stable during a rollout (B6)."""
    keep = keeping.tidy

    def greedy(obs: Observation, stable: Any, active: Any) -> Any:
        kept, next_s = keep(obs, stable, active)
        return [*kept, *([Scale(stable.name, 1)] if active else [])], next_s

    patch.setattr(keeping, "tidy", greedy)


def no_deadline(patch: pytest.MonkeyPatch) -> None:
    """Wait for ever for a candidate that never becomes ready (B25)."""
    patch.setattr(phases, "deadline", lambda _course: None)


def evidence_not_needed(patch: pytest.MonkeyPatch) -> None:
    """Advance by time alone (B17, B18)."""
    patch.setattr(steps, "unfinished", lambda _course, _outcome: None)


def copies_beyond_the_pods(patch: pytest.MonkeyPatch) -> None:
    """Copy as many requests as the step says, whatever pods there are (B6)."""
    patch.setattr(steps, "_carried", lambda course, stage: stage.split(course.candidate.name))


def watch_blind(patch: pytest.MonkeyPatch) -> None:
    """Return from a watch for no reason at all (B27)."""
    patch.setattr(watching, "_trouble", lambda _course: None)


def no_limit_of_pods(patch: pytest.MonkeyPatch) -> None:
    """Take as many pods as are wanted where they are scarce (B6)."""
    patch.setattr(sizes, "room", lambda _obs, _mine="": math.inf)


def all_at_once(patch: pytest.MonkeyPatch) -> None:
    """Give everything back to however few pods (B24)."""
    patch.setattr(capacity, "returnable_pct", lambda _ready, _replicas: 100)


def no_autoscalers(patch: pytest.MonkeyPatch) -> None:
    """Make no autoscaler for anybody (B12)."""
    patch.setattr(sizes, "_bound", lambda *_: [])


def never_late(patch: pytest.MonkeyPatch) -> None:
    """Wait for ever for pods that are shares (B25)."""
    patch.setattr(phases, "deadline", lambda _course: None)


def queue_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Go back to stable for whatever comes (B7)."""
    patch.setattr(queueing, "waiting", lambda _obs: "")


def queue_waved_through(patch: pytest.MonkeyPatch) -> None:
    """Take who waited for a revision that has passed its rollout (B1)."""
    begin = decide._begin

    def careless(obs: Observation, stable: Any, desired: str, policy: Any) -> Any:
        if obs.last is None or obs.revision(desired):
            return begin(obs, stable, desired, policy)
        made = passes.ensure_revision(obs, None, sizes.full(obs))
        name = f"{obs.deployment.name}-{desired}"
        promoted = Annotate(name, {labels.PROMOTED_AT: rolling.promoted_at(obs)})
        return passes.Decision((*made, promoted), requeue_after_s=0)

    patch.setattr(decide, "_begin", careless)


def failed_hooks_waved_through(patch: pytest.MonkeyPatch) -> None:
    """Go on although a hook failed, and ask nobody (B29)."""
    gate = hooks.gate
    patch.setattr(hooks, "gate", lambda *about: replace(gate(*about), waits=None))


OF_STRATEGIES: list[tuple[Break, str, tuple[str, ...], str]] = [
    (copies_beyond_the_pods, "shadow", (), "of copies to"),
    (watch_blind, "watched", ("candidate-errors@boundary:Watching-committed",), "allowed is"),
    (watch_blind, "watched", ("aborted-by-a-person@boundary:Watching-committed",), "allowed is"),
    (no_limit_of_pods, "scarce", (), "those that leave included"),
    (all_at_once, "scarce", ("aborted-by-a-person@boundary:Promoting",), "return to"),
    (no_autoscalers, "autoscaled", (), "autoscalers: "),
    (queue_forgotten, "queued", ("new-revision@boundary:Stepping-half",), "did not wait"),
    (queue_waved_through, "queued", ("new-revision@boundary:Stepping-half",), "without a rollout"),
    (failed_hooks_waved_through, "hooked", ("hooks-refuse@boundary:Starting",), "past its hooks"),
    (never_late, "replicas", ("candidate-never-ready@boundary:Stepping-third",), "no rest"),
]

BREAKS: list[tuple[Break, bool, tuple[str, ...], str]] = [
    (no_capacity, False, (), "ready pods"),
    (weights_beyond_100, False, (), "sum to 100"),
    (harm_unheard, True, (), "bad and was promoted"),
    (evidence_not_needed, True, (), "bad and was promoted"),
    (refusal_forgotten, True, (), "no rest"),
    (two_at_a_time, False, ("new-revision@boundary:Stepping-ten",), "two rollouts at a time"),
    (service_not_switched, False, (), "no rest"),
    (stable_made_small, False, (), "stable was scaled"),
    (no_deadline, False, ("candidate-never-ready@boundary:Released",), "no rest"),
]


@pytest.mark.parametrize(
    ("broken", "bad", "plan", "words"), BREAKS, ids=[row[0].__name__ for row in BREAKS]
)
def test_broken_code_is_noticed(
    monkeypatch: pytest.MonkeyPatch, broken: Break, bad: bool, plan: tuple[str, ...], words: str
) -> None:
    """The same rollout is in order as the code is, and breaks a promise where it is broken."""
    assert outcome(replayed(Case(bad), *plan))["problem"] == ""
    broken(monkeypatch)
    assert words in outcome(replayed(Case(bad), *plan))["problem"]


@pytest.mark.parametrize(("broken", "strategy", "plan", "words"), OF_STRATEGIES)
def test_broken_strategies_are_noticed(
    monkeypatch: pytest.MonkeyPatch, broken: Break, strategy: str, plan: tuple[str, ...], words: str
) -> None:
    """The same for what only some strategies do."""
    assert outcome(replayed(Case(strategy=strategy), *plan))["problem"] == ""
    broken(monkeypatch)
    assert words in outcome(replayed(Case(strategy=strategy), *plan))["problem"]


def test_an_end_that_history_does_not_allow_is_noticed() -> None:
    """A good candidate refused, a bad one promoted, lost requests: none is an allowed end."""
    run = replayed(Case())
    end = run.go()
    for wrong in ("RolledBack v1 RolledBack", "Superseded v3 Healthy"):
        with pytest.raises(Violation):
            allowed.check_end(run, wrong)
    allowed.check_end(run, end)
    run.case = replace(run.case, bad=True)
    with pytest.raises(Violation):
        allowed.check_end(run, end)
    run.case = replace(run.case, bad=False)
    run.ledger.all.failed = 1
    with pytest.raises(Violation, match="lost"):
        allowed.check_end(run, end)
