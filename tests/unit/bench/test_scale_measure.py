"""How `make bench-scale` measures, on an operator and rollouts that the test plays."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from bench.scale import measure
from bench.scale.controller import Spoiled, TooLate
from bench.scale.exporter import Exporter
from bench.scale.figures import Page, Plan
from bench.scale.objects import Member

PLAN = Plan(window_s=0.05, settle_s=0.0, victims=2, look_s=0)


def page(**values: float) -> Page:
    """Return a page with these values; memory and processors are always told."""
    known = {"process_cpu_seconds_total": 1.0, "process_resident_memory_bytes": 1e8} | values
    text = "".join(f"{name} {value}\n" for name, value in known.items())
    return Page.read(text, time.time())


@dataclass
class FakeController:
    """Plays the operator: whoever is the first leads."""

    names: list[str] = field(default_factory=lambda: ["a", "b"])
    values: Callable[[], dict[str, float]] = dict
    told: list[str] = field(default_factory=list)

    async def pages(self) -> dict[str, Page]:
        """Return a page of each pod."""
        return {name: page(**self.values()) for name in self.names}

    whole = pages

    async def page(self, _url: str) -> Page:
        """Return Prometheus's page."""
        return page()

    async def history(self) -> dict[str, str]:
        """Return that nothing was restarted."""
        return dict.fromkeys(sorted(self.names), "0 restarts")

    async def leader(self, other_than: str = "") -> tuple[str, Page]:
        """Return the first pod."""
        assert self.names[0] != other_than
        return self.names[0], page(**self.values())

    async def remove(self, pod: str) -> None:
        """Let the other one lead."""
        self.told.append(f"remove {pod}")
        self.names.remove(pod)

    async def rolled_out(self) -> None:
        """Note that it was waited for."""
        self.told.append("rolled out")

    async def replicas(self) -> int:
        """Return how many there are."""
        return 2

    async def scale(self, name: str, replicas: int) -> None:
        """Note it."""
        self.told.append(f"scale {name} {replicas}")


class FakeGateway:
    """Takes a candidate off the route a moment after it went bad."""

    def __init__(self, stuck: frozenset[str] = frozenset()) -> None:
        self.stuck = stuck

    def off_since(self, key: tuple[str, str], after_s: float) -> float | None:
        """Return when that was."""
        return None if key[1] in self.stuck else after_s + 7.0


@dataclass
class FakeFleet:
    """Three active rollouts."""

    gateway: FakeGateway = field(default_factory=FakeGateway)
    bad: set[tuple[str, str]] = field(default_factory=set)
    grown: list[int] = field(default_factory=list)
    running: int = 3

    def active(self) -> list[Member]:
        """Return those that were not made to go bad."""
        found = [Member(("team", f"m{n}"), f"m{n}-s", f"m{n}-c") for n in range(self.running)]
        return [member for member in found if member.key not in self.bad]

    async def grow(self, size: int) -> None:
        """Begin more."""
        self.grown.append(size)
        self.running += size - len(self.active())

    async def judged(self, _within_s: float) -> None:
        """Have verdicts at once."""


@dataclass
class FakePlace:
    """What the measurements need."""

    plan: Plan = PLAN
    controller: FakeController = field(default_factory=FakeController)
    exporter: Exporter = field(default_factory=Exporter)
    prometheus: str = ""

    def __post_init__(self) -> None:
        """Let all candidates have a pod."""
        for n in range(9):
            self.exporter.add("team", f"m{n}", f"m{n}-c", 1)


@pytest.fixture
def place() -> Any:
    """Return a place that is played."""
    return FakePlace()


@pytest.fixture
def fleet() -> Any:
    """Return rollouts that are played."""
    return FakeFleet()


async def test_candidates_go_bad_and_are_timed(place: Any, fleet: Any) -> None:
    """Each victim is another rollout, noted as asked for, and its pods are gone afterwards."""
    found = await measure._calm_rollback(place, fleet)
    assert (found["candidates"], found["not_off"]) == (2, 0)
    assert found["from_turning_bad_s"] == {"median": 7.0, "least": 7.0, "most": 7.0}
    assert len(fleet.bad) == 2
    assert place.exporter.pods == 7
    assert found["decision"] == {"mean_s": None, "count": 0}


async def test_a_candidate_that_stays_is_counted(
    place: Any, fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, for a time, and the figures say that it was never off."""
    monkeypatch.setattr(measure, "LONGEST_S", 0.0)
    fleet.gateway.stuck = frozenset({"m0", "m1", "m2"})
    found = await measure._calm_rollback(place, fleet)
    assert found["not_off"] == 2
    assert "from_turning_bad_s" not in found


async def test_the_leader_is_deleted_as_candidates_go_bad(place: Any, fleet: Any) -> None:
    """Another one leads then; its histogram counts from its own start."""
    place.controller.values = lambda: {
        "rampway_decision_seconds_count": 2.0, "rampway_decision_seconds_sum": 3.0,
    }  # fmt: skip
    found = await measure._rollback_after_restart(place, fleet)
    assert place.controller.told == ["remove a", "rolled out"]
    assert found["decision"] == {"mean_s": 1.5, "count": 2}
    assert found["candidates"] == 2


async def test_rollouts_are_begun_where_too_few_are_active(place: Any, fleet: Any) -> None:
    """With one rollout, five cannot go bad; no more than needed are begun."""
    fleet.running = 1
    assert len(await measure._victims(place, fleet)) == 2
    assert fleet.grown == [2]
    fleet.running = 3
    await measure._victims(place, fleet)
    assert fleet.grown == [2]


async def test_a_window_is_spoiled_by_another_leader(place: Any) -> None:
    """The figures of two processes would be mixed; the message names them."""
    assert (await measure.window(place))["operator"]["rss_most_mib"] == 95.4
    pages = place.controller.pages

    async def changing() -> dict[str, Page]:
        found: dict[str, Page] = await pages()
        place.controller.names.reverse()
        return found

    place.controller.whole = changing
    place.controller.names = ["a", "b"]
    with pytest.raises(Spoiled, match="leader first"):
        await measure.window(place)


async def test_the_operator_has_started_when_each_had_its_pass(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many passes there were: some had several of them."""
    monkeypatch.setattr(measure, "POLL_S", 0.0)
    seen = iter([3.0, 4.0, 5.0, 6.0])

    def values() -> dict[str, float]:
        return {"rampway_reconciles_total": 9.0, "rampway_reconciled_objects": next(seen)}

    place.controller.names, place.controller.values = ["a"], values
    _, found = await measure._reconciled(place.controller, 5)
    assert found.total("rampway_reconciled_objects") == 5.0


async def test_a_start_that_does_not_end_is_told(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's own replicas are put back in any case."""
    monkeypatch.setattr(measure, "STARTED_S", 0.02)
    monkeypatch.setattr(measure, "POLL_S", 0.001)
    place.controller.values = lambda: {"rampway_reconciled_objects": 3.0}
    with pytest.raises(TooLate, match="3 of 5 had a pass"):
        await measure._cold_start(place.controller, 5)
    assert place.controller.told == ["scale rampway-operator 0", "scale rampway-operator 2"]
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("calls", "calm"), [([0, 90, 100, 100], True), (range(0, 9000, 90), False)]
)
async def test_rest_is_measured_once_the_operator_rests(
    place: Any, monkeypatch: pytest.MonkeyPatch, calls: Iterable[int], calm: bool
) -> None:
    """Passes that events of the last pods call for are waited for, but not for ever."""
    monkeypatch.setattr(measure, "SAMPLE_S", 0.01)
    monkeypatch.setattr(measure, "CALM_S", 0.3)
    told = iter(calls)
    place.controller.values = lambda: {"rampway_api_requests_total": float(next(told))}
    assert await measure._calm(place.controller) is calm
    assert calm is (next(told, None) is None)
