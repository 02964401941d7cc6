"""The figures of `make bench-rollback`, from answers that are known."""

from bench.figures import CASES, figures, summary, table
from bench.troubles import TROUBLES

ANSWERS = [
    {"sent_s": 9.9, "answered_s": 10.0, "status": 200},
    {"sent_s": 10.0, "answered_s": 10.5, "status": 500},
    {"sent_s": 10.2, "answered_s": 11.5, "status": 0},
    {"sent_s": 12.0, "answered_s": 12.1, "status": 200},
]


def test_times_run_from_the_first_failed_answer() -> None:
    """What failed counts, whoever is to blame; what is not known is None."""
    found = figures(ANSWERS, 11.25, 11.0)
    assert found == {"failed": 2, "decided_s": 0.5, "route_s": 0.75, "last_failed_s": 1.0}
    unseen = figures(ANSWERS, None, None)
    assert (unseen["route_s"], unseen["decided_s"], unseen["failed"]) == (None, None, 2)
    assert figures(ANSWERS[:1], 11.0, 11.0)["failed"] == 0


def test_a_case_is_told_by_median_and_range() -> None:
    """A run in which nothing was decided is counted as missing, not left out in silence."""
    known = [figures(ANSWERS, off_s, 11.0) for off_s in (11.25, 13.5)]
    found = summary([*known, figures(ANSWERS, None, None)])
    assert found["runs"] == 3
    assert found["route_s"] == {"median": 1.875, "least": 0.75, "most": 3.0}
    assert found["route_s_missing"] == 1
    assert found["failed"]["median"] == 2


def test_the_table_has_a_line_for_each_case() -> None:
    """The parts add up to the whole; a case without runs has dashes."""
    run = figures(ANSWERS, 11.25, 11.0)
    lines = table({"full": summary([run]), "none": summary([])})
    assert lines[1].split() == ["full", "1", "0.5", "0.25", "0.25", "2"]
    assert lines[2].split() == ["none", "0", "-", "-", "-", "-"]


def test_all_cases_are_there() -> None:
    """Three kinds of failure, two scrape intervals, three ways to look; and four troubles."""
    assert len({case.name for case in CASES}) == 22
    assert all(case.direct for case in CASES if case.past)
    assert sum(case.past for case in CASES) == 6
    assert {case.trouble for case in CASES} == set(TROUBLES)
    intervals = [case.scrape_s for case in CASES]
    assert intervals == sorted(intervals)
