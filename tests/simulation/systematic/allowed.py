"""Which ends what happened allows: the outcome must follow from the events in the right way."""

from copy import deepcopy

from simulation.systematic.events import HOOKS_REFUSE, Effect, Event
from simulation.systematic.invariants import require
from simulation.systematic.run import Run
from simulation.systematic.strategies import GATES, ROUTE

from rampway.api import labels
from rampway.kube import kinds
from rampway.sim.world import SPACE

EARLY = frozenset({"none", "starting", "stepping"})
UNDOING = frozenset({Effect.HARMS, Effect.STOPS, Effect.LOSES, Effect.ABORTS})
"""What may return a watch to the old revision."""
SEEN_AT_ONCE = frozenset({"candidate-errors", "candidate-out-of-memory", "aborted-by-a-person"})
"""What a watch that nothing else happens to has to return from."""
SEEN_WITHIN_S = 3.0
"""A container that dies, or a request, is seen by then; a watch that ends sooner may miss it."""
PASSED = frozenset({"Promoted", "RolledBack"})
"""Ends of a rollout that nothing but its own course has decided."""
QUIET = frozenset({Effect.PASSES, Effect.SKIPS, Effect.ABORTS, Effect.RETRIES})
"""What costs no client a request."""
UNREADY = frozenset({"stable-unready-10s"})
ENDS = """
what happened                              v2's rollout                stable
nothing that matters, candidate good       Promoted                    v2
candidate bad, or made bad before the end  RolledBack                  v1
made bad late (last step, promotion)       Promoted or RolledBack      v2 or v1
made bad, or unready, once it is stable    Promoted or RolledBack      v2 or v1
its containers never start                 as made bad; late if one is ready already
the spec names v3                          anything but Promoted if bad  v3
the same in mid-rollout, and it is queued  Promoted or RolledBack      v3
the same, and a person aborts              the same                    v3, or what it was
the spec goes back to v1                   anything but Promoted if bad  v1
a person skips steps                       Promoted or RolledBack      v2 or v1
a person aborts before the promotion       RolledBack                  v1
the same, and retries                      Promoted, or as above       v2 or v1
made bad, unready or aborted in a watch    Promoted or RolledBack      v2 or v1
deleted and applied again                  none, or as above           what the spec names
the same behind a user's route, v2 bad     RolledBack                  v1
"""


def check_end(run: Run, end: str) -> None:
    """Require that the end is one that history allows."""
    phase, stable, _ = end.split()
    if harmless(run):
        failed = run.ledger.all.failed
        require(not failed, f"{failed} requests were lost: {dict(run.ledger.reasons)}")
    if run.case.users_route:
        _untouched(run)
    if phase == "Promoted" and stable == "v2":
        _as_promised(run)
    effects = {event.effect for _, event in run.history}
    target = desired(run)
    if Effect.BEGINS in effects:
        inherits = run.case.users_route and run.case.bad  # from what still served (B34)
        stopped = target == "v2" and (effects & {Effect.STOPS, Effect.HARMS} or inherits)
        require(stable == target or stopped, f"{end}: the spec names {target}")
        return
    refused, promoted = chances(run)
    if target != "v2":
        excused = gives_way(run) or withdrawn(run)
        require(stable == target or excused, f"{end}: the spec names {target}")
        require(phase != "Promoted" or promoted, f"{end}: promoted, and bad from early on")
        require(phase in PASSED or not has_queued(run), f"{end}: v3 did not wait for its end")
        return
    allowed = {"Promoted v2"} if promoted else set()
    allowed |= {"RolledBack v1"} if refused else set()
    require(f"{phase} {stable}" in allowed, f"{end}: allowed is {sorted(allowed)}")


def _as_promised(run: Run) -> None:
    """Require of a promotion that its hooks had succeeded, and that what its steps raised ended."""
    rollout = None if run.watch.wiped else run.rollout()
    skipped = any(event.effect is Effect.SKIPS for _, event in run.history)
    if run.case.strategy == "hooked" and rollout is not None and not skipped:
        runs = {one["key"]: one["state"] for one in rollout["status"].get("hooks", ())}
        consented = HOOKS_REFUSE in {event.name for _, event in run.history} and any(
            one["by"] == "ann" for one in rollout["spec"].get("requests", {}).get("approve", ())
        )
        well = {"Succeeded", "Failed"} if consented else {"Succeeded"}
        done = {key.partition(".")[0] for key, state in runs.items() if state in well}
        require(done >= {gate.lower() for gate in GATES}, f"promoted past its hooks: {runs}")
    if run.case.strategy == "automated":
        name = labels.automation_name(run.candidate_name())
        told = run.world.store.get(kinds.CONFIG_MAP, SPACE, name)["data"]["automation"]
        require(told == "Full", f"stable's answers are still {told}")


def _untouched(run: Run) -> None:
    """Require of the user's route that all but one rule's backends is as its manifest has it."""
    found = deepcopy((run.watch.route or {})["spec"])
    found["rules"][0]["backendRefs"] = ROUTE["spec"]["rules"][0]["backendRefs"]
    require(found == ROUTE["spec"], f"the user's route is another one: {found}")


def desired(run: Run) -> str:
    """Return the version that the spec names last."""
    found = "v2"
    for _, event in run.history:
        found = {Effect.RELEASES: "v3", Effect.REVERTS: "v1"}.get(event.effect, found)
    return found


def has_queued(run: Run) -> bool:
    """Whether v3 came while v2 was in mid-rollout, had to wait, and nothing else ended that."""
    effects = {event.effect: run.late[event.name] for _, event in run.history}
    return (
        run.case.queues
        and effects.get(Effect.RELEASES, "none") in {"stepping", "late", "committed"}
        and Effect.REVERTS not in effects
        and not run.watch.wiped
    )


def withdrawn(run: Run) -> bool:
    """Whether a person aborted once the spec named another: its rollout may be the one."""
    events = [event for _, event in run.history]
    begun = [event for event in events if _begins_another(run, event)]
    after = events[events.index(begun[0]) :] if begun else []
    return any(event.effect is Effect.ABORTS for event in after)


def _begins_another(run: Run, event: Event) -> bool:
    """Whether a rollout to v3 follows from it, or one back to v1."""
    back = event.effect is Effect.REVERTS and run.late[event.name] in {"committed", "over"}
    return back or event.effect is Effect.RELEASES


def chances(run: Run) -> tuple[bool, bool]:
    """Return whether v2 may be refused, and whether it may be promoted."""
    refused, promoted = run.case.bad, not run.case.bad
    for _, event in run.history:
        stage = run.late[event.name]
        if run.case.watched and stage == "committed" and event.effect in UNDOING:
            seen = len(run.history) == 1 and event.name in SEEN_AT_ONCE
            seen = seen and run.ended_s() - run.happened_s[event.name] > SEEN_WITHIN_S
            refused, promoted = True, promoted and not seen
        if event.effect is Effect.SKIPS and stage != "over":
            promoted = promoted or stage != "none"
        elif event.effect is Effect.ABORTS and stage in {*EARLY, "late"} - {"none"}:
            refused, promoted = True, promoted and stage == "late"
        elif event.effect is Effect.RETRIES and stage != "none":
            promoted = promoted or not run.case.bad
        if event.effect is Effect.HARMS and stage != "committed":
            refused, promoted = True, promoted and stage not in EARLY
        elif event.effect is Effect.STOPS and stage not in {"committed", "over"}:
            refused, promoted = True, promoted and stage != "none"
    return refused or gives_way(run), promoted


def gives_way(run: Run) -> bool:
    """Whether a new stable was struck before the Service pointed to it: its predecessor serves."""
    return any(
        run.after_v1[event.name]
        and (event.effect in {Effect.HARMS, Effect.STOPS} or event.name in UNREADY)
        for _, event in run.history
    )


def harmless(run: Run) -> bool:
    """Whether no client may have seen a failed request."""
    return not run.case.bad and all(event.effect in QUIET for _, event in run.history)
