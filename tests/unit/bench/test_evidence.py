"""`make bench-evidence`: a tiny run, and the rules that others call harm by."""

import json
from functools import partial

import numpy as np
import pytest
import scipy.stats
from bench.evidence import __main__ as bench
from bench.evidence import clearance, harmless, power, proof, reference, rivals
from bench.evidence.batch import Batch
from bench.evidence.harmless import Alarms
from bench.evidence.power import Cell, detected
from bench.evidence.rivals import LindonMalek, MannWhitney
from unit.core.evidence.test_oracles import LOOKS, SAVVI

SMALL = {
    "runs": 20,
    "runs-harmless": 20,
    "events": 60,
    "events-guard": 40,
    "runs-rivals": 20,
    "looks-rivals": 20,
    "looks-past": 8,
    "runs-proof": 2,
    "repeats": 5,
    "workers": 1,
}
TINY = [f"--{name}={number}" for name, number in SMALL.items()]


@pytest.fixture(autouse=True)
def few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave two cells of how soon harm is called."""
    monkeypatch.setattr(power, "SHARES", (0.5,))
    monkeypatch.setattr(power, "RATIOS", (5.0,))


def test_tiny_run_ends_with_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """All figures that are asked for are in the last line, progress with seeds beside it."""
    assert bench.main(TINY) == 0
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert len(found["share_of_bound"]) == 2
    assert len(found["late_onset_over_bound"]) == 1
    assert found["min_share_of_bound"] == min(found["share_of_bound"].values())
    assert found["max_late_onset_over_bound"] == pytest.approx(
        max(found["late_onset_over_bound"].values()), abs=0.01
    )
    assert found["max_false_alarm"] in found["max_false_alarm_all"].values()
    assert len(found["max_false_alarm_guard_all"]) == 30
    assert found["max_false_alarm_past"] == max(found["max_false_alarm_past_all"].values())
    assert len(found["max_false_alarm_past_all"]) == len(list(reference.cases()))
    assert found["max_false_pass"] in found["max_false_pass_all"].values()
    assert len(found["max_false_pass_all"]) == len(list(clearance.cases()))
    assert len(found["false_pass_beyond"]) == len(list(clearance.beyond()))
    assert len(found["max_false_proof_all"]) == len(list(proof.cases()))
    assert len(found["false_alarm_past_changed"]) == len(list(reference.changed()))
    assert set(found["aims_met"]) == set(bench.AIMS)
    assert {"rampway", "lindon_malek", "kayenta_mann_whitney_98"} < set(found["rivals"])
    assert found["update_us"] > 1
    assert found["waiting_us"] > 1
    assert 300 < found["state_bytes"] < 2000
    seeds = [line.split()[3] for line in err.splitlines()]
    assert len(seeds) == len(set(seeds)) > 45


def test_workers_come_to_the_same() -> None:
    """Processes side by side give what one gives, in the same order."""
    cells = [partial(detected, Cell(0.05, 0.5, r), runs=20) for r in (5.0, 20.0)]
    alone, together = (bench.Desk(n).run(cells, str) for n in (1, 2))
    assert alone == together
    assert [f.cell.ratio for f in together] == [5, 20]


def test_false_alarms_beyond_three_errors_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command fails, naming the condition, where alpha is exceeded by more than chance."""
    wrong = Alarms("bad luck", 0.05, 0.09, 0.01)
    monkeypatch.setattr(harmless, "alarms", lambda *_, **__: wrong)
    assert bench.main(TINY) == 1
    assert "FAILED: bad luck: 0.0900" in capsys.readouterr().err
    assert not Alarms("chance", 0.05, 0.079, 0.01).too_often


def test_invalid_test_is_seen() -> None:
    """A wrong share of the traffic alarms in most runs: the conditions tell good from bad."""
    size = harmless.Size(200, 2000)
    number = [name for name, _ in harmless.conditions()].index(
        "constant rate, ten events a look, 20%"
    )
    assert not harmless.alarms(number, 5, size, 0.05, hard=False).too_often
    looked = Batch.look
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Batch, "look", lambda b, n_c, mine, n_s, other: looked(b, 0.5 * n_c, mine, n_s, other)
        )
        assert harmless.alarms(number, 5, size, 0.05, hard=False).rate > 0.5


def test_adversary_chooses_among_the_runs() -> None:
    """Runs that are not looked at keep their state; the others go on as if alone."""
    batch, alone = (Batch.of(4, 0.05) for _ in range(2))
    now = np.array([True, False, True, False])
    waiting = np.array([[3.0, 1.0, 0.0, 1.0], [1.0, 0.0, 2.0, 0.0]])
    harmless._look_at(batch, now, waiting, 0.2)
    whole = 1000 * waiting.sum(axis=0)
    after = alone.look(0.2 * whole, waiting[0], 0.8 * whole, waiting[1])
    assert batch.e_values()[now] == pytest.approx(after[now])
    assert batch.e_values()[~now] == pytest.approx(1)
    assert batch.guard is not None
    assert batch.guard.requests[0].tolist() == [800, 0, 400, 0]


def test_fewer_runs_have_a_larger_error() -> None:
    """The Monte Carlo error falls with the runs; a share of the bound is below 1."""
    few, many = (detected(Cell(0.05, 0.5, 5.0), seed, runs) for seed, runs in ((1, 50), (2, 5000)))
    assert few.error > 4 * many.error
    assert 0.7 < many.share_of_bound < 1
    assert many.over_bound == pytest.approx(1 / many.share_of_bound)


def test_mann_whitney_is_scipys() -> None:
    """The rule of Kayenta agrees with scipy's test on the same samples, ties included."""
    source = np.random.default_rng(8)
    rule, mine, other = MannWhitney(), [], []
    called = 0
    for look in range(25):
        mine.append(source.binomial(200, 0.03, 40).astype(float))
        other.append(source.binomial(200, 0.01, 40).astype(float))
        found = rule.look(200.0, mine[-1], 200.0, other[-1])
        p = scipy.stats.mannwhitneyu(
            np.array(mine), np.array(other), alternative="greater", method="asymptotic"
        ).pvalue
        clear = np.abs(p - 0.01) > 1e-6
        assert (found == (p < 0.01))[clear].all()
        called += int(found.sum()) if look else 0
    assert called > 40


@pytest.mark.parametrize("theta0", SAVVI)
def test_lindon_and_malek_is_savvis(theta0: float) -> None:
    """The rival's closed form is what its published library computes."""
    for number in range(1, len(LOOKS) + 1):
        bound = SAVVI[theta0][number - 1]
        flags = []
        for nudge in (-1e-6, 1e-6):
            rule = LindonMalek(alpha=np.exp(-bound - nudge))
            for mine, other in LOOKS[:number]:
                last = rule.look(theta0, np.array([mine]), 1 - theta0, np.array([other]))
            flags.append(bool(last[0]))
        assert flags == [True, False]


def test_rivals_do_what_is_known_of_them() -> None:
    """Looked at again and again the z-test alarms far too often, ours does not; all see harm."""
    found = rivals.compared(400, 60, 0.2, 0.05, seed=900)
    assert found["rampway"]["false_alarms_60"] < 0.05
    assert found["z_test_each_look"]["false_alarms_60"] > 0.2
    assert found["limit_argo"]["false_alarms_60"] > 0.8
    assert all(row["harm_2x_called"] > 0.95 for row in found.values())
