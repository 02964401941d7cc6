"""The page of promises: what is called kept, and what is not."""

import pytest

from tools import behaviour
from tools.behaviour import Found, Promise
from tools.breaks.data import Break, load

MADE = Break(
    id="B1-forgets",
    file="operator/x.py",
    find="a",
    replace="b",
    tests=("unit/test_x.py::test_b01_x",),
    why="it forgets what it promised",
)
BUILT = Promise(id="B1", says="It remembers what it promised.", missing="the rest")
PLANNED = Promise(id="B2", says="It will do something one day.", status="planned")
TEST = Found(place="unit", file="test_x.py", name="test_b01_x", sentence="It is so.")
NOTICED = {"B1-forgets": (MADE.digest, "tests/unit/test_x.py::test_b01_x[1]")}


def test_a_promise_is_kept_if_each_break_was_noticed() -> None:
    """Neither without a break, nor with one of two, nor with one that was changed since."""
    other = MADE.model_copy(update={"id": "B1-other"})
    assert behaviour.kept(BUILT, [MADE], NOTICED)
    assert not behaviour.kept(BUILT, [], NOTICED)
    assert not behaviour.kept(BUILT, [MADE, other], NOTICED)
    assert not behaviour.kept(BUILT, [MADE.model_copy(update={"find": "c"})], NOTICED)
    assert not behaviour.kept(BUILT, [MADE], {"B1-forgets": (MADE.digest, "")})
    assert not behaviour.kept(PLANNED, [MADE], NOTICED)


def test_the_page_tells_kept_from_planned() -> None:
    """Each promise with its tests, where they run, and what they noticed."""
    kept = behaviour.page([BUILT, PLANNED], {"B1": [TEST]}, [MADE], NOTICED)
    assert kept.index("## Kept") < kept.index("### B1") < kept.index("## Planned")
    assert kept.index("## Planned") < kept.index("### B2")
    assert "not shown" not in kept
    assert "Not built yet: the rest." in kept
    assert "| unit | test_x.py: `test_b01_x` | It is so. |" in kept
    assert "| it forgets what it promised | unit/test_x.py: `test_b01_x` |" in kept
    unproven = behaviour.page([BUILT, PLANNED], {"B1": [TEST]}, [MADE], {})
    assert "## Kept" not in unproven
    assert unproven.index("not shown to be kept") < unproven.index("### B1")
    assert "| it forgets what it promised | nobody yet |" in unproven


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_b01_it", [1]),
        ("test_b13_b26_it", [13, 26]),
        ("test_it_b01", []),
        ("test_big", []),
        ("test_b7", []),
    ],
)
def test_a_test_names_its_promises(name: str, numbers: list[int]) -> None:
    """By the numbers that its name begins with."""
    assert behaviour.numbers_of(name) == numbers


def test_every_promise_is_in_the_list() -> None:
    """B1 to B42, and the server's own; what is built has breaks, and the first ones have tests."""
    known = behaviour.promises()
    found = behaviour.tests()
    broken = {one.promise for one in load()}
    names = [promise.id for promise in known]
    assert names[:42] == [f"B{n}" for n in range(1, 43)]
    assert {name[0] for name in names[42:]} == {"S"}
    built = {promise.id for promise in known if promise.status == "built"}
    assert {name for name, some in found.items() if some} >= built - set(names[42:])
    assert broken == built
