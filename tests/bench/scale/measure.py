"""What is measured at one size: a calm window, candidates that go bad, a restart, a cold start."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from bench.scale.controller import NAME, POLL_S, Controller, Spoiled, TooLate, until
from bench.scale.figures import (
    Page,
    Rollback,
    mean_s,
    operators,
    prometheus,
    rates,
    rollbacks,
    rss_mib,
)
from bench.scale.fleet import Fleet
from bench.scale.objects import Member
from bench.scale.place import Place, say

LONGEST_S = 600.0
"""A bad candidate that is not off by then counts as never off."""
VERDICTS_S = 600.0
SAMPLE_S = 10.0
CALM_S = 600.0
CALM_CALLS_PER_S = 5.0
"""A leader at rest renews its Lease and lists everything once a minute."""
STARTED_S = 3600.0
DECISIONS = "rampway_decision_seconds"
Found = dict[str, Any]


async def rollouts(place: Place, fleet: Fleet, size: int) -> Found:
    """Measure with so many rollouts active at once."""
    began_s, plan = time.time(), place.plan
    await fleet.grow(size)
    await fleet.judged(VERDICTS_S)
    say(f"  settling for {plan.settle_s:.0f} s")
    await asyncio.sleep(plan.settle_s)
    setup_s = time.time() - began_s
    found = await window(place)
    found["checks"] = fleet.verdicts()
    say(f"  checks: {found['checks']}")
    found["active"], found["pods"] = len(fleet.active()), place.exporter.pods
    found["rollback"] = await _calm_rollback(place, fleet)
    found["rollback_after_restart"] = await _rollback_after_restart(place, fleet)
    return {"setup_s": round(setup_s), **found, "ended_unasked": fleet.ended_unasked()}


async def rest(place: Place, fleet: Fleet, number: int) -> Found:
    """Measure with so many ModelDeployments at rest: idle, and the operator's cold start."""
    began_s = time.time()
    await fleet.clear()
    await fleet.rest(number)
    await asyncio.sleep(place.plan.settle_s)
    calm = await _calm(place.controller)
    setup_s = round(time.time() - began_s)
    found: Found = {"setup_s": setup_s, "calm": calm, **await window(place)}
    found["start"] = await _cold_start(place.controller, number)
    return found


async def _calm(controller: Controller) -> bool:
    """Wait until the leader is at rest, too: events of the last pods reach it late.

    Returns:
        Whether it was, in good time; if not, what is measured is not rest.
    """
    _, before = await controller.leader()
    deadline_s = time.monotonic() + CALM_S
    while time.monotonic() < deadline_s:
        await asyncio.sleep(SAMPLE_S)
        _, now = await controller.leader()
        calls_per_s = sum(rates(before, now, "rampway_api_requests_total", "verb").values())
        if calls_per_s <= CALM_CALLS_PER_S:
            return True
        say(f"  the operator still makes {calls_per_s:.0f} calls a second")
        before = now
    return False


async def window(place: Place) -> Found:
    """Measure for the plan's time, in which nothing is changed."""
    seconds, controller = place.plan.window_s, place.controller
    say(f"  measuring for {seconds:.0f} s")
    history = await controller.history()
    before, prometheus_before = await _all_pages(place)
    end_s, most = time.monotonic() + seconds, 0.0
    while (left_s := end_s - time.monotonic()) > 0:
        await asyncio.sleep(min(SAMPLE_S, left_s))
        pages = await controller.pages()
        most = max(most, *(rss_mib(page) for page in list(pages.values())[:1]), 0.0)
    after, prometheus_after = await _all_pages(place)
    same = (list(before), history) == (list(after), told := await controller.history())
    if not same:
        raise Spoiled(f"operators before: {history}, leader first: {list(before)}; after: {told}, "
                      f"{list(after)}; the memory limit is 512Mi")  # fmt: skip
    used = operators(list(before.values()), list(after.values()))
    used["rss_most_mib"] = max(most, used["rss_mib"])
    return {"operator": used, "prometheus": prometheus(prometheus_before, prometheus_after)}


async def _all_pages(place: Place) -> tuple[dict[str, Page], Page]:
    """Return the operator's pages, the leader's first, and Prometheus's."""
    return await place.controller.whole(), await place.controller.page(place.prometheus)


async def _calm_rollback(place: Place, fleet: Fleet) -> Found:
    """Let candidates go bad one after the other, spread over the interval between two looks."""
    victims = await _victims(place, fleet)
    say(f"  {len(victims)} candidates go bad")
    _, before = await place.controller.leader()
    turned_s: dict[Member, float] = {}
    for member in victims:
        turned_s[member] = place.exporter.turn(member.candidate)
        await asyncio.sleep(place.plan.look_s / len(victims))
    found = await _off(place, fleet, turned_s)
    _, after = await place.controller.leader()
    return {**found, "decision": mean_s(DECISIONS, before, after)}


async def _rollback_after_restart(place: Place, fleet: Fleet) -> Found:
    """Delete the leader's pod, and let candidates go bad at that moment."""
    victims, controller = await _victims(place, fleet), place.controller
    name, _ = await controller.leader()
    say(f"  {len(victims)} candidates go bad as the leader, {name}, is deleted")
    deleted_s = time.time()
    await controller.remove(name)
    turned_s = {member: place.exporter.turn(member.candidate) for member in victims}
    await controller.leader(other_than=name)
    taken_s = time.time() - deleted_s
    found = await _off(place, fleet, turned_s)
    _, after = await controller.leader()
    await controller.rolled_out()
    decision = mean_s(DECISIONS, None, after)
    return {**found, "decision": decision, "other_leader_after_s": round(taken_s, 1)}


async def _victims(place: Place, fleet: Fleet) -> list[Member]:
    """Return candidates that are to go bad; more rollouts are begun where there are too few."""
    wanted = place.plan.victims
    if len(fleet.active()) < wanted:
        await fleet.grow(wanted)
        await fleet.judged(VERDICTS_S)
    there = sorted(fleet.active(), key=lambda member: member.key)
    return Random(1).sample(there, wanted)  # noqa: S311 - which ones is no secret


async def _off(place: Place, fleet: Fleet, turned_s: Mapping[Member, float]) -> Found:
    """Wait until the routes give the bad candidates nothing; return how long it took."""

    def off_s(member: Member) -> float | None:
        return fleet.gateway.off_since(member.key, turned_s[member])

    async def all_off() -> bool:
        return all(off_s(member) for member in turned_s)

    with suppress(TooLate):
        await until(all_off, "all bad candidates off", LONGEST_S)
    failing_s = place.exporter.failing_s
    seen = [
        Rollback(turned, failing_s.get(member.candidate), off_s(member))
        for member, turned in turned_s.items()
    ]
    for member in turned_s:
        fleet.bad.add(member.key)
        place.exporter.drop(member.candidate)
    found = rollbacks(seen)
    say(f"  off: {found}")
    return found


async def _cold_start(controller: Controller, number: int) -> Found:
    """Start the operator where none runs; it has started when each was reconciled once."""
    replicas = await controller.replicas()
    say("  stopping the operator, and starting it anew")
    await controller.scale(NAME, 0)
    starting = asyncio.create_task(controller.scale(NAME, replicas))
    try:
        name, page = await _reconciled(controller, number)
    finally:
        await starting
    verbs = page.by("rampway_api_requests_total", "verb")
    return {
        "start_s": round(page.at_s - page.total("process_start_time_seconds"), 1),
        "cpu_s": round(page.total("process_cpu_seconds_total"), 1),
        "rss_mib": rss_mib(page),
        "passes": page.by("rampway_reconciles_total", "result"),
        "api_requests": {verb: round(count) for verb, count in sorted(verbs.items())},
        "pod": name,
    }


async def _reconciled(controller: Controller, number: int) -> tuple[str, Page]:
    """Return the leader's page once each of so many ModelDeployments had a whole pass."""
    deadline_s = time.monotonic() + STARTED_S
    seen = 0.0
    while time.monotonic() < deadline_s:
        for name, page in list((await controller.pages()).items())[:1]:
            seen = page.total("rampway_reconciled_objects")
            if seen >= number:
                return name, page
        await asyncio.sleep(POLL_S)
    raise TooLate(f"{seen:.0f} of {number} had a pass within {STARTED_S:.0f} s of the start")


MEASURES: Mapping[str, Callable[[Place, Fleet, int], Awaitable[Found]]] = {
    "rollouts": rollouts,
    "rest": rest,
}


def sizes(text: str) -> Sequence[int]:
    """Read `1,100,300`: whole numbers, ascending, each once.

    Raises:
        ValueError: something else was given.
    """
    found = [int(part) for part in text.split(",") if part.strip()]
    if any(number < 1 for number in found) or found != sorted(set(found)):
        raise ValueError(f"expected ascending numbers from 1 on, such as 1,100; seen: {text!r}")
    return found
