"""Class shares and feature bins by the same primitive: rows of a category are events.

Has the candidate's distribution over categories moved away from stable's, by more than a tolerance?
A category is a predicted class, or a bin of a feature. For each of them, and each direction, one
process (`process`) has all rows as requests and the category's rows as events:

    more:   share_c <= ratio * share_s + floor
    fewer:  share_s <= ratio * share_c + floor, with stable where else the candidate is

H0 is that all of these hold; `log_average` of all processes by the weights of their moves is then
an e-value, whatever the dependence: that one class's rows are all another's loss is no trouble
(Ramdas, Grünwald, Vovk & Shafer, arXiv 2210.01948; the factor: `mixture`). It costs
log(1 / weight) nats when one category moves, less when several do. Of a multinomial each category
by itself is binomial, so what bounds the factor's mean for requests bounds it for rows that are
independent of each other. Rows of one request are not: that is what the guard is for
(`dispersion`). And both revisions have to be asked the same: a rule that routes by who asks moves
shares without any harm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rampway.core.evidence.mixture import PairCount

ENOUGH_ROWS = 100
"""Rows of stable's that a choice of classes needs."""
MOST_CLASSES = 20
"""So many classes are told apart, the most frequent ones; the others are one category together."""

Rows = Mapping[str, int]
"""Rows by category, of one revision in one interval."""


@dataclass(frozen=True, slots=True)
class Move:
    """One way for a distribution to move.

    Attributes:
        weight: Share of the check's budget; those of all moves sum to `share`.
        category: Class or bin; None: all classes together that have no move of their own.
        fewer: Whether its share shrinks; else it grows.
    """

    weight: float
    category: str | None
    fewer: bool


def class_moves(stable: Rows, *, most: int = MOST_CLASSES, share: float = 1.0) -> tuple[Move, ...]:
    """Return the moves of predicted classes, chosen from what stable predicted before the rollout.

    Chosen once, before the candidate's rows are seen, so the choice costs no validity. Classes that
    stable has never predicted, and new ones of the candidate's, are in the last category.

    Args:
        stable: Rows that stable has predicted so far.
        most: So many classes are told apart.
        share: Of a larger budget, which the weights sum to; in (0, 1].

    Returns:
        Both directions of each, the most frequent class first; empty while stable has too few rows.
    """
    if sum(stable.values()) < ENOUGH_ROWS:
        return ()
    seen = sorted((name for name, rows in stable.items() if rows), key=lambda n: (-stable[n], n))
    return _both_ways([*seen[:most], None], share)


def bin_moves(bins: Sequence[str], *, share: float = 1.0) -> tuple[Move, ...]:
    """Return the moves of a feature's bins: these and no others, those of missing values included.

    Args:
        bins: Names of the bins, those of the profile that stable was trained with.
        share: Of a larger budget, which the weights sum to; in (0, 1]. With 1 / F for each of F
            features, the moves of all are those of one check.

    Returns:
        Both directions of each bin, in their order.
    """
    return _both_ways(bins, share)


def share_counts(moves: Sequence[Move], candidate: Rows, stable: Rows) -> list[PairCount]:
    """Return rows and those of the category, for each of the moves of one distribution, in order.

    Each is what `update` takes to test that the category's share has not moved that way. Assumed:
    both revisions are asked the same, and rows are independent. A class without rows has none. Of
    bins that are others than those of the moves nothing is known: they count as no rows at all, as
    else everything would seem to have moved (B18).
    """
    named = {move.category for move in moves}
    whole = None in named or not named
    mine = candidate if whole or candidate.keys() == named else {}
    other = stable if whole or stable.keys() == named else {}
    return [_count(move, named, mine, other) for move in moves]


def _both_ways(categories: Sequence[str | None], share: float) -> tuple[Move, ...]:
    if not categories:
        return ()
    weight = share / (2 * len(categories))
    return tuple(Move(weight, name, fewer) for name in categories for fewer in (False, True))


def _count(move: Move, named: set[str | None], candidate: Rows, stable: Rows) -> PairCount:
    mine, other = (_of(move, named, rows) for rows in (candidate, stable))
    return PairCount(*other, *mine) if move.fewer else PairCount(*mine, *other)


def _of(move: Move, named: set[str | None], rows: Rows) -> tuple[int, int]:
    """Return all rows and those of the move's category."""
    total = sum(rows.values())
    if move.category is None:
        return total, sum(count for name, count in rows.items() if name not in named)
    return total, rows.get(move.category, 0)
