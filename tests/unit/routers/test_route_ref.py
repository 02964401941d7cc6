"""The user's rule: found by its name or as the only one, read, and never made (B14, B16)."""

from typing import Any

import pytest
from contract.router_place import NOW_S, SPACE, deployment, gateway, referring

from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import HTTP_ROUTE
from rampway.routers.by_type import RouterByType
from rampway.routers.gateway_api import GatewayApiRouter
from rampway.routers.route_ref import RouteRefRouter, find, read

MINE: Obj = {"name": "predict", "backendRefs": [{"name": "digits", "port": 80}]}
WEB: Obj = {"name": "web", "backendRefs": [{"name": "web", "port": 80}]}


def route(*rules: Obj) -> Obj:
    """Return a user's route."""
    return {"metadata": {"name": "digits", "namespace": SPACE}, "spec": {"rules": list(rules)}}


@pytest.mark.parametrize(
    ("rules", "rule", "place"),
    [
        ([WEB, MINE], "predict", 1),
        ([MINE], None, 0),
        ([{"backendRefs": []}], None, 0),
        ([WEB, MINE], None, None),
        ([], None, None),
        ([WEB], "predict", None),
        ([MINE, WEB, MINE], "predict", None),
    ],
)
def test_a_rule_is_found_by_name_or_as_the_only_one(
    rules: list[Obj], rule: str | None, place: int | None
) -> None:
    """Exactly one rule is meant; else it says what is there and what is expected."""
    found, problem = find(route(*rules), referring(rule=rule))
    assert found == place
    assert ("Expected one rule with" in problem) == (place is None)
    assert all(one["name"] in problem for one in rules if place is None)


def test_a_rule_that_redirects_is_refused() -> None:
    """A rule with RequestRedirect can have no backend: the API server would refuse our write."""
    redirect = MINE | {"filters": [{"type": "RequestRedirect", "requestRedirect": {}}]}
    found = read(route(redirect), referring())
    assert "rule predict of HTTPRoute ml/digits redirects requests" in found.problem
    assert not found.accepted


@pytest.mark.parametrize(
    ("names", "strangers"),
    [
        (["digits"], ()),
        (["digits", "digits-00000000a2"], ()),
        ([], ()),
        (["old", "digits", "old"], ("old",)),
        (["digits-eu", "older"], ("digits-eu", "older")),
    ],
)
def test_b16_who_else_serves_by_the_rule(names: list[str], strangers: tuple[str, ...]) -> None:
    """B16: backends that are neither stable's Service nor a revision's are told, each once."""
    refs: list[dict[str, Any]] = [{"name": name, "port": 80} for name in names]
    found = read(route(MINE | {"backendRefs": refs}), referring())
    assert found.strangers == strangers


async def test_a_rule_that_is_gone_is_not_made() -> None:
    """Route or rule gone between look and write: told, never made anew."""
    gate = gateway()
    router = RouteRefRouter(gate.api)
    with pytest.raises(NotFound):
        await router.set_split(referring(), STABLE_ONLY, NOW_S)
    gate.api.store.create(HTTP_ROUTE, route(WEB))
    with pytest.raises(NotFound, match="no rule of the name predict"):
        await router.set_split(referring(), Split("digits-00000000a2", 5), NOW_S)
    assert not [call for call in gate.api.calls if call.writes]


async def test_a_router_is_chosen_by_type() -> None:
    """What belongs to another type is a mistake of ours, not a split."""
    gate = gateway()
    for wrong in (RouteRefRouter(gate.api), GatewayApiRouter(gate.api)):
        mine = deployment_of(wrong)
        with pytest.raises(TypeError, match="choose its router by traffic"):
            await wrong.set_split(mine, STABLE_ONLY, NOW_S)
    assert (await RouterByType(gate.api).observe(referring())).problem


def deployment_of(router: object) -> Any:
    """Return a ModelDeployment of the other type."""
    return deployment() if isinstance(router, RouteRefRouter) else referring()
