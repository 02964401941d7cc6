"""What a check costs: microseconds an update, bytes of its state."""

import json
import time
from dataclasses import dataclass

from rampway.api.policy import Check, ErrorRateCheck, Policy
from rampway.core.checks import paired
from rampway.core.checks.bound import bound_of
from rampway.core.checks.deltas import Delta, start_ledger
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Dispersion, to_json, with_past

ROLLOUTS, CHECKS = 1000, 10
STEPS = 5
KNOWN = Dispersion(30.0, 30.0, 120)


@dataclass(frozen=True)
class Cost:
    """Of one check `errorRate`, two processes.

    Attributes:
        update_us: Microseconds for one look, verdict included.
        state_bytes: Bytes of its part of a checkpoint.
        fleet_look_s: Seconds for one look at 1000 rollouts with ten checks each.
    """

    update_us: float
    state_bytes: int
    fleet_look_s: float


def measured(repeats: int) -> Cost:
    """Measure it over five steps, with an event or more in every look."""
    check = Check(name="errors", error_rate=ErrorRateCheck())
    policy = Policy(checks=(check,))
    state = paired.start(policy.checks, {}, start_ledger(0.0), "stable")["errors"]
    bound = bound_of(policy)
    state = PairedState(tuple(with_past(p, KNOWN, bound.log) for p in state.processes))
    begun = time.process_time()
    every = max(1, repeats // STEPS)
    for look in range(repeats):
        mine = Delta({"ok": 50, "model_error": look % 2})
        other = Delta({"ok": 200, "model_error": 1, "client_error": look % 2})
        state = paired.update(bound, check, state, mine, other, new_segment=look % every == 0)
        paired.culprits(bound, policy.checks, {"errors": state})
    update_s = (time.process_time() - begun) / repeats
    text = json.dumps([to_json(process) for process in state.processes], separators=(",", ":"))
    return Cost(1e6 * update_s, len(text), ROLLOUTS * CHECKS * update_s)
