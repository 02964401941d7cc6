"""Counts that workers share: each adds to its own, all read the sums, and none is lost."""

import os
from collections.abc import Callable

import numpy as np
import pytest

from rampway_server import sheet
from rampway_server.sheet import Sheet


def test_totals_are_sums_over_all_pages() -> None:
    """Cells are told apart by name and size, and exist wherever somebody has made them."""
    shared = Sheet(2)
    here, there = shared.page(0), shared.page(1)
    mine = here.cells("requests", "m", size=3)
    mine.own[1] += 2
    assert mine.total().tolist() == [0, 2, 0]
    theirs = there.cells("requests", "m", size=3)
    theirs.own[:] += 1
    there.cells("requests", "m", size=4).own[:] += 9
    assert mine.total().tolist() == theirs.total().tolist() == [1, 3, 1]


def in_another_process(work: Callable[[], object]) -> None:
    """Do something in a child, which ends."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    os.waitpid(child, 0)


def test_who_comes_after_goes_on_counting() -> None:
    """A page's cells are still there, with what they hold, for the next worker of that number."""
    shared = Sheet(2)

    def count() -> None:
        shared.page(1).cells("a", size=1).own[0] += 5
        shared.page(1).cells("b", "é", size=2).own[1] += 7

    for times in (1, 2):
        in_another_process(count)
        assert shared.page(0).cells("a", size=1).total()[0] == 5 * times
    successor = shared.page(1)
    assert successor.cells("a", size=1).own[0] == 10
    assert successor.cells("b", "é", size=2).total().tolist() == [0, 14]


def test_another_process_adds_to_the_same_memory() -> None:
    """What a child counts is there after its end, also in cells that it made itself."""
    shared = Sheet(2)
    mine = shared.page(0).cells("a", size=2)

    def count() -> None:
        shared.page(1).cells("a", size=2).own += np.array([1, 2])

    in_another_process(count)
    mine.own[0] += 10
    assert mine.total().tolist() == [11, 2]


def test_full_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that do not fit are refused, and those before them stay."""
    monkeypatch.setattr(sheet, "SLOT_BYTES", 4096)
    page = Sheet().page()
    page.cells("a", size=100).own[0] = 1
    with pytest.raises(MemoryError, match="counts of 1 kinds fill 4096 bytes"):
        page.cells("b", size=500)
    assert page.cells("a", size=100).total()[0] == 1
