"""The text view, as a reader sees it; RAMPWAY_WRITE_SNAPSHOTS=1 writes the snapshots anew."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from unit.cli import scenes

from rampway.cli import words
from rampway.cli.data import as_data
from rampway.cli.facts import Facts
from rampway.cli.view import WIDTH, view

SNAPSHOTS = Path(__file__).parent / "snapshots"


def printed(
    facts: Facts,
    trouble: str = "",
    *,
    later_s: float = 0.0,
    width: int = WIDTH,
    colour: bool = False,
) -> str:
    """Return the view as text, looked at so many seconds after it was read."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(view(facts, scenes.NOW_S + later_s, trouble))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@pytest.mark.parametrize("name", scenes.SCENES)
async def test_the_view_of_each_state(name: str) -> None:
    """Every state a reader meets looks as its snapshot."""
    seen = printed(await scenes.SCENES[name].facts())
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("RAMPWAY_WRITE_SNAPSHOTS"):
        path.write_text(seen)
    assert seen == path.read_text()


@pytest.mark.parametrize("width", [60, 80, WIDTH, 120])
@pytest.mark.parametrize("name", scenes.SCENES)
async def test_nothing_is_wider_than_the_terminal(name: str, width: int) -> None:
    """A narrow terminal gets more lines, not longer ones."""
    lines = printed(await scenes.SCENES[name].facts(), width=width).splitlines()
    assert max(map(len, lines)) <= width


async def test_b32_the_view_says_how_old_the_evidence_is_and_when_the_operator_fell_silent() -> (
    None
):
    """B32: the ages grow while nothing new is written, and a silent operator is named."""
    facts = await scenes.mid_rollout.facts()
    assert "evidence 4 s old, answered 3 s ago" in printed(facts)
    later = printed(facts, later_s=300)
    assert "evidence 5 min old, answered 5 min ago" in later
    assert "the operator has not written since then; is it running?" in later
    assert "is it running?" not in printed(facts, later_s=60)


async def test_trouble_while_reading_is_shown_at_the_top_with_the_age_of_the_rest() -> None:
    """A view that could not be read anew says so before everything that may be wrong by now."""
    seen = printed(await scenes.healthy.facts(), "get: 503: etcd is away", later_s=12)
    assert seen.splitlines()[3] == "⚠ read 12 s ago; trying again: get: 503: etcd is away"


async def test_time_without_evidence_does_not_count_towards_the_hold() -> None:
    """While a check cannot tell, the rest of the hold stays as it is."""
    facts = await scenes.holding.facts()
    now, later = facts.progress(scenes.NOW_S), facts.progress(scenes.NOW_S + 60)
    assert now is not None
    assert later is not None
    assert now.held_s == pytest.approx(90 - 5 - 40)
    assert later.left_s == now.left_s == pytest.approx(120 - 45)


async def test_a_step_whose_weight_is_not_in_force_has_no_clock() -> None:
    """The hold begins when the gateway accepted the weight."""
    begun = scenes.rollout(
        phase="Stepping", step={"index": 0, "name": "tenth", "total": 3}, weightPct=10
    )
    seen = printed(await scenes.mid_rollout.but(rollouts=(begun,)).facts())
    assert "step 1/3 tenth: 10%, not in force yet, then held 1m" in seen


async def test_a_message_cannot_steer_the_terminal() -> None:
    """A container's last words keep their letters and lose their control characters."""
    words = "\x1b[2Jgone\r\nfor \x9b31mgood [bold]x[/bold] :smile: \u202eabc"
    status = scenes.status("Degraded", "NoReadyPod", words, "True")
    seen = printed(await scenes.healthy.but(status=status).facts())
    assert "  [2Jgone for 31mgood [bold]x[/bold] :smile: abc" in seen
    assert not set(seen) & {"\x1b", "\x9b", "\r", "\u202e"}


async def test_words_of_a_newer_operator_are_shown_as_they_are() -> None:
    """Unknown phases and states are no reason to fail at night."""
    status = scenes.status("Mirroring", "Shadow", "a step of a kind to come", "Unknown")
    begun = scenes.rollout(
        phase="Shadowing", checks=[{"name": "x", "state": "Perhaps", "message": "who knows"}]
    )
    seen = printed(await scenes.healthy.but(status=status, rollouts=(begun,)).facts())
    assert "• Mirroring  Shadow" in seen
    assert "x  • Perhaps  who knows" in seen


async def test_a_pods_trouble_is_shown_unless_the_message_has_it() -> None:
    """B28: the kubelet's words are on the screen, once."""
    broken = scenes.pod(scenes.V1, 9, waiting=("ErrImagePull", "no such image"))
    scene = scenes.healthy.but(pods=(*scenes.STABLE_PODS[:2], broken))
    seen = printed(await scene.facts())
    assert f"  {scenes.V1}: ErrImagePull: no such image" in seen
    assert "2/3" in seen
    assert printed(await scenes.first_apply.facts()).count("was not found") == 1


async def test_b28_the_command_for_a_log_names_whose_it_is() -> None:
    """B28: stable's trouble stands above it, an old revision's row as well; it is neither's."""
    seen = printed(await scenes.crash_looping.facts())
    assert f"\n  {scenes.V1}: ErrImagePull: model-server:8 was not found\n" in seen
    assert f"\n  logs of {scenes.V2}: kubectl logs deploy/digits-{scenes.V2} -n ml" in seen
    assert seen.count("kubectl logs") == 1


@pytest.mark.parametrize(("phase", "shown"), [("Aborted", True), ("Promoted", False)])
async def test_what_the_checks_said_of_a_rollout_that_ended(phase: str, shown: bool) -> None:
    """Where it was not promoted somebody asks what they had seen by then."""
    facts = await scenes.rolled_back_by_check.facts()
    assert facts.rollout is not None
    status = facts.rollout.status.model_copy(update={"phase": phase})
    ended = replace(facts, rollout=replace(facts.rollout, status=status))
    assert ("CHECKS" in printed(ended)) is shown


@pytest.mark.parametrize("name", ["paused", "paused_at_rest"])
async def test_b10_a_pause_is_told_once(name: str) -> None:
    """B10: by the reason where it is the pause that holds, else by a line of its own."""
    scene = scenes.SCENES[name]
    assert printed(await scene.facts()).split("\n\n")[0].count("paused by") == 1
    told = scene.but(status=scene.status | {"reason": "StepRunning", "message": "20 s more"})
    assert printed(await told.facts()).split("\n\n")[0].count("paused by") == 1


async def test_decisions_stand_under_the_names_of_their_fields() -> None:
    """What was done and why, in the words of the API and of its Events."""
    seen = printed(await scenes.mid_rollout.facts()).split("DECISIONS\n")[1].splitlines()
    assert seen[0].split() == ["AT", "ACTOR", "ACTION", "REASON", "MESSAGE"]
    assert seen[1].split()[2:4] == ["StepStarted", "StepRunning"]


async def test_b06_the_way_back_is_told_where_it_is_not_at_once() -> None:
    """B6: with scarce pods, how much of the traffic can return, in the header."""
    words = "37 % of the traffic can return at once, the rest in about 15 s"
    status = scenes.status("Progressing", "StepRunning", "it runs", "Unknown", fallback=words)
    assert f"\n  {words}\n" in printed(await scenes.healthy.but(status=status).facts())


async def test_colours_are_by_phase() -> None:
    """Green is well, red is not: a glance from afar suffices."""
    assert "\x1b[1;32m✔ Healthy" in printed(await scenes.healthy.facts(), colour=True)
    assert "\x1b[1;31m✖ RolledBack" in printed(
        await scenes.rolled_back_by_check.facts(), colour=True
    )


async def test_an_object_nobody_looked_at_says_so() -> None:
    """Without any status the first suspect is an operator that does not run."""
    seen = printed(await scenes.Scene(spec=scenes.spec("1"), status={}).facts())
    assert seen.splitlines()[1] == (
        "⚠ no status yet: the operator has not looked at it; is it running?"
    )
    assert "CONDITIONS" not in seen


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(45, "45 s"), (3600, "60 min"), (5 * 86400, "5 days"), (-3, "0 s"), (None, "?")],
)
def test_ages_are_said_as_people_say_them(age_s: float | None, said: str) -> None:
    """Clocks that differ a little give no negative age."""
    at_s = None if age_s is None else scenes.NOW_S - age_s
    assert words.ago(at_s, scenes.NOW_S) == said


@pytest.mark.parametrize(
    ("age_s", "said"), [(60, "02:29:00Z"), (5 * 86400, "02-27 02:30Z"), (None, "?")]
)
def test_instants_of_another_day_carry_their_date(age_s: float | None, said: str) -> None:
    """At night the time of day suffices; a week later it does not."""
    instant = "" if age_s is None else scenes.ago(age_s)
    assert words.at(instant, scenes.NOW_S) == said


async def test_what_could_not_be_read_is_named() -> None:
    """A view that leaves something out says so."""
    facts = replace(await scenes.healthy.facts(), notes=("list Pod ml: 403: no right",))
    assert "  not shown: list Pod ml: 403: no right" in printed(facts)


async def test_a_route_that_may_not_be_read_is_not_claimed_to_be_missing() -> None:
    """Not knowing and not being there are two things, for people and for programs."""
    facts = replace(await scenes.healthy.facts(), route=None)
    assert "Route:" not in printed(facts)
    assert as_data(facts, scenes.NOW_S)["route"] is None


async def test_b07_who_waits_is_in_the_line_of_a_log_and_makes_a_new_one() -> None:
    """B7: `--watch` into a file and `--wait` say it too, as soon as it is so."""
    before, now = await scenes.waiting_for_approval.facts(), await scenes.queued.facts()
    told = f"; queued: revision {scenes.V3} (version 3) waits until"
    assert told in words.line(now, scenes.NOW_S)
    assert "queued" not in words.line(before, scenes.NOW_S)
    assert words.course_key(before) != words.course_key(now)
    assert words.key(before) != words.key(now)
