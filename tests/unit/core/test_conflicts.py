"""B15: of two ModelDeployments on one host and path, one has it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.builders import deployment

from rampway.core.traffic.conflicts import Claim, conflicting
from rampway.core.traffic.route import Place

EG = ("ml", "eg", "")
HOME = Place(frozenset({EG}), frozenset({"x.example"}), frozenset({"/"}))
OLD = Claim("ml", "a", "2026-01-01T00:00:00Z", (HOME,))
NEW = replace(OLD, name="b", created_at="2026-01-02T00:00:00Z")


def at(claim: Claim, **change: Any) -> Claim:
    """Return the claim of another place."""
    return replace(claim, places=(replace(HOME, **change),))


OVERLAPS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same host and path": ({}, True),
    "one host of several": ({"hosts": frozenset({"x.example", "y.example"})}, True),
    "another host": ({"hosts": frozenset({"y.example"})}, False),
    "a host against all hosts": ({"hosts": frozenset()}, False),
    "another path": ({"matches": frozenset({"/v2"})}, False),
    "one match of several": ({"matches": frozenset({"/v2", "/"})}, True),
    "another Gateway": ({"parents": frozenset({("ml", "other", "")})}, False),
    "a Gateway of that name elsewhere": ({"parents": frozenset({("infra", "eg", "")})}, False),
    "one listener against all": ({"parents": frozenset({("ml", "eg", "https")})}, True),
    "one Gateway of two": ({"parents": frozenset({EG, ("ml", "other", "")})}, True),
}


@pytest.mark.parametrize(("change", "taken"), OVERLAPS.values(), ids=OVERLAPS.keys())
def test_b15_what_collides(change: dict[str, Any], taken: bool) -> None:
    """B15: equal host and path on a shared listener collide, nothing else does."""
    assert conflicting(at(NEW, **change), [OLD]) == ("ml/a" if taken else "")


def test_b15_two_for_all_hosts_collide() -> None:
    """B15: no host means all of them, on both sides."""
    every = frozenset[str]()
    assert conflicting(at(NEW, hosts=every), [at(OLD, hosts=every)]) == "ml/a"


def test_b15_listeners_of_one_gateway_are_apart() -> None:
    """B15: two listeners of one Gateway carry two routes."""
    http = at(OLD, parents=frozenset({("ml", "eg", "http")}))
    assert not conflicting(at(NEW, parents=frozenset({("ml", "eg", "https")})), [http])


RIGHTS: dict[str, tuple[bool | None, bool | None, str, str]] = {
    "of two new ones the older has it": (None, None, "", "ml/a"),
    "who was granted it keeps it against a newer one": (True, None, "", "ml/a"),
    "and against an older one that moves in": (None, True, "ml/b", ""),
    "who was refused has no claim": (False, None, "", ""),
}


@pytest.mark.parametrize(("old", "new", "for_old", "for_new"), RIGHTS.values(), ids=RIGHTS.keys())
def test_b15_who_has_it(old: bool | None, new: bool | None, for_old: str, for_new: str) -> None:
    """B15: who serves keeps it; else the older has it."""
    first, second = replace(OLD, granted=old), replace(NEW, granted=new)
    assert conflicting(first, [first, second]) == for_old
    assert conflicting(second, [first, second]) == for_new


def test_b15_of_two_grants_the_older_stays() -> None:
    """B15: should a race have granted both, exactly one gives way."""
    first, second = replace(OLD, granted=True), replace(NEW, granted=True)
    assert conflicting(first, [first, second]) == ""
    assert conflicting(second, [first, second]) == "ml/a"


def test_b15_made_in_the_same_second_the_name_decides() -> None:
    """B15: of equally old ones the first by namespace and name has it."""
    twin = replace(OLD, name="b")
    assert conflicting(twin, [OLD]) == "ml/a"
    assert conflicting(OLD, [twin]) == ""


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdef")), unique=True, min_size=1))
def test_b15_of_new_ones_exactly_one_has_it(made: list[tuple[int, str]]) -> None:
    """B15: however many want it, and however often one asks, one has it."""
    claims = [replace(OLD, name=name, created_at=f"2026-01-0{day + 1}") for day, name in made]
    assert sum(not conflicting(claim, claims) for claim in claims) == 1


def status(reason: str, accepted: str, generation: int = 3, address: str = "") -> dict[str, Any]:
    """Return a status with this condition Accepted."""
    known = {"type": "Accepted", "status": accepted, "reason": reason}
    conditions = [known | {"observedGeneration": generation}]
    return {"conditions": conditions} | ({"address": address} if address else {})


HERE = "gw/in#s,ml/eg a.b /"


@pytest.mark.parametrize(
    ("found", "granted"),
    [
        (None, None),
        (status("Valid", "True"), True),
        (status("Valid", "True", 2), None),
        (status("Valid", "True", 2, HERE), True),
        (status("Valid", "True", 2, "ml/eg c.d /"), None),
        (status("BadQuery", "False"), True),
        (status("RouteConflict", "False"), False),
    ],
)
def test_b15_what_a_status_says_of_a_claim(found: dict[str, Any], granted: bool | None) -> None:
    """B15: a grant holds for the spec it was given for, and a bad query does not lose it."""
    route = {"parentRefs": [{"name": "eg"}, {"name": "in", "namespace": "gw", "sectionName": "s"}]}
    one = deployment(status=found, traffic={"ownedRoute": route | {"hostnames": ["a.b"]}})
    claim = Claim.of(one)
    assert claim.granted is granted
    assert claim.address == HERE
    (place,) = claim.places
    assert place.parents == {("ml", "eg", ""), ("gw", "in", "s")}
    assert place.hosts == {"a.b"}
    assert place.matches == {"/"}


def test_b15_a_long_address_is_told_from_another() -> None:
    """B15: hundreds of hosts are cut to a bounded text that still names just these."""
    many = [f"host-{number}.example" for number in range(300)]
    one, two = (at(OLD, hosts=frozenset(many[:count])) for count in (300, 299))
    assert one.address != two.address
    assert len(one.address) < 1100
    assert at(OLD, hosts=frozenset()).address == "ml/eg * /"


RULE = "ml/HTTPRoute shop#predict *"


@pytest.mark.parametrize(
    ("found", "granted", "has_rule"),
    [
        (None, None, False),
        (status("Valid", "True", 3, f"{RULE}; ml/eg x.example /"), True, True),
        (status("Valid", "True", 3, f"{RULE}; ml/eg y.example /"), None, True),
        (status("Valid", "True", 3, f"{RULE}-2; ml/eg x.example /"), None, False),
        (status("RouteNotFound", "False"), None, False),
        (status("RouteConflict", "False"), False, False),
    ],
)
def test_b15_a_users_route_that_changed_is_judged_anew(
    found: dict[str, Any] | None, granted: bool | None, has_rule: bool
) -> None:
    """B15: hosts of the user's route change without a generation; the rule stays granted."""
    ref = {"type": "RouteRef", "routeRef": {"name": "shop", "rule": "predict"}}
    one = deployment(status=found, traffic=ref)
    claim = Claim.of(one, HOME)
    assert claim.address == f"{RULE}; ml/eg x.example /"
    assert claim.granted is granted
    assert claim.has_rule(one.status.address) is has_rule
    assert conflicting(replace(claim, granted=None), [replace(OLD, granted=True)]) == "ml/a"
