"""The benches' vectorised process is the shipped one: same looks, same e-values."""

import math

import numpy as np
import pytest
from bench.evidence.batch import Batch, Past

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    log_e,
    start,
    update,
    with_past,
)

PASTS = {
    "not known": None,
    "clean": Dispersion(),
    "single failures": Dispersion(25.0, 25.0, 100),
    "many single failures": Dispersion(50.0, 50.0, 200),
    "bursts": Dispersion(9 * 25.0, 25.0, 20),
    "incident": Dispersion(100 * 25.0, 25.0, 20),
}
RUNS, LOOKS, ALPHA = 30, 80, 0.05


def rare(source: np.random.Generator) -> PairCount:
    """A look with an event now and then, as removing the overshoot needs."""
    n_c, n_s = int(source.integers(1, 60)), int(source.integers(1, 300))
    return PairCount(n_c, int(source.binomial(n_c, 0.03)), n_s, int(source.binomial(n_s, 0.004)))


def frequent(source: np.random.Generator) -> PairCount:
    """A look with several events."""
    n_c, n_s = int(source.integers(1, 60)), int(source.integers(1, 300))
    return PairCount(n_c, int(source.binomial(n_c, 0.2)), n_s, int(source.binomial(n_s, 0.1)))


def told(past: Dispersion | None) -> Past | None:
    """Return the same past for all runs."""
    if past is None:
        return None
    return Past(*(np.full(RUNS, float(x)) for x in (past.surprise, past.variance, past.looks)))


def begun(past: Dispersion | None) -> EProcess:
    """Return the shipped process before its first look."""
    return start() if past is None else with_past(start(), past, -math.log(ALPHA))


@pytest.mark.parametrize("tolerance", [Tolerance(1.0), Tolerance(1.1, 0.01)], ids=str)
@pytest.mark.parametrize("traffic", [rare, frequent])
@pytest.mark.parametrize("past", PASTS)
def test_batch_is_the_shipped_process(past: str, traffic: type, tolerance: Tolerance) -> None:
    """Whatever is known of stable's past, thirty runs of eighty looks, each with its own counts."""
    source = np.random.default_rng(2_000 + 10 * list(PASTS).index(past))
    batch = Batch.of(
        RUNS, ALPHA, past=told(PASTS[past]), ratio=tolerance.ratio, floor=tolerance.floor
    )
    shipped = [begun(PASTS[past])] * RUNS
    boosted = 0
    for look in range(LOOKS):
        counts = [traffic(source) for _ in range(RUNS)]
        if look in {20, 50}:
            batch.new_segment()
        columns = ((c.candidate_n, c.candidate_events, c.stable_n, c.stable_events) for c in counts)
        found = batch.look(
            *(np.array(column, dtype=float) for column in zip(*columns, strict=True))
        )
        after = [
            update(p, c, tolerance, new_segment=look in {20, 50}, log_bound=-math.log(ALPHA))
            for p, c in zip(shipped, counts, strict=True)
        ]
        plain = [
            update(p, c, tolerance, new_segment=look in {20, 50})
            for p, c in zip(shipped, counts, strict=True)
        ]
        boosted += sum(log_e(a) > log_e(b) for a, b in zip(after, plain, strict=True))
        shipped = after
        assert np.log(found) == pytest.approx([log_e(p) for p in shipped], rel=1e-9, abs=1e-9)
    if traffic is rare and past == "many single failures":
        assert boosted, "no look whose overshoot could be removed: a part was not compared"


def test_runs_that_are_kept_go_on_alike() -> None:
    """Leaving runs out changes nothing for the others."""
    source = np.random.default_rng(2_100)
    whole, part = (Batch.of(RUNS, ALPHA, past=told(PASTS["clean"])) for _ in range(2))
    kept = np.arange(RUNS) % 3 == 0
    for look in range(20):
        n = np.full(RUNS, 50.0)
        mine, other = (source.binomial(50, 0.05, RUNS).astype(float) for _ in range(2))
        found = whole.look(n, mine, n, other)
        alone = part.look(n[: len(part.cash)], *_of(part, kept, mine, other, look))
        assert alone == pytest.approx(found if look < 10 else found[kept], rel=1e-12)
        if look == 9:
            part.keep(kept)


def _of(
    part: Batch, kept: np.ndarray, mine: np.ndarray, other: np.ndarray, look: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rest of a look's counts, for all runs or for those that are kept."""
    rows = kept if look > 9 else np.ones(RUNS, dtype=bool)
    return mine[rows], np.full(len(part.cash), 50.0), other[rows]
