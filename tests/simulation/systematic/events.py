"""Everything that can happen to a rollout, and the ends that each of them allows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import inf

from simulation.stage import NAME
from simulation.systematic.invariants import LAST_STEP
from simulation.systematic.run import BAD, Run, answer, model
from simulation.systematic.strategies import HOOKS

from rampway.api import labels
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.observation import HookRun
from rampway.kube import kinds
from rampway.kube.errors import Conflict, KubeError, Transient
from rampway.metrics.memory import Mode
from rampway.sim.api_faults import Call, Fault, Killed
from rampway.sim.world import SPACE

SHORT_S = 8.0
HOOK_NAMES = [hook["name"] for hook in HOOKS]
HOOKS_REFUSE = "hooks-refuse"
OUTAGE_S = 30.0


class Effect(StrEnum):
    """What an event may change of the end."""

    PASSES = "passes"  # it ends by itself: the end is as without it
    LOSES = "loses"  # the same, and clients may see failed requests on its account
    HARMS = "harms"  # the candidate is bad from now on
    STOPS = "stops"  # containers of the candidate that start from now on never become ready
    RELEASES = "releases"  # the spec names v3
    REVERTS = "reverts"  # the spec names v1
    SKIPS = "skips"  # a person skips the steps that are left
    ABORTS = "aborts"  # a person puts everything back
    RETRIES = "retries"  # a person asks to try a refused candidate again
    BEGINS = "begins"  # the ModelDeployment is another one: a first apply


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a rollout, of any strategy or of the one it is about."""

    name: str
    effect: Effect
    apply: Callable[[Run], None]
    strategy: str = ""


EVENTS: dict[str, Event] = {}


def event(name: str, effect: Effect = Effect.PASSES, strategy: str = "") -> Callable[
    [Callable[[Run], None]], Callable[[Run], None]
]:  # fmt: skip
    """Register a function as an event."""

    def register(apply: Callable[[Run], None]) -> Callable[[Run], None]:
        EVENTS[name] = Event(name, effect, apply, strategy)
        return apply

    return register


# Prometheus


def _source(mode: Mode, seconds: float = SHORT_S) -> Callable[[Run], None]:
    def apply(run: Run) -> None:
        run.source.mode = mode
        run.later(seconds, lambda run: setattr(run.source, "mode", Mode.UP))

    return apply


event("prometheus-down")(_source(Mode.DOWN, 10))
event("prometheus-500")(_source(Mode.UNREACHABLE))
event("prometheus-partial")(_source(Mode.PARTIAL))
event("prometheus-nan")(_source(Mode.NAN))


@event("prometheus-slow")
def prometheus_slow(run: Run) -> None:
    """Looks take eight seconds, and what they bring is five seconds old."""
    run.source.late_s, run.world.look_interval_s = 5.0, 8.0

    def mend(run: Run) -> None:
        run.source.late_s, run.world.look_interval_s = 0.0, 1.0

    run.later(16, mend)


@event("prometheus-several-series")
def prometheus_several(run: Run) -> None:
    """The user's query gives two series for a while."""
    twice = Answer(AnswerKind.SEVERAL_SERIES, message="2 series")
    run.source.answers = lambda _query, _at_s: twice
    run.later(SHORT_S, lambda run: setattr(run.source, "answers", answer))


# The operator


def _kill(run: Run, back_s: float) -> None:
    """Kill the operator at this very call, or between two passes."""
    run.world.restart_s = back_s
    if run.in_call:
        words = "killed after a write"
        run.world.api.faults.kill(Killed(words))
        raise Killed(words)
    run.world.restarts += 1
    run.world.kill(back_s)


@event("operator-killed")
def operator_killed(run: Run) -> None:
    """It is back in the next second."""
    _kill(run, 1.0)


@event("operator-killed-10s")
def operator_killed_10s(run: Run) -> None:
    """It is back after ten seconds."""
    _kill(run, 10.0)


@event("operator-killed-before-next-write")
def operator_killed_before(run: Run) -> None:
    """It has decided to write, and dies."""
    run.world.restart_s = 1.0
    run.world.api.crash_after(1, when="before")


# The API server


def _outage(
    run: Run,
    error: KubeError,
    seconds: float,
    *,
    writes_only: bool = False,
    after: bool = False,
) -> None:
    fault = Fault(error, 0, lambda call: call.writes or not writes_only,
                  "after" if after else "before", inf)  # fmt: skip
    run.world.api.faults.add(fault)
    run.later(seconds, partial(_end, fault))


def _end(fault: Fault, run: Run) -> None:
    run.world.api.faults.end(fault)


@event("api-stopped-30s")
def api_stopped(run: Run) -> None:
    """Nobody answers, and nothing is heard."""
    _outage(run, Transient("connection refused"), OUTAGE_S)
    run.world.deaf = True
    run.later(OUTAGE_S, lambda run: run.world.listen_again())


@event("api-429")
def api_429(run: Run) -> None:
    """Every call is asked to come again later."""
    _outage(run, Transient("429: too many requests", 1.0), SHORT_S)


@event("api-500")
def api_500(run: Run) -> None:
    """Every write fails."""
    _outage(run, Transient("500: internal error"), SHORT_S, writes_only=True)


@event("api-500-took-effect")
def api_500_after(run: Run) -> None:
    """Every write takes effect, and is answered with an error."""
    _outage(run, Transient("504: timed out"), SHORT_S, writes_only=True, after=True)


@event("api-401")
def api_401(run: Run) -> None:
    """The token is refused until the rotated one is read."""
    _outage(run, Transient("401: unauthorized"), SHORT_S)


@event("api-409")
def api_409(run: Run) -> None:
    """The next three writes meet a conflict."""
    run.world.api.fail_next(Conflict("409"), predicate=lambda call: call.writes, times=3)


def _hang(run: Run, effect_after_s: float | None) -> None:
    """Let the next write hang until the client gives up; it may take effect all the same."""
    struck = partial(_struck, run, effect_after_s)
    run.world.api.fail_next(Transient("timed out"), predicate=struck)


def _struck(run: Run, effect_after_s: float | None, call: Call) -> bool:
    if not call.writes:
        return False
    run.world.stalled_until_s = run.world.clock() + SHORT_S
    if effect_after_s is not None:
        run.later(effect_after_s, partial(_land, call))
    return True


def _land(call: Call, run: Run) -> None:
    store = run.world.store
    try:
        if call.verb == "create":
            store.create(call.kind, call.body)
        elif call.verb == "patch":
            store.patch(
                call.kind, call.namespace, call.name, call.body, subresource=call.subresource
            )
        else:
            store.delete(call.kind, call.namespace, call.name, **(call.body or {}))
    except KubeError:
        return


@event("api-hangs")
def api_hangs(run: Run) -> None:
    """The next write is never answered and never done."""
    _hang(run, None)


@event("api-hangs-then-writes")
def api_hangs_then_writes(run: Run) -> None:
    """The next write is done while its client still waits."""
    _hang(run, 3.0)


@event("watch-cut")
def watch_cut(run: Run) -> None:
    """Nothing is heard for 15 s; then everything is listed."""
    run.world.deaf = True
    run.later(15, lambda run: run.world.listen_again())


@event("watch-late")
def watch_late(run: Run) -> None:
    """For 20 s everything is heard 10 s late."""
    run.world.watch_lag_s = 10.0
    run.later(20, lambda run: setattr(run.world, "watch_lag_s", 0.0))


# The candidate


def _behave(**how: object) -> Callable[[Run], None]:
    def apply(run: Run) -> None:
        run.behave(2, replace(run.how(2), **how))  # type: ignore[arg-type]

    return apply


def _harm(name: str, how: Mapping[str, object]) -> None:
    def apply(run: Run) -> None:
        if run.stage() in {"none", "starting", "stepping"}:
            run.watch.never.add(run.hashes[1])
        _behave(**how)(run)

    event(name, Effect.HARMS)(apply)


_harm("candidate-errors", {"error_rate": BAD.error_rate})
_harm("candidate-slow", {"slowdown": 4.0})
_harm("candidate-crash-loops", {"crash_every_s": 1.0})
_harm("candidate-out-of-memory", {"oom_after_requests": 300})
event("candidate-never-ready", Effect.STOPS)(_behave(never_ready=True))
event("candidate-image-pull-fails", Effect.STOPS)(_behave(image_pull_error="no such image"))
event("candidate-model-fetch-fails", Effect.STOPS)(_behave(fails_to_load="404: no such model"))


@event("candidate-unschedulable-20s")
def candidate_unschedulable(run: Run) -> None:
    """No node takes its pods for a while."""
    _behave(unschedulable_until_s=run.now_s + 20)(run)


# Pods


@event("stable-unready-10s", Effect.LOSES)
def stable_unready(run: Run) -> None:
    """No pod of stable is ready for ten seconds."""
    number = 1 + run.hashes.index(run.watch.stable) if run.watch.stable else 1
    run.behave(number, replace(run.how(number), unready_until_s=run.now_s + 10))


def _delete_pods(run: Run, number: int, most: int) -> None:
    for pod in run.world.cluster.pods(SPACE, run.hashes[number - 1])[:most]:
        if pod.ends_at_s is None:
            run.world.cluster.delete_pod(SPACE, pod.name)


event("candidate-pod-deleted", Effect.LOSES)(lambda run: _delete_pods(run, 2, 1))
event("candidate-pods-deleted", Effect.LOSES)(lambda run: _delete_pods(run, 2, 9))
event("stable-pod-deleted", Effect.LOSES)(lambda run: _delete_pods(run, 1, 1))


# The route


@event("route-edited", Effect.LOSES)
def route_edited(run: Run) -> None:
    """Somebody gives the candidate nearly everything, or stable another weight."""
    route, backends = run.watch.route, run.watch.backends()
    if run.watch.live:
        _edit_selector(run)
    if route is None:
        return
    refs = [dict(ref) for ref in route["spec"]["rules"][0]["backendRefs"]]
    for ref in refs:
        ref["weight"] = 90 if len(refs) > 1 and ref["name"] != NAME else 10
    if len(backends) == 1 and run.candidate_name() in run.watch.objects(kinds.SERVICE):
        refs.append(dict(refs[0]) | {"name": run.candidate_name(), "weight": 90})
    patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": refs}]
    run.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, patch)
    run.watch.edited()


def _edit_selector(run: Run) -> None:
    """The same without a gateway: the Service has the candidate's pods alone, or all there are."""
    selector = {labels.DEPLOYMENT: NAME}
    if run.candidate_name() in run.watch.objects(kinds.DEPLOYMENT):
        selector[labels.REVISION] = run.hashes[1]
    patch = [{"op": "replace", "path": "/spec/selector", "value": selector}]
    run.world.store.patch(kinds.SERVICE, SPACE, labels.live_name(NAME), patch)
    run.watch.edited()


@event("route-deleted", Effect.LOSES)
def route_deleted(run: Run) -> None:
    """Somebody deletes the route, or the Service that is it."""
    if run.watch.live:
        run.world.store.delete(kinds.SERVICE, SPACE, labels.live_name(NAME))
    if run.watch.route is not None:
        run.world.store.delete(kinds.HTTP_ROUTE, SPACE, NAME)
        if run.case.users_route:  # who else would make it?
            run.later(SHORT_S, lambda run: run.give_route())


# The spec


def _spec(**fields: object) -> Callable[[Run], None]:
    def apply(run: Run) -> None:
        if run.watch.deployment is not None:
            run.world.apply(NAME, dict(fields))

    return apply


def _kept_spec(run: Run, **fields: object) -> None:
    """Change the spec now, or once the ModelDeployment is there again."""
    run.wanted |= fields
    _spec(**fields)(run)


event("new-revision", Effect.RELEASES)(lambda run: _kept_spec(run, model=model(3)))
event("revert", Effect.REVERTS)(lambda run: _kept_spec(run, model=model(1)))
event("replicas-3")(lambda run: _kept_spec(run, replicas=3))


@event("replicas-1")
def fewer_replicas(run: Run) -> None:
    """One pod is enough; where pods are shares, it makes a step impossible, so for a while only."""
    _kept_spec(run, replicas=1)
    if run.watch.by_pods:
        run.later(20, lambda run: _kept_spec(run, replicas=2))


@event("replicas-0-for-20s", Effect.LOSES)
def zero_for_a_while(run: Run) -> None:
    """Nothing is to serve for a while."""
    _kept_spec(run, replicas=0)
    run.later(20, lambda run: _kept_spec(run, replicas=2))


@event("pause")
def pause(run: Run) -> None:
    """Nothing may advance for a while."""
    _kept_spec(run, paused=True)
    run.later(SHORT_S, lambda run: _kept_spec(run, paused=False))


# People


@event("approved-beforehand")
def approved(run: Run) -> None:
    """Somebody consents to the last step, whether it asks or not."""
    run.ask(approve=[{"step": LAST_STEP, "by": "ann"}])


@event("promoted-by-a-person", Effect.SKIPS)
def promoted(run: Run) -> None:
    """Somebody skips what is left: whether harm would be seen in time is no matter of course."""
    run.watch.never.clear()
    run.ask(promote={"by": "ann"})


event("aborted-by-a-person", Effect.ABORTS)(lambda run: run.ask(abort={"by": "ann"}))
event("retried-by-a-person", Effect.RETRIES)(lambda run: run.ask(retry={"by": "ann"}))


@event("deleted-and-applied", Effect.BEGINS)
def deleted_and_applied(run: Run) -> None:
    """The ModelDeployment is deleted, and applied again once its objects are gone."""
    _delete(run)
    run.later(3, _apply_again)


@event("deleted-and-applied-at-once", Effect.BEGINS)
def deleted_and_applied_at_once(run: Run) -> None:
    """The ModelDeployment is deleted and applied again before the garbage collector comes."""
    _delete(run)
    _apply_again(run)


def _delete(run: Run) -> None:
    if run.watch.deployment is not None:
        run.spec = dict(run.watch.deployment["spec"])
        run.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)


def _apply_again(run: Run) -> None:
    if run.watch.deployment is None:
        run.world.apply(NAME, run.spec | run.wanted)


# Hooks


def _answered(found: HookRun, run: Run) -> None:
    run.world.calls.answers |= dict.fromkeys(HOOK_NAMES, found)


def _hooks(found: HookRun) -> Callable[[Run], None]:
    def apply(run: Run) -> None:
        _answered(found, run)
        run.later(SHORT_S, partial(_answered, HookRun("Succeeded")))

    return apply


event(HOOKS_REFUSE, strategy="hooked")(_hooks(HookRun("Failed", "answered 400")))
event("hooks-hang", strategy="hooked")(_hooks(HookRun("Running")))


# Status


def _wipe(run: Run, *which: kinds.Kind) -> None:
    run.watch.wiped = True
    for kind in which:
        for (namespace, name), obj in list(run.world.store.view(kind).items()):
            gone = {"status": dict.fromkeys(obj.get("status") or {})}
            run.world.store.patch(kind, namespace, name, gone, subresource="status")


event("status-wiped")(lambda run: _wipe(run, kinds.MODEL_DEPLOYMENT))
event("rollout-status-wiped")(lambda run: _wipe(run, kinds.MODEL_ROLLOUT))
event("all-status-wiped")(lambda run: _wipe(run, kinds.MODEL_DEPLOYMENT, kinds.MODEL_ROLLOUT))
