"""Class shares and feature bins: which moves are looked for, and that looking is safe."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import mpmath
import numpy as np
import pytest
from bench.evidence.batch import Batch

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    Move,
    PairCount,
    Tolerance,
    bin_moves,
    class_moves,
    log_average,
    log_e,
    mixture,
    share_counts,
    start,
    update,
)

STABLE = {"cat": 600, "dog": 300, "fox": 100, "owl": 0}
CALM = Dispersion(1e9, 1e9, 10**6)
"""A past so long and free of bursts that phi is 1, whatever a few looks show."""
UNGUARDED = EProcess(past=CALM, cap=math.inf)
Course = Sequence[tuple[Mapping[str, int], Mapping[str, int]]]
"""Looks: rows by class of the candidate, and of stable."""


def e_value(
    moves: Sequence[Move], course: Course, tolerance: Tolerance, first: EProcess | None = None
) -> float:
    """Return log E of all moves after a course."""
    processes = [first or start()] * len(moves)
    for mine, other in course:
        counts = share_counts(moves, mine, other)
        processes = [update(p, c, tolerance) for p, c in zip(processes, counts, strict=True)]
    parts = [(m.weight, log_e(p)) for m, p in zip(moves, processes, strict=True)]
    return log_average(parts)


def test_b19_each_class_may_grow_and_shrink_within_one_budget() -> None:
    """B19: both ways for each class of stable's, and all others together, share one budget."""
    moves = class_moves(STABLE)
    names = [(move.category, move.fewer) for move in moves]
    assert names == [(n, f) for n in ("cat", "dog", "fox", None) for f in (False, True)]
    assert {move.weight for move in moves} == {1 / 8}
    assert sum(move.weight for move in class_moves(STABLE, share=0.25)) == pytest.approx(0.25)


def test_frequent_classes_are_told_apart_and_the_others_are_one() -> None:
    """Of many classes the most frequent have moves of their own, and a tie goes by name."""
    many = {f"c{n:02}": 10 * (40 - n // 2) for n in range(64)}
    moves = class_moves(many, most=5)
    assert [m.category for m in moves[::2]] == ["c00", "c01", "c02", "c03", "c04", None]
    (count,) = share_counts(moves, many, many)[-2:-1]
    assert count.candidate_events == sum(many.values()) - sum(many[f"c0{n}"] for n in range(5))


def test_too_few_rows_choose_nothing() -> None:
    """Which classes are frequent is not known from a few rows."""
    assert class_moves({"cat": 99}) == ()
    assert class_moves({}) == ()
    assert len(class_moves({"cat": 100})) == 4
    assert bin_moves([]) == ()


def test_b19_who_shrinks_is_stable_with_too_many() -> None:
    """B19: a smaller share is the same question with the sides exchanged, requests and all."""
    moves = class_moves(STABLE)
    counts = share_counts(moves, {"cat": 7, "dog": 2, "elk": 1}, {"cat": 60, "fox": 30})
    found = dict(zip([(m.category, m.fewer) for m in moves], counts, strict=True))
    assert found["cat", False] == PairCount(10, 7, 90, 60)
    assert found["cat", True] == PairCount(90, 60, 10, 7)
    assert found["dog", True] == PairCount(90, 0, 10, 2)
    assert found[None, False] == PairCount(10, 1, 90, 0)


def test_b18_other_bins_count_as_no_rows() -> None:
    """B18: bins that are not those of the moves tell nothing; a class without rows does."""
    moves = bin_moves(["1.5", "+Inf", "missing"])
    rows = {"1.5": 5, "+Inf": 4, "missing": 1}
    assert share_counts(moves, rows, rows)[0] == PairCount(10, 5, 10, 5)
    for others in ({"1.7": 5, "+Inf": 4, "missing": 1}, {"1.5": 5, "+Inf": 5}, {}):
        assert not any(count.comparable for count in share_counts(moves, others, rows))
        assert not any(count.comparable for count in share_counts(moves, rows, others))
    assert share_counts(class_moves(STABLE), {"dog": 1}, {"cat": 9})[0] == PairCount(1, 0, 9, 9)


def laws(shares: Mapping[str, float], rows: int) -> Iterator[tuple[dict[str, int], float]]:
    """Yield all that so many independent rows may come to, each with its chance."""
    for counts in product(range(rows + 1), repeat=len(shares)):
        if sum(counts) == rows:
            ways = math.factorial(rows)
            chance = 1.0
            for count, share in zip(counts, shares.values(), strict=True):
                ways //= math.factorial(count)
                chance *= share**count
            yield dict(zip(shares, counts, strict=True)), ways * chance


def mean_of_e(
    mine: Mapping[str, float], stable: Mapping[str, float], tolerance: Tolerance, looks: int = 2
) -> float:
    """Return the mean of E over every course of so many looks at two rows and three of stable's."""
    moves = class_moves(dict.fromkeys(stable, 1000), most=2)
    each = [(c, s, p * q) for c, p in laws(mine, 2) for s, q in laws(stable, 3)]
    courses = product(each, repeat=looks)
    return math.fsum(
        math.prod(chance for _, _, chance in course)
        * math.exp(e_value(moves, [(c, s) for c, s, _ in course], tolerance, UNGUARDED))
        for course in courses
    )


EVEN = {"a": 0.5, "b": 0.3, "c": 0.2}
RARE = {"a": 0.98, "b": 0.019, "c": 0.001}


@pytest.mark.parametrize(
    ("mine", "stable", "tolerance"),
    [
        (EVEN, EVEN, Tolerance(1.0)),
        (RARE, RARE, Tolerance(1.0)),
        ({"a": 0.6, "b": 0.25, "c": 0.15}, EVEN, Tolerance(1.4)),
        ({"a": 0.35, "b": 0.37, "c": 0.28}, EVEN, Tolerance(1.45)),
        ({"a": 0.6, "b": 0.2, "c": 0.2}, EVEN, Tolerance(1.0, 0.1)),
    ],
    ids=["the same", "rare classes", "within 40 %", "within 45 %", "within 10 points"],
)
def test_b19_mean_is_at_most_one_by_enumeration(
    mine: Mapping[str, float], stable: Mapping[str, float], tolerance: Tolerance
) -> None:
    """B19: over every course of two looks, however the classes hang together."""
    assert mean_of_e(mine, stable, tolerance) <= 1 + 1e-12


def test_enumeration_sees_a_move() -> None:
    """The same enumeration is beyond 1 where a tolerance is forgotten: it could have failed."""
    assert mean_of_e({"a": 0.05, "b": 0.05, "c": 0.9}, EVEN, Tolerance(1.0)) > 1.2


def beginnings(moves: Sequence[Move], course: Course, tolerance: Tolerance) -> mpmath.mpf:
    """Return E by another route: the sum over all stakes of what each has become.

    A stake is put at one look on one alternative of one move; each look multiplies it by the ratio
    of two binomial laws of the share in the category's rows, and by what the floor costs.
    """
    whole = mpmath.mpf(0)
    for move in moves:
        cash, staked = mpmath.mpf(mixture.CASH), [mpmath.mpf(1 - mixture.CASH)]
        for _ in course:
            put = cash * cash / mixture.CASH * mixture.FIRST_INVESTED
            cash, staked = cash - put, [*staked, put]
        whole += move.weight * cash
        for at, stake in enumerate(staked):
            for rho, share in zip(mixture.RHOS, mixture.WEIGHTS, strict=True):
                grown = stake * share
                for mine, other in course[max(0, at - 1) :]:
                    grown *= likelihood_ratio(move, mine, other, mpmath.mpf(rho), tolerance)
                whole += move.weight * grown
    return whole


def likelihood_ratio(
    move: Move,
    mine: Mapping[str, int],
    other: Mapping[str, int],
    rho: mpmath.mpf,
    tolerance: Tolerance,
) -> mpmath.mpf:
    """Return by how much likelier the shares are at rho times the tolerated ratio."""
    more, less = (other, mine) if move.fewer else (mine, other)
    n, others = sum(more.values()), sum(less.values())
    null = n * mpmath.mpf(tolerance.ratio) / (n * mpmath.mpf(tolerance.ratio) + others)
    odds = rho * null / (1 - null)
    harm = odds / (1 + odds)
    events, rest = more.get(str(move.category), 0), less.get(str(move.category), 0)
    together = (harm / null) ** events * ((1 - harm) / (1 - null)) ** rest
    return together * mpmath.exp(-n * mpmath.mpf(tolerance.floor) * (harm / null - 1))


@pytest.mark.parametrize("tolerance", [Tolerance(1.0), Tolerance(1.15, 0.01)], ids=str)
def test_average_is_the_sum_of_what_all_stakes_become(tolerance: Tolerance) -> None:
    """A second formulation, in many digits: likelihood ratios of binomial laws, summed up."""
    moves = bin_moves(["a", "b", "c"])
    rows = [(20, 30, 50, 400, 500, 100), (35, 5, 10, 380, 400, 120), (60, 20, 3, 500, 410, 90)]
    course = [
        (dict(zip("abc", r[:3], strict=True)), dict(zip("abc", r[3:], strict=True))) for r in rows
    ]
    with mpmath.workdps(40):
        expected = mpmath.log(beginnings(moves, course, tolerance))
    assert e_value(moves, course, tolerance, UNGUARDED) == pytest.approx(float(expected), abs=1e-9)
    assert abs(float(expected)) > 1


ALPHA, RUNS, LOOKS = 0.05, 1000, 120


def called(mine: tuple[float, ...], stable: tuple[float, ...], ratio: float, seed: int) -> float:
    """Return how many runs ever call that the classes have moved; rows of 25 and 75 a look."""
    rng = np.random.default_rng(seed)
    moves = bin_moves([str(n) for n in range(len(stable))])
    batches = [Batch.of(RUNS, ALPHA * move.weight, ratio=ratio) for move in moves]
    over = np.zeros(RUNS, dtype=bool)
    for _ in range(LOOKS):
        rows = rng.multinomial(25, mine, RUNS), rng.multinomial(75, stable, RUNS)
        average = np.zeros(RUNS)
        for index, (move, batch) in enumerate(zip(moves, batches, strict=True)):
            sides = [(25.0, rows[0]), (75.0, rows[1])]
            (n, more), (others, less) = reversed(sides) if move.fewer else sides
            taken = more[:, index // 2].astype(float), less[:, index // 2].astype(float)
            average += move.weight * batch.look(n, taken[0], others, taken[1])
        over |= average >= 1 / ALPHA
    return float(over.mean())


MONTE_CARLO = 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5
EQUAL = (0.4, 0.3, 0.2, 0.09, 0.01)
RARE_ONES = (0.93, 0.03, 0.02, 0.015, 0.005)
TILTED = (0.44, 0.33, 0.23), (0.4, 0.3, 0.3)
"""Of the candidate and of stable: the third class is less frequent by a factor of 1.304."""


@pytest.mark.parametrize(
    ("mine", "stable", "ratio", "seed"),
    [(EQUAL, EQUAL, 1.0, 901), (RARE_ONES, RARE_ONES, 1.0, 902), (*TILTED, 1.305, 903)],
    ids=["equal", "rare classes", "at the edge of what is tolerated"],
)
def test_b19_harmless_classes_are_rarely_called(
    mine: tuple[float, ...], stable: tuple[float, ...], ratio: float, seed: int
) -> None:
    """B19: at most alpha of the runs ever, looked at 120 times."""
    assert called(mine, stable, ratio, seed) <= ALPHA + MONTE_CARLO


def test_simulation_sees_a_forgotten_tolerance() -> None:
    """The same simulation calls most of the tilted runs where nothing is tolerated."""
    assert called(*TILTED, 1.0, 904) > 0.9


def test_b19_a_class_that_vanishes_is_called_and_named() -> None:
    """B19: a minority class that the candidate never predicts; its move alone stands out."""
    moves = class_moves(STABLE)
    processes = [start()] * len(moves)
    for _ in range(60):
        counts = share_counts(moves, {"cat": 70, "dog": 30}, {"cat": 62, "dog": 28, "fox": 10})
        processes = [
            update(p, c, Tolerance(1.15, 0.005)) for p, c in zip(processes, counts, strict=True)
        ]
    each = [(m.weight, log_e(p)) for m, p in zip(moves, processes, strict=True)]
    assert log_average(each) > -math.log(0.01)
    best = max(range(len(moves)), key=lambda n: each[n][1])
    assert (moves[best].category, moves[best].fewer) == ("fox", True)
    assert all(log_e(p) < 1 for n, p in enumerate(processes) if n != best)
