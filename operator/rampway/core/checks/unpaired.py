"""Checks that have nobody to compare with: against a value, or what stable showed before (B27).

The latter before the rollout, or in it for a watch without a holdback. Whatever changes for
everybody, a dependency that fails or an unusual load, looks like harm then. That is why these
answers are marked `Unpaired` and have no part in the bound on false rollbacks (B19); those of such
a watch by default only tell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rampway.api.policy import Check, Policy
from rampway.core import evidence
from rampway.core.checks import kinds, sentences
from rampway.core.checks.deltas import Delta
from rampway.core.checks.judged import CheckResult, CheckState, Contest, EvidenceState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.paired import LEANING, LEANING_LATELY
from rampway.core.checks.references import Held, held, is_tolerated, limit_of, reference
from rampway.core.evidence import Detector, EProcess, PairCount, Segment

PERIOD_S = 60.0
"""Harm may begin in each of these."""
Detectors = Mapping[str, tuple[Detector, ...]]


def applies(check: Check, contest: Contest) -> bool:
    """Whether a check has nobody to compare with."""
    return check.comparison is not None and (contest.unpaired or check.paired is None)


def _frozen(check: Check, state: EvidenceState, mine: Delta) -> PairedState:
    """Return what it is held against; `mine` is what the candidate's pods counted."""
    known = state.references if check.past else state.paired
    told = Delta() if check.usual is None else mine
    return known.get(check.name) or kinds.of(check).begin(told)


def _known(check: Check, state: EvidenceState, contest: Contest) -> tuple[PairedState, str]:
    """Return what it is held against, and why what the candidate counts cannot be."""
    if check.usual is None or not kinds.of(check).timed:
        return _frozen(check, state, Delta()), ""
    told = state.ledger.total(contest.candidate)
    return _frozen(check, state, told), kinds.of(check).lacks(told)


def watched(
    policy: Policy,
    state: EvidenceState,
    mine: Delta,
    contest: Contest,
    at_s: float,
    *,
    settled_s: float = math.inf,
) -> dict[str, tuple[Detector, ...]]:
    """Return the detectors with what a look adds; how long a rollout takes nobody knows.

    `settled_s`: as for `Comparison.take`.
    """
    endless, new_step = not contest.watching, contest.step_index != state.step_index
    found: dict[str, tuple[Detector, ...]] = {}
    for check in policy.checks:
        if not applies(check, contest):
            continue
        kind, frozen = kinds.of(check), _frozen(check, state, mine)
        asked = held(check, frozen)
        before = state.lone.get(check.name) or (Detector(),) * len(asked)
        if new_step:
            before = tuple(detector.in_new_step() for detector in before)
        seen = kind.lone(frozen, mine, settled_s)
        found[check.name] = tuple(
            detector.after(
                counts,
                to.limit,
                begun=_begun(detector, state.seen_s, at_s, contest.traffic_since_s),
                phi=to.phi,
                endless=endless,
                fewer=kind.fewer,
            )
            for detector, to, counts in zip(before, asked, seen, strict=False)
        )
    return found


def _begun(before: Detector, seen_s: float, at_s: float, since_s: float | None) -> int:
    """Return how many periods have begun; one does when traffic comes again after a pause, too."""
    known, now = (
        0 if since_s is None or t < since_s else 1 + int((t - since_s) // PERIOD_S)
        for t in (seen_s, at_s)
    )
    return max(1, before.begun + now - known)


def beyond(policy: Policy, found: Detectors, *, watching: bool) -> frozenset[str]:
    """Return the checks whose events have begun to be beyond their limits.

    Each may be wrong in the rollout, or the watch, with a chance of falseRollbackRate over the
    number of checks, as far as the limit holds; that is beside the bound on comparisons.
    """
    hold_s = policy.watch.hold_s if policy.watch and watching else 0.0
    periods = 1 + math.ceil(hold_s / PERIOD_S)
    each = math.log(periods * max(1, len(found)) / policy.alpha)
    return frozenset(
        name
        for name, detectors in found.items()
        if any(one.log_e() >= each + math.log(len(detectors)) for one in detectors)
    )


def answer(check: Check, state: EvidenceState, contest: Contest) -> CheckResult:
    """Answer a check that has nobody to compare with."""
    (frozen, lacking), found = _known(check, state, contest), state.lone.get(check.name, ())
    asked = held(check, frozen)
    if not asked or not found:
        return _without(check, state, contest, known=bool(asked))
    wrong = lacking or _mistake(check, frozen, found)
    if wrong and check.name not in state.harmed:
        return replace(_result(check, contest, CheckState.UNKNOWN, wrong), mistake=wrong)
    index = max(range(len(found)), key=lambda i: found[i].log_e())
    text = _told(check, frozen, found[index], asked[index].limit, index)
    if check.name in state.harmed:
        text += "; there is nobody to compare with, so what changed for all looks the same"
        return _result(check, contest, CheckState.FAIL, text)
    if not contest.watching and not all(one.step[0] for one in found[: kinds.of(check).decisive()]):
        text += "; nothing of this step was counted yet"
        return _result(check, contest, CheckState.WAITING, text)
    missing = 0 if contest.watching else _missing(check, asked, found)
    if missing is None:
        more = _why_never(check, frozen, asked) or "more of them decide"
        return _result(check, contest, CheckState.WAITING, f"{text}; {more}")
    if missing:
        text += f"; about {missing} more {kinds.of(check).exposures} on the candidate"
        text += "" if kinds.of(check).counters else sentences.at_present(missing, state)
        return _result(check, contest, CheckState.WAITING, text)
    return _result(check, contest, CheckState.PASS, text)


def _mistake(check: Check, frozen: PairedState, found: Sequence[Detector]) -> str:
    """Return why what was counted cannot be what was meant, before or now; else empty."""
    kind, (first, *_) = kinds.of(check), found
    counted = Segment().plus(PairCount(first.requests, first.events, 0, 0))
    seen = PairedState((EProcess(segments=(counted,)),), waiting=(0.0, first.waiting))
    return kind.mistake(frozen) or kind.mistake(seen)


def _without(check: Check, state: EvidenceState, contest: Contest, *, known: bool) -> CheckResult:
    """Answer a check that has nothing to be held against, or to hold."""
    if known:
        return _result(check, contest, CheckState.WAITING, "nothing was counted yet")
    if check.past:
        why = state.history.lacking if state.history else "Prometheus did not tell it in time"
        few = f"too few {kinds.of(check).exposures}"
        text = f"stable's past is not known to be held against: {why or few}"
        return _result(check, contest, CheckState.UNKNOWN, text)
    text = "too little of stable was seen before the promotion to be held against"
    return _result(check, contest, CheckState.WAITING, text)


def _result(check: Check, contest: Contest, state: CheckState, text: str) -> CheckResult:
    at_once = state is CheckState.FAIL and kinds.of(check).at_once
    tells = contest.unpaired
    return CheckResult(
        check.name, state, f"Unpaired: {text}", at_once=at_once, unpaired=True, tells=tells
    )


def _missing(check: Check, asked: Sequence[Held], found: Sequence[Detector]) -> int | None:
    """Return about how many more requests clear it of the harm to detect (B18).

    None where more has been seen than is no harm, or it seems to begin.
    """
    number = kinds.of(check).decisive()
    each = [_missing_of(check, one, to) for one, to in zip(found, asked[:number], strict=False)]
    known = [n for n in each if n is not None]
    return max(known) if len(known) == len(each) else None


def _missing_of(check: Check, found: Detector, to: Held) -> int | None:
    fewer = kinds.of(check).fewer
    # Events that wait for their requests are harm, too; where fewer are, they might excuse it.
    events = found.events if fewer else min(found.requests, found.events + max(0, found.waiting))
    rate = events / found.requests if found.requests else to.usual
    beyond_it = rate < to.limit if fewer else rate > to.limit
    leaning = found.log_e() >= math.log(LEANING) or found.log_in_step(
        to.limit, to.phi, fewer=fewer
    ) >= math.log(LEANING_LATELY)
    if beyond_it or leaning or is_tolerated(check, to.limit, to.harm):
        return None
    return evidence.requests_to_clear(found.requests, rate, to.harm, to.calm_phi, fewer=fewer)


def _why_never(check: Check, frozen: PairedState, asked: Sequence[Held]) -> str:
    """Return why no number of requests makes a check pass, empty if one may."""
    kind, limits = kinds.of(check), check.comparison
    decisive = enumerate(asked[: kind.decisive()])
    found = ((i, to) for i, to in decisive if is_tolerated(check, to.limit, to.harm))
    index, to = next(found, (0, None))
    if limits is None or to is None:
        return ""
    what = f"detect {limits.detect} from what {kind.tolerated} tolerate"
    if check.past and not is_tolerated(check, limit_of(check, to.usual), to.harm):
        known = reference(check, frozen)[index].requests
        return (
            f"the {known} {kind.exposures} of stable's past are too few to tell {what}; roll out "
            "again once stable has answered more, or raise detect"
        )
    return f"no number of them would tell {what}; tolerate less, or raise detect"


def _told(check: Check, frozen: PairedState, found: Detector, limit: float, index: int) -> str:
    kind = kinds.of(check)
    known = [] if check.usual is not None else reference(check, frozen)
    since = "rollout" if check.past else "promotion"
    before = (
        f", {kind.briefly(known[index].requests, known[index].events)} on stable before the {since}"
        if known
        else ""
    )
    seen = kind.alone(frozen, index, found.requests, found.events)
    bound = "at least" if kind.fewer else "at most"
    verb = "are" if kind.whole else "is"
    return f"{seen}{before}; {bound} {kind.amount(limit)} {verb} no harm"
