"""Forests and linear models answer more quickly than scikit-learn lets them, and the same."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel
from unit.server import zoo

import rampway_server.estimators  # noqa: F401 - puts the quick ways in place
from rampway_server import quicker

TESTS = Path(__file__).parents[2]
MODELS = (
    LogisticRegression(),
    LinearRegression(),
    RandomForestClassifier(n_estimators=3, random_state=0),
    RandomForestRegressor(n_estimators=3, random_state=0),
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What scikit-learn itself answers, in a process of its own."""
    file = tmp_path_factory.mktemp("zoo") / "answers.npz"
    command = [sys.executable, "-m", "unit.server.zoo", str(file)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(TESTS)})
    with np.load(file) as stored:
        return dict(stored)


def test_answers_are_those_of_scikit_learn_to_the_last_bit(known: dict[str, Any]) -> None:
    """Each method of each kind of model, alone and in what holds it, for one row and for many."""
    assert hasattr(RandomForestClassifier.predict_proba, "__wrapped__")
    ours = zoo.answers()
    assert ours.keys() == known.keys()
    assert len(ours) > 300
    for name, told in ours.items():
        assert told.dtype == known[name].dtype, name
        np.testing.assert_array_equal(told, known[name], err_msg=name)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_scikit_learn_says_what_is_wrong(model: Any) -> None:
    """What cannot be answered is left to it: its errors, in its words."""
    rows, asked = zoo.data()
    with pytest.raises(NotFittedError):
        type(model)().predict(asked)
    model.fit(rows, rows[:, 0] > 0)
    with pytest.raises(ValueError, match=r"has 4 features, but .* is expecting 5"):
        model.predict(asked[:, :4])
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.predict(asked[:0])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        model.predict(asked[0])
    with pytest.raises(ValueError, match="contains infinity"), np.errstate(all="ignore"):
        model.predict(np.full((1, 5), np.inf))


def test_numbers_whose_sum_is_infinite_are_answered() -> None:
    """The quick look does not know them to be finite; scikit-learn looks closer."""
    rows, _ = zoo.data()
    huge = np.full((1, 5), 1e308)
    model = LinearRegression().fit(rows, rows[:, 0])
    assert model.predict(huge) == pytest.approx(1e308)


def test_missing_values_go_where_the_trees_send_them() -> None:
    """A forest that was fitted with missing values answers them."""
    rows, _ = zoo.data()
    rows[::3, 0] = np.nan
    model = RandomForestClassifier(n_estimators=5, random_state=0).fit(rows, np.isnan(rows[:, 0]))
    assert model.predict([[np.nan, 0, 0, 0, 0], [1, 0, 0, 0, 0]]).tolist() == [True, False]


def test_other_forms_of_rows_are_answered_as_ever() -> None:
    """Lists, integers and single precision."""
    rows, asked = zoo.data()
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    whole = np.round(asked[:4])
    wanted = model.predict(whole).tolist()
    for form in (whole.tolist(), whole.astype(int), whole.astype(np.float32)):
        assert model.predict(form).tolist() == wanted


def test_a_frame_is_made_where_one_is_wanted() -> None:
    """`set_output` asks a scaler for a frame, and the next step for its columns."""
    rows, asked = zoo.data()
    scaler = StandardScaler().fit(rows).set_output(transform="pandas")
    found = scaler.transform(asked[:1])
    assert type(found).__name__ == "DataFrame"
    assert found.columns.tolist() == [f"x{n}" for n in range(5)]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_scaler_leaves_what_it_was_given_unless_told(*, keeps: bool) -> None:
    """Its answer is its own, also where nothing is changed; `copy=False` works in place."""
    rows, asked = zoo.data()
    before = asked.copy()
    found = StandardScaler(copy=keeps).fit(rows).transform(asked)
    assert np.shares_memory(found, asked) is not keeps
    assert np.array_equal(asked, before) is keeps
    same = StandardScaler(with_mean=False, with_std=False).fit(rows).transform(before)
    assert np.array_equal(same, before)
    assert not np.shares_memory(same, before)


def test_the_trees_of_a_forest_are_asked_by_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is where the time went: a forest answers without one, unless it is asked very much."""
    rows, asked = zoo.data()
    model = RandomForestClassifier(n_estimators=5, random_state=0, n_jobs=2)
    model.fit(rows, rows[:, 0] > 0)
    pools = []

    def pool(*args: Any, **named: Any) -> Any:
        pools.append(named)
        return Parallel(*args, **named)

    monkeypatch.setattr("sklearn.ensemble._forest.Parallel", pool)
    few = model.predict_proba(asked[: quicker.FEW_ROWS])
    assert pools == []
    many = model.predict_proba(asked)
    assert len(pools) == 1
    np.testing.assert_allclose(few, many[: quicker.FEW_ROWS])
