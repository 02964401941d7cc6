"""From measurements to what is told of them: pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

OURS = "rampway"
PROFILED = "rampway-profiled"
CLOSE_MS = 0.3
"""Where prediction takes most of the time nobody can be twice as fast: p50 is so much over it."""
Row = Mapping[str, Any]


def ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each case that a peer can do: our rate, the best peer's, and their ratio.

    `ratio_of_cpu` compares processor time a request, which a crowded machine changes little.
    A row has system, peer, work, form, connections, rps, p50_ms, cpu_ms and predict_ms, what
    `predict` alone took for one request right before and after. BentoML's own form counts as JSON,
    which it is.
    """
    found = []
    for mine in (row for row in rows if row["system"] == OURS):
        peers = [row for row in rows if row["peer"] and _same(mine, row)]
        best = max(peers, key=lambda row: float(row["rps"]), default=None)
        if best is None or not best["rps"]:
            continue
        raw = mine["predict_ms"]
        found.append(
            {
                "work": mine["work"],
                "form": mine["form"],
                "connections": mine["connections"],
                "rps": mine["rps"],
                "best_peer": best["system"],
                "best_peer_rps": best["rps"],
                "ratio": round(mine["rps"] / best["rps"], 2),
                "ratio_of_cpu": round(min(row["cpu_ms"] for row in peers) / mine["cpu_ms"], 2),
                "predict_dominates": raw >= 0.5 * 1000 / best["rps"],
                "p50_over_predict_ms": round(mine["p50_ms"] - raw, 3),
            }
        )
    return found


def _same(mine: Row, other: Row) -> bool:
    forms = {"json": {"json", "rows"}, "binary": {"binary"}}[mine["form"]]
    same = all(mine[key] == other[key] for key in ("work", "connections"))
    return same and other["form"] in forms


def summary(rows: Sequence[Row], raw_rps: Mapping[str, float]) -> dict[str, Any]:
    """Return what the last line says.

    Args:
        rows: What was measured.
        raw_rps: How many requests a second `predict` alone answers, 64 together, by work.
    """
    compared = ratios(rows)
    free = [one["ratio"] for one in compared if not one["predict_dominates"]]
    alone = [
        one["p50_over_predict_ms"]
        for one in compared
        if one["predict_dominates"] and one["connections"] == 1
    ]
    return {
        "min_ratio_to_best_peer": min(free, default=None),
        "min_ratio_of_cpu": min((one["ratio_of_cpu"] for one in compared), default=None),
        "max_p50_over_predict_ms_alone": max(alone, default=None),
        "share_of_raw_predict": shares(rows, raw_rps),
        "counting_inputs_us": counting_us(rows),
        "raw_predict_ms": predicting_ms(rows),
        "ratios": compared,
        "cases": [dict(row) for row in rows],
    }


def predicting_ms(rows: Iterable[Row]) -> dict[str, list[float]]:
    """Return by work what `predict` alone took in the course of the run: least, median, most."""
    took: dict[str, list[float]] = {}
    for row in rows:
        took.setdefault(row["work"], []).append(float(row["predict_ms"]))
    return {
        work: [round(one, 4) for one in (min(found), median(found), max(found))]
        for work, found in took.items()
    }


def shares(rows: Iterable[Row], raw_rps: Mapping[str, float]) -> dict[str, float]:
    """Return which share of the bare prediction's rate we reach with 64 connections, in bytes."""
    most = {
        row["work"]: row["rps"]
        for row in rows
        if row["system"] == OURS and row["connections"] == 64 and row["form"] == "binary"
    }
    return {work: round(rps / raw_rps[work], 3) for work, rps in most.items()}


def counting_us(rows: Sequence[Row]) -> dict[str, float]:
    """Return by work what counting a request's inputs costs: processor time, one connection."""
    cost_ms = {
        (row["system"], row["work"]): float(row["cpu_ms"])
        for row in rows
        if row["connections"] == 1 and row["form"] == "json"
    }
    return {
        work: round(1000 * (found_ms - cost_ms[OURS, work]), 1)
        for (system, work), found_ms in cost_ms.items()
        if system == PROFILED and (OURS, work) in cost_ms
    }


def table(rows: Sequence[Row]) -> str:
    """Return all rows as a table for people."""
    lines = [
        "| system | work | form | connections | req/s | p50 ms | p99 ms | CPU ms | RSS MB | bad |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    lines += [
        "| {system} | {work} | {form} | {connections} | {rps:.0f} | {p50_ms:.2f} | {p99_ms:.1f} "
        "| {cpu_ms:.3f} | {rss_mb:.0f} | {bad} |".format_map(row)
        for row in rows
    ]
    return "\n".join(lines)
