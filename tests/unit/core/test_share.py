"""B13: whether the candidate gets the share that it was given."""

from random import Random

import pytest

from rampway.core.checks.share import Share, sentence, verdict


@pytest.mark.parametrize(
    ("asked", "candidate", "stable", "expected"),
    [
        (10, 0, 0, Share.UNPROVEN),
        (10, 1, 9, Share.UNPROVEN),
        (10, 1000, 9000, Share.CONFIRMED),
        (10, 500, 500, Share.CONTRADICTED),
        (10, 5, 5, Share.UNPROVEN),
        (10, 0, 1000, Share.CONTRADICTED),
        (20, 0, 1000, Share.CONTRADICTED),
        (1, 400, 9600, Share.CONFIRMED),
        (1, 900, 9100, Share.CONTRADICTED),
        (50, 400, 600, Share.CONFIRMED),
        (50, 150, 850, Share.CONTRADICTED),
        (50, 999, 1, Share.CONFIRMED),
        (99, 9000, 1000, Share.CONFIRMED),
        (99, 400, 600, Share.CONTRADICTED),
    ],
)
def test_b13_half_to_double_and_five_points(
    asked: int, candidate: int, stable: int, expected: Share
) -> None:
    """B13: within half to double, or 5 points, it is right; few requests prove nothing."""
    assert verdict(asked, candidate, stable) is expected


def test_b13_a_right_share_is_not_contradicted_however_often_one_looks() -> None:
    """B13: at the very edge of what is allowed, looked at after each of 2 000 requests."""
    dice, wrong = Random(13), 0  # noqa: S311 - nothing here is secret
    for _ in range(100):
        hits = 0
        for n in range(1, 2001):
            hits += dice.random() < 0.2
            if n % 10 == 0 and verdict(10, hits, n - hits) is Share.CONTRADICTED:
                wrong += 1
                break
    assert wrong <= 1


def test_b13_the_sentence_has_the_figures() -> None:
    """B13: what was seen, of how many, and what was asked for."""
    assert "250 of 1000 requests, 25.0 %, where 5 % were asked for" in sentence(5, 250, 750)
