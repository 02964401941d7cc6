"""Where requests for a user's rule arrive, in words that are equal for equal requests (B15)."""

from typing import Any

import pytest

from rampway.core.traffic.route import Place
from rampway.kube.base import Obj
from rampway.routers import places


def matched(*matches: Obj) -> frozenset[str]:
    """Return the texts of a rule's matches."""
    spec = {"rules": [{"matches": list(matches)} if matches else {}]}
    return places.read({"metadata": {"namespace": "ml"}, "spec": spec}, 0).matches


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    """Return a match by path."""
    return {"path": {"type": kind, "value": value}}


def header(name: str, value: str, **more: str) -> dict[str, str]:
    """Return a header that a match asks for."""
    return {"name": name, "value": value} | more


A, B = header("a", "1"), header("b", "2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([], [path("/")]),
        ([{}], [path("/")]),
        ([path("/v2/")], [path("/v2")]),
        ([{"headers": [A, B]}], [path("/") | {"headers": [B, A]}]),
        ([{"headers": [A]}], [{"headers": [header("A", "1", type="Exact")]}]),
    ],
)
def test_b15_equal_matches_have_equal_texts(one: list[Obj], other: list[Obj]) -> None:
    """B15: defaults, order, and what the Gateway API takes for equal do not tell matches apart."""
    assert matched(*one) == matched(*other)


DIFFERENT: list[Obj] = [
    path("/v2"),
    path("/v2", "Exact"),
    path("/v2/x"),
    path("/v2") | {"method": "GET"},
    path("/v2") | {"headers": [A]},
    path("/v2") | {"headers": [header("a", "1", type="RegularExpression")]},
    path("/v2") | {"queryParams": [A]},
]


def test_b15_other_matches_have_other_texts() -> None:
    """B15: what the Gateway API tells apart is not taken for equal; a mere prefix is its path."""
    assert len(matched(*DIFFERENT)) == len(DIFFERENT)
    assert matched(path("/v2")) == {"/v2"}


def test_b15_gateways_and_hosts_of_a_route() -> None:
    """B15: a Gateway is in the route's namespace unless it says otherwise; listeners are apart."""
    spec: Obj = {
        "parentRefs": [
            {"name": "eg"},
            {"name": "eg", "namespace": "gw", "sectionName": "https", "port": 443},
            {"name": "web", "kind": "Service", "group": ""},
        ],
        "hostnames": ["x.example"],
        "rules": [{}],
    }
    found = places.read({"metadata": {"namespace": "ml"}, "spec": spec}, 0)
    parents = {("ml", "eg", ""), ("gw", "eg", "https:443"), ("ml", "Service web", "")}
    assert found == Place(frozenset(parents), frozenset({"x.example"}), frozenset({"/"}))
