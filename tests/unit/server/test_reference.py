"""The reference profile: made of training data, shipped in the model, read again."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

import rampway_server
from rampway_server import loading, reference

ROWS = np.column_stack([np.arange(100.0), np.tile([0.5, 1.5], 50)])
LABELS = (ROWS[:, 0] > 50).astype(int)


def test_numbers_get_ten_bins_of_about_equal_size() -> None:
    """Edges are deciles; a column of two values has as many bins as they part."""
    profile = rampway_server.profile(ROWS, LABELS)
    first, second = profile.features
    assert (profile.rows, first.name, second.name) == (100, "column-0", "column-1")
    assert first.counts == (10,) * 10
    assert first.edges == pytest.approx([9, 19, 29, 39, 49, 59, 69, 79, 89])
    assert (first.low, first.high, first.whole, second.whole) == (0.0, 99.0, True, False)
    assert second.counts == (50, 50, 0)
    assert profile.prediction is not None
    assert sum(profile.prediction.counts) == 100


def test_frames_have_names_text_and_missing_values() -> None:
    """Text keeps its commonest values, the rest is one bin; nothing else of the data is kept."""
    towns = ["Ulm"] * 3 + ["Bonn", None, ""] + [f"T{n}" for n in range(30)]
    frame = pd.DataFrame({"town": towns, "age": [1.0, np.nan, *range(34)]})
    town, age = rampway_server.profile(frame).features
    assert (town.name, age.name, town.text, age.text) == ("town", "age", True, False)
    assert len(town.values) == reference.MOST_VALUES
    counts = dict(zip(town.bins, (*town.counts, town.missing), strict=True))
    assert (counts["Ulm"], counts["other"], counts["missing"]) == (3, 13, 1)
    assert (age.missing, sum(age.counts)) == (1, 35)


def test_an_earlier_profile_gives_its_bins() -> None:
    """Two revisions can be compared bin by bin."""
    old = rampway_server.profile(ROWS, LABELS)
    new = rampway_server.profile(ROWS + 7, LABELS, like=old)
    assert [c.edges for c in new.features] == [c.edges for c in old.features]
    assert sum(new.features[0].counts) == 100
    assert new.features[0].counts != old.features[0].counts


def test_a_constant_has_one_bin_and_what_is_above() -> None:
    """Columns without any variety, or any value, make a profile too."""
    constant, empty = rampway_server.profile(np.array([[3.0, np.nan]] * 5)).features
    assert (constant.edges, constant.counts) == ((3.0,), (5, 0))
    assert (empty.edges, empty.counts, empty.missing) == ((), (0,), 5)


def test_of_texts_only_the_predictions_are_kept() -> None:
    """Rows of text are not columns, and none is in the profile; other shapes are told."""
    found = rampway_server.profile(["good", "bad", "good"], np.array(["yes", "no", "yes"]))
    assert (found.rows, found.features) == (3, ())
    assert found.prediction is not None
    assert found.prediction.bins[:2] == ["no", "yes"]
    with pytest.raises(ValueError, match=r"X has shape \(2,\); expected rows and features"):
        rampway_server.profile([1.0, 2.0])


def test_what_cannot_be_counted_is_refused() -> None:
    """Nothing is counted twice, or of another's column."""
    with pytest.raises(
        ValueError, match=r"y has shape \(100, 2\); expected one prediction for each"
    ):
        rampway_server.profile(ROWS, ROWS)
    with pytest.raises(ValueError, match="several columns of X are called 'a'"):
        rampway_server.profile(pd.DataFrame(ROWS, columns=["a", "a"]))
    with pytest.raises(ValueError, match="1 names for 2 columns of X"):
        rampway_server.profile(ROWS, names=["a"])


def test_of_one_column_of_answers_and_of_times() -> None:
    """Predictions may be a column; a time that is none is missing."""
    days = pd.DataFrame({"day": [pd.Timestamp("2026-01-01"), pd.NaT]})
    found = rampway_server.profile(days, np.array([[1.0], [2.0]]))
    assert found.prediction is not None
    assert sum(found.prediction.counts) == 2
    assert (found.features[0].missing, sum(found.features[0].counts)) == (1, 1)


def test_it_travels_in_the_skops_file(tmp_path: Path) -> None:
    """It is one more member of the archive, under its digest; put in twice it is there once."""
    path = tmp_path / "m.skops"
    skops.io.dump(LogisticRegression().fit(ROWS, LABELS), path)
    plain = path.read_bytes()
    for _ in range(2):
        rampway_server.profile(ROWS, LABELS).add_to(path)
    assert hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(plain).digest()
    model, warnings = loading.load(path.read_bytes(), "", [])
    assert (model.profile, warnings) == (rampway_server.profile(ROWS, LABELS), [])
    assert loading.load(plain, "", [])[0].profile is None
    assert list(tmp_path.iterdir()) == [path]


def test_a_profile_of_something_else_is_told_and_left_out(tmp_path: Path) -> None:
    """Features that the model has not, of another kind, or as many as it has not."""
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    path = tmp_path / "m.skops"
    skops.io.dump(LogisticRegression().fit(frame, LABELS), path)
    texts = frame.assign(b="x", c=1.0)
    left_out = "the profile's feature %r is left out: "
    for profile, told in (
        (
            rampway_server.profile(texts),
            [
                f"{left_out % 'b'}it counts text, and the model takes numbers there",
                f"{left_out % 'c'}the model takes 'a', 'b'",
            ],
        ),
        (
            rampway_server.profile(texts[["a", "c"]].assign(d=1.0).to_numpy()),
            ["the profile's features are left out: it has 3, and the model's 2 columns need 2"],
        ),
    ):
        profile.add_to(path)
        model, warnings = loading.load(path.read_bytes(), "", [])
        assert warnings == told
        assert [column.name for _, column in model.training.features] == ["a"] * (len(told) - 1)


def test_only_a_skops_file_takes_it(tmp_path: Path) -> None:
    """Another file is left as it is."""
    path = tmp_path / "m.pickle"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"no skops file; write it with skops\.io\.dump first"):
        rampway_server.profile(ROWS).add_to(path)
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"features": [{}]},
        {"features": None},
        {"rows": "many"},
        {"prediction": {"name": "p", "edges": [2, 1], "values": [], "counts": [0, 0, 0]}},
        {"prediction": {"name": "p", "edges": [1], "values": [], "counts": [0]}},
    ],
)
def test_bad_profile_is_told_and_left_out(
    change: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is served all the same; the log has the reason."""
    path = tmp_path / "m.skops"
    skops.io.dump(LogisticRegression().fit(ROWS, LABELS), path)
    profile = rampway_server.profile(ROWS, LABELS)
    text = json.dumps(json.loads(profile.to_json()) | change)
    monkeypatch.setattr(reference.Profile, "to_json", lambda _: text)
    profile.add_to(path)
    model, warnings = loading.load(path.read_bytes(), "", [])
    assert model.profile is None
    (warning,) = warnings
    assert "the file's profile of the training data is left out" in warning


def test_the_package_offers_nothing_else() -> None:
    """A misspelt name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'profil'"):
        rampway_server.profil  # noqa: B018
