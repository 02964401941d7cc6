"""Who it was, by the object: a stamp where it can be believed, else the field manager (B11)."""

import asyncio
from typing import Any

import pytest
from unit.shell.place import NAME, Place

from rampway.api import labels
from rampway.api.authors import Author
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.instants import from_wire
from rampway.core.model.authors import Authors
from rampway.kube.base import Obj
from rampway.kube.errors import Forbidden, Transient
from rampway.kube.kinds import MODEL_DEPLOYMENT, MUTATING_POLICY, MUTATING_POLICY_BINDING
from rampway.shell.authors import FRESH_S, POLICY, Stamping, read
from rampway.sim import admission
from rampway.sim.apiserver import MemoryApi
from rampway.sim.clock import SimClock

SINCE = "2026-03-04T02:00:00Z"
EARLIER, LATER, NEXT_YEAR = "2026-03-04T01:00:00Z", "2026-03-04T02:10:00Z", "2027-03-04T02:10:00Z"
NOW_S = from_wire("2026-03-04T02:30:00Z") or 0.0


def entry(manager: str, at: str, *fields: str, **more: str) -> Obj:
    """Return what managedFields say of a program."""
    owned: Obj = {f"f:{name}": {} for name in fields}
    return {"manager": manager, "time": at, "fieldsV1": {"f:spec": owned}, **more}


PATCH = entry("kubectl-patch", EARLIER, "paused")
CREATE = entry("kubectl-create", EARLIER, "model", "server", "paused")
BY_PATCH = Author(by="kubectl-patch", at=EARLIER, told="Manager")
BY_CREATE = Author(by="kubectl-create", at=EARLIER, told="Manager")


def deployment(
    *entries: Obj, paused: bool = True, notes: dict[str, str] | None = None
) -> ModelDeployment:
    """Return a ModelDeployment with these managedFields and annotations."""
    place = Place()
    obj = place.get(MODEL_DEPLOYMENT, NAME)
    obj["metadata"] |= {"managedFields": list(entries), "annotations": notes or {}}
    obj["spec"]["paused"] = paused
    return parse_deployment(obj)


def seen(obj: ModelDeployment, since: str | None = SINCE) -> Authors:
    """Return who did what, where the API server stamps since then."""
    return read(obj, None if since is None else from_wire(since), NOW_S)


def stamped(at: str) -> Author | None:
    """Return who paused it, by a stamp of this time beside a field manager."""
    return seen(deployment(PATCH, notes={labels.PAUSED_BY: f"alice at {at}"})).paused


def test_b11_a_stamp_names_the_user_and_the_time() -> None:
    """B11: each of the three has its own; a name may have spaces, and at, and quotes."""
    notes = {
        labels.PAUSED_BY: f'Jane "J" at home at {LATER}',
        labels.RESUMED_BY: f"bob at {LATER}",
        labels.CHANGED_BY: f"carol at {LATER}",
    }
    jane = Author(by='Jane "J" at home', at=LATER, told="Stamp")
    bob, carol = (Author(by=name, at=LATER, told="Stamp") for name in ("bob", "carol"))
    assert seen(deployment(CREATE, notes=notes)) == Authors(paused=jane, changed=carol)
    running = deployment(CREATE, paused=False, notes=notes)
    assert seen(running) == Authors(resumed=bob, changed=carol)


def test_b11_without_the_policy_an_annotation_is_worth_nothing() -> None:
    """B11: whoever may write the object may write that; the program's name is what is known."""
    forged = deployment(
        CREATE | {"time": SINCE}, PATCH, notes={labels.PAUSED_BY: f"eve at {LATER}"}
    )
    assert seen(forged, None).paused == Author(by="kubectl-create", at=SINCE, told="Manager")
    assert stamped(EARLIER) == BY_PATCH, "older than the policy: nobody knows who wrote it"
    assert seen(deployment(PATCH, notes={labels.PAUSED_BY: "eve"})).paused == BY_PATCH


@pytest.mark.parametrize("at", [NEXT_YEAR, "", "whenever"])
def test_b11_a_made_up_time_hides_no_name(at: str) -> None:
    """B11: managedFields may be written by clients, and the policy's clock is in them."""
    assert stamped(at) == Author(by="alice", at="", told="Stamp")
    beside = entry("liar", NEXT_YEAR, "paused")
    assert seen(deployment(beside, PATCH), None).paused == BY_PATCH


def test_b11_only_who_wrote_the_field_of_the_spec_counts() -> None:
    """B11: not who scales it, not who writes its status, not who owns another field."""
    hpa = entry("hpa", LATER, "paused", subresource="scale")
    operator = entry("rampway", LATER, "paused", "model", subresource="status")
    other = entry("argocd", LATER, "replicas")
    found = seen(deployment(PATCH, CREATE | {"time": "2026-03-04T00:59:00Z"}, hpa, operator, other))
    assert found.paused == BY_PATCH
    assert found.changed == BY_CREATE.model_copy(update={"at": "2026-03-04T00:59:00Z"})


def test_a_pause_of_which_nothing_is_known_is_still_one() -> None:
    """Where managedFields were taken away."""
    assert seen(deployment()) == Authors(paused=Author())
    assert seen(deployment(paused=False)) == Authors()


class Watched(MemoryApi):
    """An API server that counts what it is asked, and refuses as told."""

    refusal: Exception | None = None
    asked = 0

    async def get(self, *about: Any) -> Obj:
        """Return the object, or refuse."""
        self.asked += 1
        await asyncio.sleep(0)  # others have their turn
        if self.refusal is not None:
            raise self.refusal
        return await super().get(*about)


def asking() -> tuple[Watched, SimClock, Stamping]:
    """Return an API server without the policy, a clock, and what asks."""
    clock = SimClock()
    api = Watched(Place().store)
    return api, clock, Stamping(api, clock)


def since(stamping: Stamping) -> float | None:
    """Return what it says now."""
    return asyncio.run(stamping.since_s())


def test_b11_stamps_count_from_when_policy_and_binding_are_there() -> None:
    """B11: asked now and then; what is not installed, or may not be read, is not there."""
    api, clock, stamping = asking()
    assert since(stamping) is None
    admission.install(api.store)
    assert since(stamping) is None
    clock.advance(FRESH_S)
    made = api.store.get(MUTATING_POLICY, None, POLICY)["metadata"]["creationTimestamp"]
    assert since(stamping) == from_wire(made)
    asked = api.asked
    assert since(stamping) is not None
    assert api.asked == asked
    api.refusal = Transient("later")
    clock.advance(FRESH_S)
    asked = api.asked
    assert since(stamping) == from_wire(made), "what cannot be asked now is as it was"
    assert since(stamping) == from_wire(made)
    assert api.asked == asked + 1, "and asked once an interval, not at each pass"
    api.refusal = Forbidden("no")
    clock.advance(FRESH_S)
    assert since(stamping) is None


def test_b11_passes_at_once_ask_once_and_all_have_the_answer() -> None:
    """B11: at the start none of them takes names for unstamped while another one asks."""
    api, _, stamping = asking()
    admission.install(api.store)

    async def together() -> list[float | None]:
        return await asyncio.gather(*(stamping.since_s() for _ in range(3)))

    found = asyncio.run(together())
    assert None not in found
    assert api.asked == len((MUTATING_POLICY, MUTATING_POLICY_BINDING))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (MUTATING_POLICY, {"failurePolicy": "Ignore"}),
        (MUTATING_POLICY_BINDING, {"matchResources": {"namespaceSelector": {"matchLabels": {}}}}),
    ],
)
def test_b11_a_policy_with_exceptions_proves_nothing(kind: Any, spec: Obj) -> None:
    """B11: where a write may go past it, a stamp may be anybody's."""
    api, _, stamping = asking()
    admission.install(api.store)
    api.store.patch(kind, None, POLICY, {"spec": spec})
    assert since(stamping) is None
