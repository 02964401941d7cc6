"""The figures of `make bench-scale`, from pages and statuses that are known."""

from typing import Any

import pytest
from bench.scale.figures import (
    Page,
    Rollback,
    aims,
    mean_s,
    operators,
    prometheus,
    rates,
    rollbacks,
    verdicts,
)
from bench.scale.show import ROWS, aims_table, at, table

MIB = 1024 * 1024


def page(at_s: float, **changes: float) -> Page:
    """Return a page of an operator."""
    known = {"cpu": 0.0, "rss": 100.0 * MIB, "gets": 0.0, "patches": 0.0, "queries": 0.0,
             "answer": 0.0, "waits": 0.0, "waited": 0.0} | changes  # fmt: skip
    return Page.read(f"""\
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {known["cpu"]}
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes {known["rss"]}
# TYPE rampway_api_requests_total counter
rampway_api_requests_total{{verb="get",kind="Lease",code="200"}} {known["gets"]}
rampway_api_requests_total{{verb="get",kind="HTTPRoute",code="200"}} {known["gets"]}
rampway_api_requests_total{{verb="patch",kind="Lease",code="409"}} {known["patches"]}
# TYPE rampway_metrics_queries_total counter
rampway_metrics_queries_total{{result="200"}} {known["queries"]}
# TYPE rampway_metrics_answer_bytes_total counter
rampway_metrics_answer_bytes_total {known["answer"]}
# TYPE rampway_queue_wait_seconds histogram
rampway_queue_wait_seconds_bucket{{le="0.1"}} {known["waits"]}
rampway_queue_wait_seconds_bucket{{le="1.0"}} {known["waits"]}
rampway_queue_wait_seconds_bucket{{le="+Inf"}} {known["waits"]}
rampway_queue_wait_seconds_sum {known["waited"]}
rampway_queue_wait_seconds_count {known["waits"]}
""", at_s)  # fmt: skip


def test_rates_are_of_the_window_alone() -> None:
    """What was counted before the window does not count, nor what did not rise."""
    before = page(100.0, gets=50.0, patches=7.0)
    after = page(110.0, gets=100.0, patches=7.0)
    assert rates(before, after, "rampway_api_requests_total", "verb") == {"get": 10.0}
    by_kind = rates(before, after, "rampway_api_requests_total", "kind")
    assert by_kind == {"HTTPRoute": 5.0, "Lease": 5.0}


def test_the_replica_beside_the_leader_counts_for_requests_only() -> None:
    """Processors and memory are the leader's; requests are of all that runs."""
    before = [page(100.0), page(100.0)]
    after = [
        page(110.0, cpu=2.0, gets=40.0, queries=30.0, answer=5000.0, waits=10.0, waited=0.5),
        page(110.0, cpu=1.0, rss=80.0 * MIB, patches=20.0),
    ]
    found = operators(before, after)
    assert (found["cores"], found["others_cores"]) == (0.2, 0.1)
    assert (found["rss_mib"], found["others_rss_mib"]) == (100.0, 80.0)
    assert found["api_requests_per_s_by_verb"] == {"get": 8.0, "patch": 2.0}
    assert found["api_requests_per_s"] == 10.0
    assert (found["queries_per_s"], found["answer_bytes_per_s"]) == (3.0, 500)
    assert found["queue_wait"] == {"mean_s": 0.05, "count": 10, "p99_below_s": 0.1}


def test_a_histogram_that_observed_nothing_has_no_mean() -> None:
    """A window without observations gives None, not a division by zero."""
    same = page(100.0, waits=3.0, waited=1.0)
    assert mean_s("rampway_queue_wait_seconds", same, same) == {"mean_s": None, "count": 0}
    assert mean_s("rampway_queue_wait_seconds", None, same)["count"] == 3
    assert same.least("rampway_queue_wait_seconds", 0.5, same) is None
    assert operators([same], [page(101.0, waits=3.0, waited=1.0)])["queue_wait"]["mean_s"] is None


def test_prometheus_counts_the_queries_itself() -> None:
    """An independent count of what the operator asked."""

    def seen(at_s: float, asked: int) -> Page:
        name = "prometheus_http_requests_total"
        return Page.read(f"""\
{name}{{code="200",handler="/api/v1/query"}} {asked}
{name}{{code="503",handler="/api/v1/query"}} 0
{name}{{code="200",handler="/metrics"}} 9
prometheus_tsdb_head_series 123
process_cpu_seconds_total {at_s / 4}
process_resident_memory_bytes {MIB}
""", at_s)  # fmt: skip

    found = prometheus(seen(100.0, 10), seen(110.0, 60))
    assert found == {"cores": 0.25, "rss_mib": 1.0, "series": 123, "queries_per_s": 5.0}


def checks(state: str, *messages: str) -> dict[str, Any]:
    """Return a rollout whose checks answer so."""
    return {"checks": [{"name": f"c{n}", "state": state, "message": message}
                       for n, message in enumerate(messages)]}  # fmt: skip


def test_checks_without_traffic_or_verdict_are_counted() -> None:
    """A check that waits has no verdict; one that saw no request has no traffic."""
    seen = "2 of 600 requests failed on the candidate, 3 of 2250 on stable"
    none = "0 of 0 requests failed on the candidate, 0 of 0 on stable"
    found = verdicts([
        checks("Pass", seen, "5 is within its limits"),
        checks("Waiting", f"{seen}; about 150 more", "waits until stable answers"),
        checks("Unknown", none),
    ])  # fmt: skip
    assert found["rollouts"] == 3
    assert found["states"] == {"c0": {"Pass": 1, "Unknown": 1, "Waiting": 1},
                               "c1": {"Pass": 1, "Waiting": 1}}  # fmt: skip
    assert found["without_traffic"] == 2
    assert found["without_verdict"] == 3


def test_rollbacks_are_told_by_median_and_range() -> None:
    """One that was never off is counted, not left out in silence."""
    found = rollbacks([
        Rollback(100.0, 104.0, 110.0), Rollback(102.0, 105.0, 115.0), Rollback(103.0, 106.0, None),
    ])  # fmt: skip
    assert (found["candidates"], found["not_off"]) == (3, 1)
    assert found["from_first_failing_sample_s"] == {"median": 8.0, "least": 6.0, "most": 10.0}
    assert found["from_turning_bad_s"] == {"median": 11.5, "least": 10.0, "most": 13.0}
    assert rollbacks([Rollback(1.0, None, None)]) == {"candidates": 1, "not_off": 1}


def case(rollback_s: float, *, missing: int = 0, **operator: float) -> dict[str, Any]:
    """Return a case's figures."""
    took = {"not_off": missing, "from_first_failing_sample_s": {"median": rollback_s}}
    used = {"rss_most_mib": 200.0, "cores": 0.2, "api_requests_per_s": 20.0, "queries_per_s": 4.0,
            "api_requests_per_s_by_verb": {"get": 20.0}}  # fmt: skip
    return {
        "operator": used | operator,
        "checks": {"without_traffic": 0, "without_verdict": 0},
        "rollback": took,
        "rollback_after_restart": took,
    }


def test_aims_are_met_or_missed_at_a_thousand() -> None:
    """At most so much; a rollback at most twice as long as with one rollout."""
    found = aims({"rollouts_1": case(5.0), "rollouts_1000": case(10.0, cores=0.31)})
    missed = {name for name, aim in found.items() if aim["met"] is not True}
    assert missed == {"cores"}
    assert found["cores"] == {"at_most": 0.3, "measured": 0.31, "met": False}
    assert found["rollback_s"] == {"at_most": 10.0, "measured": 10.0, "met": True}
    slower = aims({"rollouts_1": case(5.0), "rollouts_1000": case(10.1)})
    assert slower["rollback_after_restart_s"]["met"] is False


def test_a_candidate_that_stays_misses_the_aim() -> None:
    """A median over those that were off would hide it."""
    found = aims({"rollouts_1": case(5.0), "rollouts_1000": case(6.0, missing=1)})
    assert found["rollback_s"] == {"at_most": 10.0, "measured": None, "met": False}


@pytest.mark.parametrize("cases", [{}, {"rollouts_1": case(5.0)}, {"rollouts_100": case(5.0)}])
def test_what_was_not_measured_is_neither_met_nor_missed(cases: dict[str, Any]) -> None:
    """Without a thousand rollouts no aim is judged."""
    found = aims(cases)
    assert {aim["met"] for aim in found.values()} == {None}
    assert "not measured" in "\n".join(aims_table(found))


def test_the_tables_show_what_there_is() -> None:
    """A figure that a case lacks is a dash; a line that no case has is left out."""
    rest = {"operator": case(1.0)["operator"], "start": {"start_s": 7.5, "rss_mib": 90.0}}
    cases = {"rollouts_1": case(5.0), "rest_5": rest}
    lines = {line[:28].strip(): line[28:].split() for line in table(cases)}
    assert lines["operator, cores"] == ["0.2", "0.2"]
    assert lines["bad: off after, s (median)"] == ["5.0", "-"]
    assert lines["start-up, s"] == ["-", "7.5"]
    assert lines["get requests/s"] == ["20.0", "20.0"]
    assert "decision, s" not in lines
    assert table({})  # nothing measured yet is no failure
    text = "\n".join(aims_table(aims({"rollouts_1": case(5.0), "rollouts_1000": case(20.0)})))
    assert "MISSED" in text
    assert "met" in text


def test_every_row_of_the_table_exists_in_a_result() -> None:
    """A path that leads nowhere would be a line that is never shown."""
    before, after = page(1.0), page(2.0, waits=1.0)
    used = operators([before, before], [after, after]) | {"rss_most_mib": 1.0}
    took = rollbacks([Rollback(1.0, 2.0, 3.0)]) | {"decision": mean_s("x", None, after)}
    result = {
        "operator": used,
        "rollback": took,
        "rollback_after_restart": took,
        "checks": verdicts([]),
        "start": {"start_s": 1.0, "rss_mib": 2.0},
    }
    parents = [path.rpartition(".") for _, path in ROWS]
    assert [path for path, _, last in parents if last not in at(result, path)] == []
