"""The ModelDeployments of `make bench-scale` in bulk: who is active, and what traffic they get."""

from typing import Any

import pytest
from bench.scale import fleet as module
from bench.scale.api import Api
from bench.scale.controller import TooLate
from bench.scale.exporter import SHARDS, Exporter
from bench.scale.figures import Plan
from bench.scale.fleet import PER_NAMESPACE, Fleet
from bench.scale.objects import Member
from bench.scale.place import Place

KEYS = (("scale-000", "m00000"), ("scale-000", "m00001"))


@pytest.fixture
def fleet() -> Fleet:
    """Return two rollouts, one of them active; nothing is sent anywhere."""
    nobody: Any = None
    made = Fleet(Place(Plan(), Api(nobody, ""), nobody, Exporter(lambda: 0.0), "scale", ""))
    for number, key in enumerate(KEYS):
        made.members[key] = Member(key, f"{key[1]}-s", f"{key[1]}-c")
        made.exporter.add(*key, f"{key[1]}-s", 2)
        made.exporter.add(*key, f"{key[1]}-c", 1)
        made.rollouts.objects[key[0], f"{key[1]}-c-1"] = {
            "deployment": key[1], "active": number == 0, "phase": "Stepping", "checks": [],
            "message": "holds",
        }  # fmt: skip
    return made


def rates(fleet: Fleet) -> dict[str, float]:
    """Return the requests a second of each revision."""
    found: dict[str, float] = {}
    for shard in range(SHARDS):
        for revision, pods in fleet.exporter._shards[shard].items():
            found[revision] = found.get(revision, 0.0) + sum(pod.rate_per_s for pod in pods)
    return found


def test_traffic_is_split_as_the_route_says(fleet: Fleet) -> None:
    """25 requests a second: all to stable at rest, a fifth to a candidate of 20 %."""
    fleet._split(KEYS[0], "", 0)
    assert rates(fleet)["m00000-s"] == pytest.approx(25.0)
    fleet._split(KEYS[0], "m00000-c", 20)
    assert rates(fleet)["m00000-s"] == pytest.approx(20.0)
    assert rates(fleet)["m00000-c"] == pytest.approx(5.0)
    fleet._split(KEYS[0], "", 0)
    assert rates(fleet)["m00000-c"] == 0.0
    fleet._split(("elsewhere", "m"), "m-c", 20)  # one without traffic
    assert rates(fleet)["m00001-s"] == 0.0


def test_active_is_what_runs_in_force(fleet: Fleet) -> None:
    """A rollout that starts, or has ended, is not active; its checks are not counted."""
    assert [member.key for member in fleet.active()] == [KEYS[0]]
    assert fleet.verdicts()["rollouts"] == 1


def test_an_end_that_nobody_asked_for_is_told(fleet: Fleet) -> None:
    """A false rollback is named with its reason; that of a bad candidate is none."""
    for found in fleet.rollouts.objects.values():
        found |= {"phase": "RolledBack", "message": "check errors", "active": False}
    fleet.bad.add(KEYS[0])
    assert fleet.ended_unasked() == ["m00001: RolledBack: check errors"]


def test_names_are_spread_over_namespaces(fleet: Fleet) -> None:
    """As many in one as a team has; a name is never used twice."""
    keys = [fleet._key(number) for number in range(3 * PER_NAMESPACE)]
    assert len(set(keys)) == len(keys)
    assert sorted({space for space, _ in keys}) == ["scale-000", "scale-001", "scale-002"]


async def test_a_number_that_rises_no_more_is_told(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it rises it is waited for; the message says what most of them say."""
    monkeypatch.setattr(module, "POLL_S", 0.001)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "PATIENCE_OF_EACH_S", 0.001)
    seen = iter([0, 1, 2, *([2] * 10_000)])
    with pytest.raises(TooLate, match="2 of 3 pods, no more for 0 s: 2 times 'Stepping: holds'"):
        await fleet.reach(lambda: next(seen), 3, "pods")
    done = iter([0, 3])
    await fleet.reach(lambda: next(done), 3, "pods")
