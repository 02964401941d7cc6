"""Proof that harm is ruled out: its validity, its price, and the time still needed."""

import math
from functools import reduce

import numpy as np
import pytest
from unit.core.evidence.test_mixture import (
    BASE_RATES,
    EXPOSURES,
    TOLERANCES,
    at_the_limit,
    binomial,
)

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    from_json,
    requests_to_rule_out,
    to_json,
    update,
)
from rampway.core.evidence.harmless import (
    LOG_BAR,
    MISTAKEN,
    NOTHING,
    TIMES,
    WEIGHTS,
    log_ruled_out,
    requests_left,
    ruling_out,
)

CALM = EProcess(past=Dispersion(1e6, 1e6, 10**6))
"""Knows that there are no bursts, so that phi is 1."""


def after(counts: list[PairCount], tolerance: Tolerance, process: EProcess = CALM) -> EProcess:
    """Return the process after these looks."""
    return reduce(lambda p, c: update(p, c, tolerance, to_rule_out=True), counts, process)


@pytest.mark.parametrize("tolerance", [t for t in TOLERANCES if t.ratio >= 1], ids=str)
@pytest.mark.parametrize("worse", [1.0, 1.5])
def test_b18_mean_under_harm_is_at_most_one(tolerance: Tolerance, worse: float) -> None:
    """B18: for a candidate at the limit of what is tolerated, or worse, by enumeration."""
    for n_c, n_s in EXPOSURES:
        for p_s in BASE_RATES:
            p_c = min(1.0, worse * at_the_limit(p_s, tolerance))
            if p_c < tolerance.ratio * p_s + tolerance.floor:
                continue  # no candidate can be as bad as that
            mean = math.fsum(
                binomial(mine, n_c, p_c)
                * binomial(other, n_s, p_s)
                * math.exp(log_ruled_out(ruling_out(counts, tolerance), 1.0))
                for mine in range(n_c + 1)
                for other in range(n_s + 1)
                for counts in [PairCount(n_c, mine, n_s, other)]
            )
            assert mean <= 1 + 1e-9


def test_b18_a_limit_that_is_taken_for_less_is_seen() -> None:
    """The same enumeration exceeds 1 where the tolerance is believed larger than it is."""
    believed, truth, n, p_s = Tolerance(2.0), Tolerance(1.1), 9, 0.2
    mean = math.fsum(
        binomial(mine, n, truth.ratio * p_s)
        * binomial(other, n, p_s)
        * math.exp(log_ruled_out(ruling_out(PairCount(n, mine, n, other), believed), 1.0))
        for mine in range(n + 1)
        for other in range(n + 1)
    )
    assert mean > 1.05


@pytest.mark.parametrize(
    ("tolerance", "p_s"), [(Tolerance(1.25), 0.05), (Tolerance(1.1, 0.01), 0.0)], ids=str
)
@pytest.mark.no_cover
def test_b18_harm_is_rarely_ruled_out_wrongly(tolerance: Tolerance, p_s: float) -> None:
    """B18: at the limit at most 5 % of the runs ever rule it out; three errors are allowed."""
    source = np.random.default_rng(round(1000 * tolerance.ratio) + 3)
    p_c, runs, wrong = at_the_limit(p_s, tolerance), 400, 0
    for _ in range(runs):
        process = CALM
        for _ in range(60):
            counts = PairCount(
                100, int(source.binomial(100, p_c)), 100, int(source.binomial(100, p_s))
            )
            process = update(process, counts, tolerance, to_rule_out=True)
            if log_ruled_out(process.ruled, 1.0) >= LOG_BAR:
                wrong += 1
                break
    assert wrong / runs <= MISTAKEN + 3 * math.sqrt(MISTAKEN * (1 - MISTAKEN) / runs)


@pytest.mark.parametrize(
    ("margin", "share", "thousand"), [(0.5, 50, 15), (1.0, 50, 5), (1.0, 20, 7), (1.0, 5, 21)]
)
def test_proof_costs_about_as_much_as_tabulated(margin: float, share: int, thousand: int) -> None:
    """Requests of both sides at a base rate of 1 %, by the design's table, within a quarter."""
    source = np.random.default_rng(round(100 * margin) + share)
    needed = []
    for _ in range(60):
        process, looks = CALM, 0
        while log_ruled_out(process.ruled, 1.0) < LOG_BAR:
            looks += 1
            n_c = 2 * share
            counts = PairCount(
                n_c, int(source.binomial(n_c, 0.01)),
                200 - n_c, int(source.binomial(200 - n_c, 0.01)),
            )  # fmt: skip
            process = update(process, counts, Tolerance(1 + margin), to_rule_out=True)
        needed.append(200 * looks)
    assert np.mean(needed) == pytest.approx(1000 * thousand, rel=0.25)


def test_what_is_announced_comes_true() -> None:
    """After as many more requests as announced, at the rates so far, harm is ruled out."""
    tolerance = Tolerance(1.1, 0.01)
    look = PairCount(100, 1, 400, 4)
    begun = after([look] * 4, tolerance)
    missing = requests_to_rule_out(begun, tolerance)
    assert missing
    enough = after([look] * (math.ceil(missing / 100) + 1), tolerance, begun)
    assert requests_to_rule_out(enough, tolerance) == 0
    short = after([look] * int(0.8 * missing / 100), tolerance, begun)
    assert requests_to_rule_out(short, tolerance) != 0


def test_no_number_is_promised_where_none_is_known() -> None:
    """Nothing seen in the present split, or a candidate beyond the tolerance."""
    tolerance = Tolerance(1.1, 0.01)
    assert requests_to_rule_out(CALM, tolerance) is None
    bad = after([PairCount(100, 9, 400, 4)] * 5, tolerance)
    assert requests_to_rule_out(bad, tolerance) is None
    assert requests_left(NOTHING, (0.05, 0.01), 1.0, tolerance, 1.0) is None


@pytest.mark.parametrize("known", [0, 120], ids=["no past", "a past"])
@pytest.mark.parametrize(("n_c", "n_s"), [(500, 500), (50, 1000)])
@pytest.mark.parametrize("kind", ["bursts", "unsteady"])
@pytest.mark.no_cover
def test_b18_bursts_prove_nothing(kind: str, known: int, n_c: int, n_s: int) -> None:
    """B18: failures five at a time, or at a rate that jumps: at the limit 5 % rule it out."""
    tolerance, source = Tolerance(1.1, 0.005), np.random.default_rng(7)
    runs, wrong = 200, 0

    def failures(n: int, rate: float) -> int:
        if kind == "unsteady":
            return min(n, int(source.poisson(n * rate * source.gamma(0.5, 2))))
        bursts = source.poisson(n * rate / 5)
        return min(n, int(source.geometric(0.2, bursts).sum()))

    for _ in range(runs):
        past = Dispersion()
        for _ in range(known):
            past = past.seen(failures(n_s // 2, 0.01), failures(n_s // 2, 0.01), 0.5)
        process = EProcess(past=past if known else None)
        for _ in range(60):
            counts = PairCount(n_c, failures(n_c, 0.016), n_s, failures(n_s, 0.01))
            process = update(process, counts, tolerance, to_rule_out=True)
            if requests_to_rule_out(process, tolerance) == 0:
                wrong += 1
                break
    assert wrong / runs <= MISTAKEN + 3 * math.sqrt(MISTAKEN * (1 - MISTAKEN) / runs)


def looks_to_prove(look: PairCount, tolerance: Tolerance, begun: EProcess) -> int:
    """Return after how many such looks harm is ruled out."""
    process, looks = begun, 0
    while requests_to_rule_out(process, tolerance) != 0:
        process, looks = after([look], tolerance, process), looks + 1
    return looks


def test_bursts_that_come_late_take_proof_back() -> None:
    """What was won in calm looks is divided by what is known of bursts now."""
    tolerance, calm = Tolerance(1.5, 0.01), PairCount(100, 1, 400, 4)
    bursts = [PairCount(100, 11, 400, 0), PairCount(100, 0, 400, 44)] * 5
    proved = after([calm] * looks_to_prove(calm, tolerance, EProcess()), tolerance, EProcess())
    assert requests_to_rule_out(after(bursts, tolerance, proved), tolerance) != 0


def test_without_a_past_proof_takes_longer() -> None:
    """Nobody is taken for free of bursts from the first look on."""
    tolerance, look = Tolerance(1.1, 0.01), PairCount(100, 1, 400, 4)
    known, unknown = (looks_to_prove(look, tolerance, begun) for begun in (CALM, EProcess()))
    assert 1.5 * known < unknown < 5 * known


def test_b32_proof_survives_a_restart() -> None:
    """What was won is in the checkpoint, where it is asked for, and nowhere else."""
    looks = [PairCount(100, 1, 400, 4)] * 5
    process = after(looks, Tolerance(1.1, 0.01))
    kept = to_json(process)
    assert from_json(kept).ruled == pytest.approx(process.ruled, abs=0.001)
    assert len(process.ruled) == len(TIMES) == len(WEIGHTS)
    assert math.fsum(WEIGHTS) == pytest.approx(1)
    unasked = reduce(lambda p, c: update(p, c, Tolerance(1.1, 0.01)), looks, CALM)
    assert "h" not in to_json(unasked)
    with pytest.raises(ValueError, match="2 late components; expected 4"):
        from_json(kept | {"h": [0.1, 0.2]})
