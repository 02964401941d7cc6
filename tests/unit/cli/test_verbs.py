"""What people type, what is written for it, and what they are told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from typer.testing import CliRunner
from unit.cli import scenes
from unit.cli.objects import Obj
from unit.cli.scenes import NAME, SPACE, V1, V2, Scene

from rampway.api.parse import parse_deployment
from rampway.cli import cluster
from rampway.cli.app import app
from rampway.core.model.revision import revision_hash
from rampway.kube import kinds
from rampway.kube.base import KubeApi
from rampway.kube.errors import Forbidden
from rampway.sim.api_faults import Call
from rampway.sim.apiserver import MemoryApi, Store


@dataclass
class Typed:
    """What came of a command line: exit code, both outputs, and the objects after it."""

    code: int
    said: str
    refused: str
    store: Store

    def spec(self, attempt: int = 1) -> Obj:
        """Return the spec of a rollout."""
        name = f"{NAME}-{V2}-{attempt}"
        found: Obj = self.store.get(kinds.MODEL_ROLLOUT, SPACE, name)["spec"]
        return found

    def deployment(self) -> Obj:
        """Return the ModelDeployment."""
        return self.store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME)


Type = Callable[..., Typed]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a command against a scene's objects, as alice.

    `meanwhile` happens once, right before the first write.
    """

    async def alice(_api: KubeApi) -> str:
        return "alice"

    def go(scene: Scene, *words: str, meanwhile: Callable[[Store], Any] | None = None) -> Typed:
        store = scene.store()
        pending = [meanwhile] if meanwhile else []

        class Racing(MemoryApi):
            async def patch(self, *args: Any, **named: Any) -> Obj:
                while pending:
                    pending.pop()(self.store)
                return await super().patch(*args, **named)

        @asynccontextmanager
        async def connected(_self: cluster.Cluster) -> AsyncIterator[KubeApi]:
            yield Racing(store)

        monkeypatch.setattr(cluster, "whoami", alice)
        monkeypatch.setattr(cluster.Cluster, "namespace", lambda _self, named: named or SPACE)
        monkeypatch.setattr(cluster.Cluster, "api", connected)
        result = CliRunner().invoke(app, words)
        return Typed(result.exit_code, result.stdout, result.stderr, store)

    return go


def status_of(store: Store, **changes: Any) -> None:
    """Let the operator write into the running rollout's status."""
    name = f"{NAME}-{V2}-1"
    store.patch(kinds.MODEL_ROLLOUT, SPACE, name, {"status": changes}, subresource="status")


def test_b11_approving_writes_who_which_step_and_why(type_: Type) -> None:
    """B11: without a step, the one that waits; a message goes along."""
    done = type_(scenes.waiting_for_approval, "approve", NAME, "-m", "all classes are fine")
    assert done.code == 0, done.refused
    assert done.spec()["requests"] == {
        "approve": [{"step": "look", "by": "alice", "message": "all classes are fine"}]
    }
    assert done.said == (
        f"approved step look of {NAME}-{V2}-1, candidate {V2} (version 2), on record for alice\n"
        "next: step 4/4 half: 50%\n"
    )


def test_an_approval_ahead_counts_when_it_is_its_turn(type_: Type) -> None:
    """Named, a step may be approved before the rollout comes to it; others' requests stay."""
    done = type_(scenes.mirroring, "approve", NAME, "look")
    assert done.code == 0, done.refused
    assert "it counts when the rollout comes to it; now it is at step 1/4 shadow" in done.said


def test_b11_an_approval_leaves_those_before_it(type_: Type) -> None:
    """B11: a second approval is one more, and the first keeps its name."""
    done = type_(scenes.stopped_by_check, "approve", NAME, "--attempt", "2")
    assert done.code == 0, done.refused
    assert [(one["step"], one["by"]) for one in done.spec(2)["requests"]["approve"]] == [
        ("look", "bob"),
        ("half", "alice"),
    ]
    assert "step half goes on although a check failed" in done.said


def test_a_failed_hook_asks_about_the_step_that_it_precedes(type_: Type) -> None:
    """The rollout is still in the step before; consent to the next one lets it go on."""
    done = type_(scenes.hook_failed, "approve", NAME)
    assert done.code == 0, done.refused
    assert [one["step"] for one in done.spec()["requests"]["approve"]] == ["look", "half"]
    assert "next: it goes on with step half although a hook failed" in done.said


def test_promote_abort_and_retry_are_requests(type_: Type) -> None:
    """Each writes its own field and says what follows."""
    promoted = type_(scenes.mid_rollout, "promote", NAME, "-m", "urgent")
    assert promoted.spec()["requests"] == {"promote": {"by": "alice", "message": "urgent"}}
    assert "skipping 2 of 3 steps" in promoted.said
    aborted = type_(scenes.mid_rollout, "abort", NAME)
    assert aborted.spec()["requests"] == {"abort": {"by": "alice"}}
    assert f"all traffic goes back to stable {V1} (version 1) at once" in aborted.said
    again = type_(scenes.rolled_back_by_check, "retry", NAME)
    assert again.spec()["requests"] == {"retry": {"by": "alice"}}
    assert "next: attempt 2 begins from the first step\n" in again.said


def test_b9_abort_in_the_watch_says_who_takes_over(type_: Type) -> None:
    """B9: the old revision is warm."""
    done = type_(scenes.watching, "abort", NAME)
    assert f"the old revision {V1} (version 1) takes all requests back" in done.said


REFUSED = {
    "nothing waits": (
        scenes.mirroring,
        ("approve",),
        "3 min more; to approve one ahead: kubectl rampway approve digits look",
    ),
    "nothing runs": (
        scenes.promoted,
        ("approve",),
        f"nothing to approve: no rollout of digits runs; the last one, {NAME}-{V2}-1, is Promoted",
    ),
    "never any": (scenes.healthy, ("abort",), "nothing to abort: no rollout of digits runs"),
    "no such step": (
        scenes.waiting_for_approval,
        ("approve", "lok"),
        "has no step lok; its steps are shadow, five, look, half",
    ),
    "over": (scenes.stopped_by_check, ("approve", "five"), f"step five of {NAME}-{V2}-2 is over"),
    "asks for none": (
        scenes.mirroring,
        ("approve", "half"),
        "asks for no approval, and no failed check stops it",
    ),
    "another attempt": (
        scenes.waiting_for_approval,
        ("approve", "--attempt", "7"),
        "attempt 7 is not the one that it is about: that is now attempt 1",
    ),
    "promoted already": (scenes.watching, ("promote",), "is promoted already, and watched"),
    "nothing to retry": (
        scenes.promoted,
        ("retry",),
        "was not rolled back: it is Promoted",
    ),
    "retry while it runs": (scenes.mid_rollout, ("retry",), "runs (Stepping)"),
    "never rolled out": (scenes.healthy, ("retry",), "no rollout of digits was ever made"),
    "nothing before": (
        scenes.healthy.but(workloads=scenes.healthy.workloads[:1]),
        ("undo",),
        f"no earlier revision to go back to: {V1} is the only one",
    ),
    "unknown revision": (
        scenes.watching,
        ("undo", "--to", "9"),
        f"no kept revision is called 9. Kept are: {V2} (version 2); {V1} (version 1)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(type_: Type, name: str) -> None:
    """Exit code 1, nothing written, and what to do instead."""
    scene, (verb, *words), why = REFUSED[name]
    done = type_(scene, verb, NAME, *words)
    assert done.code == 1
    assert why in done.refused
    assert not done.said
    before = scene.store().list(kinds.MODEL_ROLLOUT, SPACE)
    assert done.store.list(kinds.MODEL_ROLLOUT, SPACE) == before


def moved_on(scene: Scene, **spec: Any) -> Scene:
    """Return a scene whose spec was changed."""
    return scene.but(spec=scene.spec | spec)


def test_b26_a_retry_is_about_what_the_spec_names(type_: Type) -> None:
    """B26: another revision in the spec, or a changed one, is tried by itself."""
    scene = moved_on(scenes.rolled_back_by_check, model={"uri": "http://store/digits/3"})
    refused = type_(scene, "retry", NAME).refused
    assert f"not {V2} (version 2), which was rolled back; apply that one again" in refused


def test_b26_retries_are_limited_by_the_policy(type_: Type) -> None:
    """B26: beyond maxRetries the answer is no, as the operator would say."""
    (ended,) = scenes.rolled_back_by_check.rollouts
    policy = ended["spec"]["policy"] | {"rollback": {"maxRetries": 0}}
    ended = ended | {"spec": ended["spec"] | {"policy": policy}}
    done = type_(scenes.rolled_back_by_check.but(rollouts=(ended,)), "retry", NAME)
    assert "retried 0 times, which is all that rollback.maxRetries (0)" in done.refused


def test_what_was_asked_already_is_told_and_not_written_again(type_: Type) -> None:
    """Twice is no mistake: exit code 0, and who was first."""
    (began,) = scenes.mid_rollout.rollouts
    requests = {"abort": {"by": "bob", "message": "bad"}}
    began = began | {"spec": began["spec"] | {"requests": requests}}
    done = type_(scenes.mid_rollout.but(rollouts=(began,)), "abort", NAME)
    assert done.code == 0
    assert "was aborted already by bob, “bad”" in done.said
    assert done.spec()["requests"] == requests


def test_a_write_of_the_operator_in_between_changes_nothing(type_: Type) -> None:
    """Evidence is written about every 30 s: the same step still waits, so the yes still holds."""
    done = type_(
        scenes.waiting_for_approval, "approve", NAME,
        meanwhile=lambda store: status_of(store, checkedAt=scenes.ago(0)),
    )  # fmt: skip
    assert done.code == 0, done.refused
    assert done.spec()["requests"]["approve"][0]["step"] == "look"


def test_b11_nobody_agrees_to_what_they_have_not_seen(type_: Type) -> None:
    """B11: a rollout that moved on between look and write is not approved, nor promoted."""

    def rolls_back(store: Store) -> None:
        status_of(store, phase="RollingBack", reason="CheckFailed", message="check errors")

    for verb in ("approve", "promote"):
        done = type_(scenes.waiting_for_approval, verb, NAME, meanwhile=rolls_back)
        assert done.code == 1
        assert "too late to" in done.refused
        assert not done.spec().get("requests")

    def next_step(store: Store) -> None:
        step = {"index": 3, "name": "half", "total": 4}
        status_of(store, step=step, reason="StepRunning", message="step half holds")

    aborted = type_(scenes.waiting_for_approval, "abort", NAME, meanwhile=next_step)
    assert aborted.spec()["requests"] == {"abort": {"by": "alice"}}  # that holds anywhere
    done = type_(scenes.waiting_for_approval, "promote", NAME, meanwhile=next_step)
    assert "digits moved on in the meantime: step half holds. Look again" in done.refused
    assert not done.spec().get("requests")


def test_the_name_on_record_is_the_one_that_the_api_server_kept(
    type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admission policy may stamp another name than the client wrote."""
    real = Store.patch

    def stamped(self: Store, *args: Any, **named: Any) -> Obj:
        patch = args[3]
        if "spec" in patch and "requests" in patch["spec"]:
            patch["spec"]["requests"]["abort"]["by"] = "alice@example"
        return real(self, *args, **named)

    monkeypatch.setattr(Store, "patch", stamped)
    assert "on record for alice@example\n" in type_(scenes.mid_rollout, "abort", NAME).said


@pytest.mark.parametrize("stamps", [True, False])
async def test_who_one_is_comes_from_the_api_server(stamps: bool) -> None:
    """A SelfSubjectReview; where that is not answered, nobody's name is invented."""

    class Asked(MemoryApi):
        async def create(self, kind: kinds.Kind, obj: Obj, *, dry_run: bool = False) -> Obj:
            assert (kind.kind, dry_run) == ("SelfSubjectReview", False)
            if not stamps:
                raise Forbidden("create SelfSubjectReview: 403: no")
            return obj | {"status": {"userInfo": {"username": "alice"}}}

    api = Asked(scenes.healthy.store())
    assert await cluster.whoami(api) == ("alice" if stamps else "")


def test_b9_undo_in_the_watch_is_said_to_be_at_once(type_: Type) -> None:
    """B9: the spec gets the old revision's model, server and version back."""
    done = type_(scenes.watching, "undo", NAME)
    assert done.code == 0, done.refused
    spec = parse_deployment(done.deployment()).spec
    assert revision_hash(spec) == V1
    assert spec.info.version == "1"
    assert "takes all requests back at once, from its warm pods" in done.said
    assert "the next sync brings back what it has" in done.said


def test_b7_an_abort_frees_the_queue_and_says_so(type_: Type) -> None:
    """B7: not a word of trying again: what waits is next."""
    done = type_(scenes.queued, "abort", NAME)
    waits = f"revision {scenes.V3} (version 3), which waits, is rolled out next"
    assert f"It counts as a rollback: {waits}\n" in done.said


def test_b7_undo_with_a_queue_says_what_it_does(type_: Type) -> None:
    """B7: to stable at once; to the candidate it empties the queue; to a third it waits."""
    done = type_(scenes.queued, "undo", NAME)
    assert f"{V1} (version 1), which is stable, gets all requests at once" in done.said
    emptied = f"{NAME}-{V2}-1 goes on with {V2} (version 2), and no other revision waits for it"
    assert emptied in type_(scenes.queued, "undo", NAME, "--to", "2").said
    assert emptied in type_(scenes.queued_in_watch, "undo", NAME).said
    older = scenes.queued.but(workloads=(*scenes.queued.workloads, scenes.workload("0", 0)))
    said = type_(older, "undo", NAME, "--to", scenes.digest("0")).said
    assert f"once {NAME}-{V2}-1 has ended (onNewRevision: Queue)" in said


def test_undo_while_a_rollout_runs_goes_back_to_stable(type_: Type) -> None:
    """B8: no analysis, and nothing else of the spec changes."""
    done = type_(scenes.mid_rollout, "undo", NAME)
    spec = done.deployment()["spec"]
    assert spec["model"] == {"uri": "http://store/digits/1"}
    assert spec["replicas"] == 3
    assert f"{NAME}-{V2}-1 ends and {V1} (version 1), which is stable, gets all" in done.said


def test_undo_at_rest_is_a_rollout_to_the_old_content(type_: Type) -> None:
    """By default to the one that served before; a dry run changes nothing."""
    scene = scenes.promoted.but(
        workloads=(scenes.workload("1", 0, promoted_s=9000), scenes.workload("2", 3, 3600))
    )
    tried = type_(scene, "undo", NAME, "--dry-run")
    assert tried.said.startswith("not done (dry run): set spec.model, spec.server and spec.info ")
    assert "\nthen: a rollout to " in tried.said
    assert tried.deployment()["spec"]["model"] == {"uri": "http://store/digits/2"}
    done = type_(scene, "undo", NAME)
    assert revision_hash(parse_deployment(done.deployment()).spec) == V1
    assert f"a rollout to {V1} (version 1) begins, with the policy's 3 steps" in done.said
    by_version = type_(scene, "undo", NAME, "--to", "1")
    by_hash = type_(scene, "undo", NAME, "--to", V1[:5])
    assert by_version.said == by_hash.said == done.said


def test_undo_after_a_rollback_moves_nothing(type_: Type) -> None:
    """The spec names stable again, which serves already."""
    done = type_(scenes.rolled_back_by_check, "undo", NAME)
    assert f"{V1} (version 1) is stable already: no request changes its way" in done.said


def test_undo_only_of_what_was_seen(type_: Type) -> None:
    """Somebody applies in between: what would happen now is another thing, so it is not done."""

    def ends(store: Store) -> None:
        status_of(store, phase="Promoted", endedAt=scenes.ago(0))
        store.patch(kinds.MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"replicas": 4}})

    done = type_(scenes.watching, "undo", NAME, meanwhile=ends)
    assert done.code == 1
    assert "digits moved on in the meantime; now: a rollout to" in done.refused
    assert done.deployment()["spec"]["model"] == {"uri": "http://store/digits/2"}


def test_without_the_right_it_says_which(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4 and the right to ask for."""

    async def forbidden(*_: Any, **__: Any) -> Obj:
        raise Forbidden("patch ModelRollout ml/x: 403: no")

    monkeypatch.setattr(MemoryApi, "patch", forbidden)
    done = type_(scenes.mid_rollout, "abort", NAME)
    assert done.code == 4
    assert "you need the right to patch modelrollouts.rampway.dev" in done.refused


def test_each_verb_patches_only_what_it_read(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a person carries the version that it was decided upon."""
    calls: list[Call] = []
    real = Store.patch

    def noted(self: Store, *args: Any, **named: Any) -> Obj:
        if "subresource" not in named or named["subresource"] is None:
            calls.append(args[3])
        return real(self, *args, **named)

    scene = replace(scenes.mid_rollout, generation=1)
    monkeypatch.setattr(Store, "patch", noted)
    for verb in ("promote", "abort", "pause", "undo"):
        calls.clear()
        assert type_(scene, verb, NAME).code == 0
        (patch,) = calls
        assert "resourceVersion" in str(patch), verb
