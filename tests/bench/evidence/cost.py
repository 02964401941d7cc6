"""What a check costs: microseconds an update, bytes of its state."""

import json
import time
from dataclasses import dataclass
from random import Random

from rampway.api.policy import Check, ErrorRateCheck, Policy
from rampway.core.checks import paired, sentences
from rampway.core.checks.bound import Bound, bound_of
from rampway.core.checks.deltas import Delta, start_ledger
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Dispersion, to_json, with_past

ROLLOUTS, CHECKS = 1000, 10
STEPS = 5
SELDOM = 0.1
"""Chance of a failure of stable's in a look."""
KNOWN = Dispersion(30.0, 30.0, 120)


@dataclass(frozen=True)
class Cost:
    """Of one check `errorRate`, two processes.

    Attributes:
        update_us: Microseconds for one look, verdict included.
        state_bytes: Bytes of its part of a checkpoint.
        fleet_look_s: Seconds for one look at 1000 rollouts with ten checks each.
        waiting_us: Microseconds more for a check that waits, to tell what was seen and how many
            requests are missing.
    """

    update_us: float
    state_bytes: int
    fleet_look_s: float
    waiting_us: float


def measured(repeats: int) -> Cost:
    """Measure it over five steps, with an event or more in every look."""
    bound, check, state = _begun()
    begun = time.process_time()
    every = max(1, repeats // STEPS)
    for look in range(repeats):
        mine = Delta({"ok": 50, "model_error": look % 2})
        other = Delta({"ok": 200, "model_error": 1, "client_error": look % 2})
        state = paired.update(bound, check, state, mine, other, new_segment=look % every == 0)
        paired.culprits(bound, [check], {"errors": state})
    update_s = (time.process_time() - begun) / repeats
    text = json.dumps([to_json(process) for process in state.processes], separators=(",", ":"))
    fleet_s = ROLLOUTS * CHECKS * update_s
    return Cost(1e6 * update_s, len(text), fleet_s, 1e6 * _waiting_s(max(1, repeats // 10)))


def _begun() -> tuple[Bound, Check, PairedState]:
    check = Check(name="errors", error_rate=ErrorRateCheck())
    policy = Policy(checks=(check,))
    state = paired.start(policy.checks, {}, start_ledger(0.0), "stable")["errors"]
    bound = bound_of(policy)
    return bound, check, PairedState(tuple(with_past(p, KNOWN, bound.log) for p in state.processes))


def _waiting_s(looks: int) -> float:
    """Return the seconds of a look while requests are missing; traffic comes as by chance."""
    bound, check, begun = _begun()
    dice = Random(1)  # noqa: S311 - nothing secret
    state, took_s = begun, 0.0
    for _ in range(looks):
        other = Delta({"ok": dice.randint(30, 50), "model_error": dice.random() < SELDOM})
        state = paired.update(
            bound, check, state, Delta({"ok": dice.randint(1, 3)}), other, new_segment=False
        )
        before_s = time.process_time()
        state = paired.counting_down(bound, check, state)
        missing = paired.missing(bound, check, state)
        sentences.seen(check, state)
        took_s += time.process_time() - before_s
        if missing.exposures == 0:
            state = begun
    return took_s / looks
