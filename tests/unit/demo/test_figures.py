"""The figures that the demo ends with, from answers made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from demo import figures
from demo.figures import Result
from demo.load import Answer


def answer(sent_s: float, latency_ms: float = 10.0, status: int = 200, by: str = "a") -> Answer:
    """An answer as the client notes it."""
    return Answer(sent_s, status, latency_ms, revision=by, right=status == 200)


GOOD = Result(
    promoted=True,
    promotion_s=61.5,
    promotion_failed_requests=0,
    rolled_back_errors=True,
    errors_rollback_s=4.2,
    errors_failed_requests=9,
    rolled_back_slow=True,
    slow_rollback_s=3.1,
)


@pytest.mark.parametrize("size", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_percentile_agrees_with_numpy(size: int, quantile: float) -> None:
    """The percentile is numpy's inverted_cdf: a value that was seen."""
    values = np.random.default_rng(size).exponential(size=size).tolist()
    expected = np.percentile(values, 100 * quantile, method="inverted_cdf")
    assert figures.percentile(values, quantile) == expected


def test_percentile_of_nothing_is_refused() -> None:
    """Without stable's answers there is no limit, and the message says so."""
    with pytest.raises(ValueError, match="at least one answer"):
        figures.percentile([], 0.99)


def test_rollback_runs_from_the_first_bad_answer_to_the_last() -> None:
    """Times are those at which answers came, in whatever order they were noted."""
    bad = [answer(12.0, 500.0, 500), answer(10.0, 1000.0, 500), answer(14.0, 250.0, 500)]
    assert figures.span_s(bad) == pytest.approx(14.25 - 11.0)


def test_one_bad_answer_takes_no_time_and_none_has_no_time() -> None:
    """No bad answer is not the same as a rollback in zero seconds."""
    assert figures.span_s([answer(1.0, status=500)]) == 0.0
    assert figures.span_s([]) is None


def test_window_takes_its_begin_and_leaves_its_end() -> None:
    """Windows that follow each other count each request once."""
    answers = [answer(1.0), answer(2.0), answer(3.0)]
    parts = [*figures.since(answers, 1.0, 2.0), *figures.since(answers, 2.0)]
    assert parts == answers


def test_no_answer_counts_as_failed() -> None:
    """Status 0, a refused connection, is a failed request as much as a 500 is."""
    answers = [answer(1.0), answer(2.0, status=0, by=""), answer(3.0, status=500)]
    assert figures.failed(answers) == answers[1:]


def test_slow_is_strictly_above_the_limit() -> None:
    """A bad answer of v4 is one above stable's percentile, not one at it."""
    answers = [answer(1.0, 10.0), answer(2.0, 10.1)]
    assert figures.slower(answers, 10.0) == answers[1:]


def test_takeover_ends_with_the_old_revisions_last_answer() -> None:
    """Promotion lasts until every answer comes from the new revision."""
    answers = [
        answer(99.0, by="old"),
        answer(105.0, by="new"),
        answer(160.0, 500.0, by="old"),
        answer(161.0, status=0, by=""),
        answer(170.0, by="new"),
    ]
    assert figures.takeover_s(answers, 100.0, "new") == pytest.approx(60.5)
    assert figures.takeover_s(answers[1:2], 100.0, "new") is None


def test_last_line_is_one_json_object_in_the_promised_order() -> None:
    """Programs read the last line: these eight keys, in this order, on one line."""
    assert GOOD.line() == (
        '{"promoted": true, "promotion_s": 61.5, "promotion_failed_requests": 0, '
        '"rolled_back_errors": true, "errors_rollback_s": 4.2, "errors_failed_requests": 9, '
        '"rolled_back_slow": true, "slow_rollback_s": 3.1}'
    )
    assert json.loads(replace(GOOD, slow_rollback_s=None).line())["slow_rollback_s"] is None


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (replace(GOOD, promoted=False), "v2 was not promoted"),
        (replace(GOOD, promotion_failed_requests=3), "3 requests failed"),
        (replace(GOOD, rolled_back_errors=False), "v3"),
        (replace(GOOD, rolled_back_slow=False), "v4"),
    ],
)
def test_each_broken_promise_is_named(result: Result, words: str) -> None:
    """An outcome other than promised is told in a sentence; a good one in none."""
    (sentence,) = result.broken_promises()
    assert words in sentence
    assert GOOD.broken_promises() == []


def test_table_counts_each_revision_and_failures_that_nobody_signed() -> None:
    """The table shows versions where known, and what nobody answered under its own name."""
    answers = [answer(1.0), answer(2.0, status=500), answer(3.0, status=0, by="")]
    lines = figures.table(answers, {"a": "v3"})
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["v3"] == ["2", "1", "50.0%", "10.0", "10.0"]
    assert rows["(nobody)"] == ["1", "1", "0.0%", "-", "-"]
