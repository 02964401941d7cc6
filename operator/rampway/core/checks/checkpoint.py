"""Evidence as text and back: what survives a restart of the operator (B32)."""

import json
import math
from typing import Any

import orjson

from rampway.core import evidence
from rampway.core.checks import deltas
from rampway.core.checks.cutoff import Given, Since
from rampway.core.checks.judged import Down, EvidenceState, Failed, History
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Bets, BoundPair, Detector
from rampway.core.evidence.betting import SHARES

FORMAT = 1


def to_text(state: EvidenceState) -> str:
    """Return the evidence as JSON text."""
    data = {
        "format": FORMAT,
        "seen": state.seen_s,
        "ledger": deltas.to_json(state.ledger),
        "paired": {name: _paired(mine) for name, mine in state.paired.items()},
        "harmed": sorted(state.harmed),
        "breaches": dict(state.breaches),
        "failures": {name: [of.number, of.at_s] for name, of in state.failures.items()},
        "step": [state.step_index, state.step_requests, state.rate_per_s],
        "shares": list(state.shares),
        "scraped": dict(state.last_scrape_s),
        "cutoff": state.cutoff_s,
        "given": _since(state.given) if state.given else None,
        "down": [state.down.since_s, state.down.up_since_s] if state.down else None,
        "alone": dict(state.alone),
        "lone": {name: [_detector(one) for one in of] for name, of in state.lone.items()},
        "references": {name: _paired(mine) for name, mine in state.references.items()},
        "history": [state.history.intervals, state.history.lacking] if state.history else None,
    }
    return orjson.dumps(data).decode()


def from_text(text: str) -> EvidenceState | None:
    """Return the evidence of a checkpoint, None for one that cannot be read: it begins anew.

    That is never unsafe: beginning anew delays a rollout, it cannot promote one.
    """
    if not text:
        return None
    try:
        return _parse(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _paired(state: PairedState) -> dict[str, Any]:
    return {
        "processes": [evidence.to_json(process) for process in state.processes],
        "bounds": [[b.weight, b.stable_bound_s, b.candidate_bound_s] for b in state.bounds],
        "waiting": list(state.waiting),
        "bets": list(state.bets.log_wealth) if state.bets else None,
        # Pairs, as their order decides their shares.
        "slices": [[value, _paired(mine)] for value, mine in state.slices.items()],
        "others": state.others,
    }


def _paired_from(data: dict[str, Any]) -> PairedState:
    return PairedState(
        processes=tuple(evidence.from_json(process) for process in data["processes"]),
        bounds=tuple(BoundPair(*bound) for bound in data["bounds"]),
        waiting=tuple(map(float, data.get("waiting", ()))),
        bets=_bets(data.get("bets")),
        slices={str(value): _paired_from(mine) for value, mine in data.get("slices", ())},
        others=int(data.get("others", 0)),
    )


def _detector(one: Detector) -> list[Any]:
    # JSON has no infinity.
    log_r = [None if log == -math.inf else round(log, 9) for log in one.log_r]
    return [log_r, one.begun, one.requests, one.events, one.waiting, list(one.step), one.part]


def _detected(numbers: list[Any]) -> Detector:
    log_r, begun, requests, events, waiting, *later = numbers
    # Not written by earlier versions: then this step has shown nothing yet.
    step = tuple(later[0]) if later else (0, 0.0)
    part = later[1] if len(later) > 1 else 0.0
    return Detector(tuple(map(_log, log_r)), begun, requests, events, waiting, step, part)


def _log(log: float | None) -> float:
    return -math.inf if log is None else float(log)


def _bets(wealth: list[Any] | None) -> Bets | None:
    if wealth is None:
        return None
    if len(wealth) != len(SHARES):
        raise ValueError(f"{len(wealth)} bets; expected {len(SHARES)}: begin anew")
    return Bets(tuple(map(float, wealth)))


def _history(intervals: int, lacking: str) -> History:
    return History(int(intervals), str(lacking))


def _since(since: Since) -> list[Any]:
    given = since.given
    what = [given.weight_pct, given.mirror_pct, given.matched, given.settled]
    return [what, since.step_index, since.at_s]


def _since_from(what: list[Any], step_index: int, at_s: float) -> Since:
    weight_pct, mirror_pct, matched, settled = what
    given = Given(int(weight_pct), int(mirror_pct), bool(matched), bool(settled))
    return Since(given, int(step_index), float(at_s))


def _shares(candidate: int, stable: int) -> tuple[int, int]:
    return int(candidate), int(stable)


def _parse(data: dict[str, Any]) -> EvidenceState:
    if data["format"] != FORMAT:
        raise ValueError(f"checkpoint of format {data['format']}, expected {FORMAT}")
    index, requests, rate = data["step"]
    return EvidenceState(
        seen_s=float(data["seen"]),
        ledger=deltas.from_json(data["ledger"]),
        paired={name: _paired_from(mine) for name, mine in data["paired"].items()},
        harmed=frozenset(data.get("harmed", ())),
        breaches=data["breaches"],
        failures={name: Failed(*of) for name, of in data.get("failures", {}).items()},
        step_index=index,
        step_requests=requests,
        shares=_shares(*data.get("shares", (0, 0))),
        rate_per_s=rate,
        last_scrape_s=data["scraped"],
        cutoff_s=data["cutoff"],
        given=_since_from(*data["given"]) if data.get("given") else None,
        down=Down(*data["down"]) if data.get("down") else None,
        lone={
            name: tuple(_detected(one) for one in of) for name, of in data.get("lone", {}).items()
        },
        alone={name: tuple((n, k) for n, k in of) for name, of in data.get("alone", {}).items()},
        references={name: _paired_from(mine) for name, mine in data.get("references", {}).items()},
        # Not written by earlier versions; never read again, as their rollouts have begun.
        history=_history(*data["history"]) if data.get("history") else None,
    )
