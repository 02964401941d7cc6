"""The rule for chosen requests comes and goes closed, so that no proxy knows half of it."""

from copy import deepcopy

import pytest
from contract.router_place import NOW_S, SPACE, Gateway, deployment, gateway, referring

from rampway.api.parse import ModelDeployment
from rampway.api.steps import HeaderMatch
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import Obj
from rampway.kube.kinds import HTTP_ROUTE
from rampway.routers import managers
from rampway.routers.by_type import RouterByType
from rampway.routers.door import CLOSED, SETTLE_S

SECOND, THIRD = "digits-00000000a2", "digits-00000000a3"
TESTER = (HeaderMatch(name="x-tester", value="yes"),)
OTHERS = (HeaderMatch(name="x-group", value="b"),)
CHOSEN = Split(SECOND, headers=TESTER)
USERS: Obj = {
    "metadata": {"name": "digits", "namespace": SPACE},
    "spec": {
        "parentRefs": [{"name": "eg"}],
        "rules": [{"name": "predict", "backendRefs": [{"name": "digits", "port": 80}]}],
    },
}


class Play:
    """A route, its router, and a clock that the test moves.

    Attributes:
        now_s: The present.
    """

    def __init__(self, mine: ModelDeployment) -> None:
        self.gate: Gateway = gateway()
        self.mine = mine
        self.now_s = NOW_S
        if mine.spec.traffic.route_ref:
            self.gate.api.store.create(HTTP_ROUTE, deepcopy(USERS))

    async def ask(self, split: Split, after_s: float = 0.0) -> Route:
        """Ask for a split, some time later; return what is seen then."""
        self.now_s += after_s
        router = RouterByType(self.gate.api)
        await router.set_split(self.mine, split, self.now_s)
        return await router.observe(self.mine)

    def answer(self) -> None:
        """Let the Gateways accept the route as it is."""
        self.gate.answer("", parents=len(self.gate.route()["spec"]["parentRefs"]))

    def chosen(self) -> list[Obj]:
        """Return the rules beyond the one that is split."""
        found: list[Obj] = self.gate.route()["spec"]["rules"][1:]
        return found

    def asks_for(self) -> list[str]:
        """Return the headers that the rule for chosen requests asks for."""
        ((rule,),) = [self.chosen()]
        return [header["name"] for header in rule["matches"][0]["headers"]]


@pytest.fixture(params=["owned", "referred"])
async def play(request: pytest.FixtureRequest) -> Play:
    """Give a route at rest, of our own or a user's."""
    made = Play(deployment() if request.param == "owned" else referring())
    await made.ask(STABLE_ONLY)
    made.answer()
    return made


async def opened(play: Play, split: Split = CHOSEN) -> Route:
    """Open the rule for chosen requests."""
    await play.ask(split)
    play.answer()
    found = await play.ask(split, SETTLE_S)
    play.answer()
    return found


async def test_b14_the_rule_is_made_closed_and_opened_once_it_is_known(play: Play) -> None:
    """B14: nobody is sent to a rule before its Gateways accepted it and proxies had their time."""
    found = await play.ask(CHOSEN)
    assert (found.split, found.ajar, found.in_shape) == (STABLE_ONLY, True, False)
    assert play.asks_for() == ["x-tester", CLOSED]
    assert (await play.ask(CHOSEN, 10 * SETTLE_S)).split == STABLE_ONLY  # not accepted
    play.answer()
    play.now_s = NOW_S
    assert (await play.ask(CHOSEN, SETTLE_S - 0.5)).split == STABLE_ONLY  # too early
    found = await play.ask(CHOSEN, 0.5)
    assert (found.split, found.ajar, found.in_shape) == (CHOSEN, False, True)
    assert play.asks_for() == ["x-tester"]


async def test_b23_the_rule_is_closed_at_once_and_taken_out_later(play: Play) -> None:
    """B23: taking requests away is one write; the rule itself goes when nobody is sent to it."""
    before = play.gate.route()["spec"]["rules"]
    await opened(play)
    found = await play.ask(STABLE_ONLY)
    assert (found.split, found.at_rest, found.ajar) == (STABLE_ONLY, True, True)
    assert not found.in_shape  # so it is come back to
    play.answer()
    assert (await play.ask(STABLE_ONLY, SETTLE_S - 0.5)).ajar
    found = await play.ask(STABLE_ONLY, 0.5)
    assert (found.ajar, found.in_shape, found.at_rest) == (False, True, True)
    assert play.gate.route()["spec"]["rules"] == before


async def test_a_share_goes_up_while_the_rule_goes(play: Play) -> None:
    """What else is to change waits for no door: the share is set at once."""
    await opened(play)
    found = await play.ask(Split(SECOND, 100))
    assert (found.split, found.ajar) == (Split(SECOND, 100), True)


async def test_a_rule_that_changes_stays_open(play: Play) -> None:
    """Other headers or another candidate take the place of those before: its pods are known."""
    await opened(play)
    for wanted in (Split(THIRD, headers=TESTER), Split(THIRD, headers=OTHERS)):
        assert (await play.ask(wanted)).split == wanted


async def test_a_closed_rule_for_others_is_closed_anew(play: Play) -> None:
    """What was closed for one candidate is not opened for another before its time."""
    await play.ask(CHOSEN)
    play.answer()
    wanted = Split(THIRD, headers=TESTER)
    assert (await play.ask(wanted, SETTLE_S)).split == STABLE_ONLY
    play.answer()
    assert (await play.ask(wanted, SETTLE_S)).split == wanted


async def test_a_time_that_nobody_can_read_is_long_ago(play: Play) -> None:
    """Whoever edits the closed rule by hand does not keep it there for ever."""
    await opened(play)
    await play.ask(STABLE_ONLY)
    rule = play.chosen()[0]
    rule["matches"][0]["headers"][-1]["value"] = "yesterday"
    patch = [{"op": "replace", "path": "/spec/rules/1", "value": rule}]
    play.gate.api.store.patch(HTTP_ROUTE, SPACE, "digits", patch)
    play.answer()
    assert not (await play.ask(STABLE_ONLY)).ajar


async def test_b14_a_users_rules_are_given_back_once_the_door_is_gone() -> None:
    """B14: until the closed rule is out, the rules are ours, and a foreign apply is refused."""
    play = Play(referring())
    await opened(play)
    await play.ask(STABLE_ONLY)
    assert managers.is_ours(play.gate.route())
    play.answer()
    await play.ask(STABLE_ONLY, SETTLE_S)
    assert not managers.is_ours(play.gate.route())


async def test_what_is_there_is_not_written_again(play: Play) -> None:
    """While a door settles, asking again writes nothing."""
    await play.ask(CHOSEN)
    writes = play.gate.writes()
    for _ in range(3):
        await play.ask(CHOSEN, 0.1)
    assert play.gate.writes() == writes
