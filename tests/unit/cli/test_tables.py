"""list, history and explain, as a reader sees them; RAMPWAY_WRITE_SNAPSHOTS=1 writes them anew."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console, RenderableType
from typer.testing import CliRunner
from unit.cli import scenes
from unit.cli.conftest import Connect
from unit.cli.scenes import NAME, NOW_S, SCENES, SPACE, V2, ago

from rampway.api.parse import ModelRollout, parse_deployment, parse_rollout
from rampway.cli import explain, listing, past, reasons
from rampway.cli.app import app
from rampway.cli.view import WIDTH
from rampway.kube import kinds

SNAPSHOTS = Path(__file__).parent / "snapshots"


def printed(shown: RenderableType, width: int) -> str:
    """Return it as text."""
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(shown)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def as_snapshot(name: str, seen: str) -> None:
    """Compare with a snapshot, or write it."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("RAMPWAY_WRITE_SNAPSHOTS"):
        path.write_text(seen)
    assert seen == path.read_text()


async def all_of_them() -> list[Any]:
    """Return the ModelDeployments of all scenes."""
    return [(await scene.facts()).deployment for scene in SCENES.values()]


def rollouts() -> list[ModelRollout]:
    """Return a history: a rollback, an abort by bob, a promotion, and one that waits."""
    ends = (
        ("RolledBack", "CheckFailed", "check errors: 31 of 412 failed", "rampway"),
        ("RolledBack", "AbortedByPerson", "aborted by bob: not on a Friday", "bob"),
        ("Promoted", "Promoted", "the watch is over: nothing was found against it", "rampway"),
    )
    asked = {"abort": {"by": "bob", "message": "not on a Friday"}}
    found = [
        scenes.rollout(
            attempt,
            phase=phase,
            reason=reason,
            message=message,
            startedAt=ago(90_000 - 7200 * attempt),
            endedAt=ago(90_000 - 7200 * attempt - 1500),
            decisions=[
                scenes.decided(90_000 - 7200 * attempt, "StepStarted", "StepRunning", "step 1/3"),
                scenes.decided(89_000 - 7200 * attempt, "StepStarted", "StepRunning", "step 2/3")
                | {"checks": [{"name": "errors", "state": "Pass", "message": "1 of 399 failed"}]},
                scenes.decided(88_500 - 7200 * attempt, "RollingBack", reason, message)
                | {"actor": actor},
            ],
            checks=[{"name": "errors", "state": "Fail", "message": "31 of 412 failed"}],
            requests=asked if actor == "bob" else None,
        )
        for attempt, (phase, reason, message, actor) in enumerate(ends, 1)
    ]
    (waiting,) = scenes.stopped_by_check.rollouts
    waiting = waiting | {"spec": waiting["spec"] | {"attempt": 4}}
    return [parse_rollout(obj) for obj in (*found, waiting)]


WIDTHS = pytest.mark.parametrize("width", [60, 80, WIDTH, 120])


@WIDTHS
async def test_the_list_has_a_row_for_each(width: int) -> None:
    """All states that there are, one line each where lines are long enough."""
    seen = printed(listing.table(await all_of_them(), NOW_S, among="ml", wide=False), width)
    assert max(map(len, seen.splitlines())) <= width
    if width == 120:
        as_snapshot("list", seen)
        assert len(seen.splitlines()) == 1 + len(SCENES)


@WIDTHS
def test_the_history_tells_how_each_ended_and_by_whom(width: int) -> None:
    """The latest first; the machine's decisions and people's."""
    seen = printed(past.table(rollouts(), NOW_S, wide=False), width)
    assert max(map(len, seen.splitlines())) <= width
    if width == 120:
        as_snapshot("history", seen)
    assert "bob" in seen


@WIDTHS
def test_one_rollout_in_full(width: int) -> None:
    """All decisions with who took them and on what answers, the requests, the last checks."""
    seen = printed(past.in_full(rollouts()[1], NOW_S), width)
    assert max(map(len, seen.splitlines())) <= width
    if width == WIDTH:
        as_snapshot("history_one", seen)


@WIDTHS
@pytest.mark.parametrize("name", SCENES)
async def test_every_state_is_explained(name: str, width: int) -> None:
    """Why it is where it is, what it waits for, what would move it: each state as its snapshot."""
    facts = await SCENES[name].facts()
    seen = printed(explain.view(facts, reasons.explain(facts, NOW_S)), width)
    assert max(map(len, seen.splitlines())) <= width
    if width == WIDTH:
        as_snapshot(f"explain_{name}", seen)


async def test_the_explanation_agrees_with_the_operators_sentence() -> None:
    """What the operator says it waits for is among what is said to be missing, and never met."""
    for name, words in (
        ("mid_rollout", "check slow passes; now Waiting"),
        ("waiting_for_approval", "a person's approval: Look at the minority classes"),
        ("mirroring", "held for 5m: 3 min left"),
        ("watching", "the watch: 42 min left"),
    ):
        found = reasons.explain(await SCENES[name].facts(), NOW_S)
        (need,) = (one for one in found.needs if one.text.startswith(words))
        assert need.met is False, name


async def test_b28_whoever_asks_why_is_told_how_to_read_the_log() -> None:
    """B28: of the candidate that fails, while it is tried as after it was rolled back."""
    for name in ("crash_looping", "stopped_by_check", "rolled_back_by_crash"):
        moves = reasons.explain(await SCENES[name].facts(), NOW_S).moves
        log = f"kubectl logs deploy/digits-{V2} -n ml -c server --tail=50: the logs of {V2}"
        assert log in moves, name
    assert "logs" not in str(reasons.explain(await SCENES["mid_rollout"].facts(), NOW_S).moves)


async def test_b10_a_pause_after_a_rollback_is_explained() -> None:
    """B10: a retry would wait for its end, so that is said first, and nothing of it without."""
    rolled_back = SCENES["rolled_back_by_check"]
    paused = rolled_back.but(spec=rolled_back.spec | {"paused": True})
    found = reasons.explain(await paused.facts(), NOW_S)
    assert found.where.endswith("; paused, so nothing new begins")
    assert found.moves[0] == "kubectl rampway resume digits -n ml: end the pause"
    assert "resume" not in str(reasons.explain(await rolled_back.facts(), NOW_S))


@pytest.mark.parametrize(("resumed_s", "told"), [(100, True), (400, False)])
async def test_b10_who_resumed_is_told_of_the_rollout_that_it_was_said_to(
    resumed_s: float, told: bool
) -> None:
    """B10: the end of a pause before this rollout began says nothing of it."""
    scene = SCENES["mid_rollout"]
    resumed = {"by": "alice", "at": ago(resumed_s), "told": "Stamp"}
    facts = await scene.but(status=scene.status | {"resumedBy": resumed}).facts()
    assert facts.rollout is not None
    assert facts.rollout.status.started_at == ago(300)
    assert ("resumed by alice" in str(reasons.explain(facts, NOW_S).who)) is told


async def test_a_pause_and_a_deadline_are_among_what_is_said() -> None:
    """Clocks that run while pods are not ready, and a pause that holds a step that is over."""
    scene = scenes.paused.but(spec=scenes.paused.spec | {"paused": True})
    found = reasons.explain(await scene.facts(), NOW_S)
    assert any("kubectl rampway resume digits" in one.text for one in found.needs)
    begun = scenes.rollout(phase="Starting", message="0 of 1 ready", unreadySince=ago(60))
    found = reasons.explain(await scenes.mid_rollout.but(rollouts=(begun,)).facts(), NOW_S)
    assert found.back == ("progressDeadline: 9 min left to become ready",)


async def test_what_follows_a_return_depends_on_why() -> None:
    """A candidate that nobody found bad makes room for the next one."""
    (one,) = scenes.rolling_back.rollouts
    newer = one | {"status": one["status"] | {"reason": "NewRevision"}}
    found = reasons.explain(await scenes.rolling_back.but(rollouts=(newer,)).facts(), NOW_S)
    assert found.then == "the newer revision is rolled out"


async def test_a_phase_of_a_newer_operator_is_told_as_it_is() -> None:
    """Unknown words are no reason to fail."""
    begun = scenes.rollout(phase="Shadowing")
    found = reasons.explain(await scenes.mid_rollout.but(rollouts=(begun,)).facts(), NOW_S)
    assert found.where == "Shadowing"


def test_nothing_is_said_where_there_is_nothing() -> None:
    """No row, but a sentence."""
    none = printed(listing.table([], NOW_S, among="ml", wide=False), 80)
    assert none == "no ModelDeployments in namespace ml; -A: in all\n"
    assert printed(listing.table([], NOW_S, among=None, wide=False), 80) == "no ModelDeployments\n"
    assert "no rollout has been made" in printed(past.table([], NOW_S, wide=False), 80)


@pytest.mark.parametrize(("form", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_for_programs(connect: Connect, form: str, parse: Callable[[str], Any]) -> None:
    """The same facts, with names and times that need no parsing of sentences."""
    connect(scenes.stopped_by_check)
    (one,) = parse(CliRunner().invoke(app, ["list", "-o", form]).output)
    assert (one["name"], one["namespace"], one["status"]["phase"]) == (NAME, SPACE, "Holding")
    (one,) = parse(CliRunner().invoke(app, ["history", NAME, "-o", form]).output)
    assert (one["attempt"], one["ended"], one["to"]["revision"]) == (2, False, V2)
    assert one["requests"]["approve"][0]["by"] == "bob"
    assert "evidence" not in one["status"]
    same = parse(CliRunner().invoke(app, ["history", NAME, "2", "-o", form]).output)
    assert same["name"] == one["name"]
    told = parse(CliRunner().invoke(app, ["explain", NAME, "-o", form]).output)
    assert told["where"] == "in step 4/4 half: 50%"


def test_wide_says_more(connect: Connect) -> None:
    """Messages in full, and as long as they get."""
    connect(scenes.waiting_for_approval)
    for words in (["list"], ["history", NAME], ["status", NAME]):
        table = CliRunner().invoke(app, words).output
        wide = CliRunner().invoke(app, [*words, "-o", "wide"]).output
        assert len(wide) >= len(table)
    wide = CliRunner().invoke(app, ["list", "-A", "-o", "wide"]).output
    assert "NAMESPACE" in wide
    assert "3/3" in wide
    assert "AUTOMATION" in wide
    assert "AUTOMATION" in CliRunner().invoke(app, ["status", NAME, "-o", "wide"]).output


def test_an_attempt_that_is_not_there_is_refused(connect: Connect) -> None:
    """Exit code 1 and those that are kept; a name that is not there is exit code 4."""
    connect(scenes.mid_rollout)
    result = CliRunner().invoke(app, ["history", NAME, "7"])
    assert result.exit_code == 1
    assert "no rollout with attempt 7; kept: 1" in result.stderr
    assert CliRunner().invoke(app, ["history", "other"]).exit_code == 4
    assert CliRunner().invoke(app, ["explain", "other"]).exit_code == 4


def test_one_that_cannot_be_understood_does_not_hide_the_others(connect: Connect) -> None:
    """A field of a newer API costs one row, and says so."""
    store = connect(scenes.healthy)
    odd = {"metadata": {"name": "odd", "namespace": SPACE}, "spec": scenes.spec("1", shadow=1)}
    store.create(kinds.MODEL_DEPLOYMENT, odd)
    result = CliRunner().invoke(app, ["list"])
    assert "not shown: ml/odd cannot be understood: spec.shadow: unknown field" in result.stderr
    assert "digits" in result.stdout
    assert parse_deployment(store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME)).name == NAME
