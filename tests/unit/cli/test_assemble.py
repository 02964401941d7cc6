"""Which revision is what, who gets how much, and what is made of objects that may not be read."""

import pytest
from unit.cli import scenes

from rampway.cli.assemble import assemble
from rampway.cli.cluster import read
from rampway.cli.facts import Facts, Role
from rampway.kube import kinds
from rampway.kube.errors import Forbidden, Transient
from rampway.kube.kinds import Kind
from rampway.sim.apiserver import MemoryApi


def weights(facts: Facts) -> dict[str, tuple[Role, int, int | None]]:
    """Return role, share set and share observed, by revision."""
    return {r.revision: (r.role, r.set_pct, r.observed_pct) for r in facts.revisions}


async def test_weights_set_and_observed_may_differ() -> None:
    """The rollout's status says what was decided, the route what is carried."""
    scene = scenes.mid_rollout.but(route=scenes.route(scenes.V2, 10))
    assert weights(await scene.facts()) == {
        scenes.V1: (Role.STABLE, 75, 90),
        scenes.V2: (Role.CANDIDATE, 25, 10),
    }


async def test_at_the_promotion_the_candidate_is_stable_while_its_own_backend_carries_all() -> None:
    """B5: the route still names the candidate's Service when it has become stable."""
    scene = scenes.mid_rollout.but(
        rollouts=(scenes.rollout(phase="Promoting", weightPct=100),),
        workloads=(scenes.STABLE, scenes.workload("2", 3, promoted_s=1)),
        pods=(*scenes.STABLE_PODS, *(scenes.pod(scenes.V2, n) for n in range(3))),
        route=scenes.route(scenes.V2, 100),
    )
    assert weights(await scene.facts()) == {
        scenes.V2: (Role.STABLE, 100, 100),
        scenes.V1: (Role.OLD, 0, 0),
    }


async def test_b16_refused_beside_others_who_serve_it_has_nothing() -> None:
    """B16: nothing of the model is stable, and the revision that was refused is no first one."""
    scene = scenes.rolled_back_by_check
    alone = scene.but(workloads=(scenes.workload("2", 1),), status=scene.status | {"stable": None})
    found = weights(await alone.facts())
    assert {revision: one[:2] for revision, one in found.items()} == {
        scenes.V2: (Role.ROLLED_BACK, 0)
    }


async def test_without_a_route_nothing_is_observed() -> None:
    """A share that nobody carries is not 0 %: it is not known."""
    facts = await scenes.healthy.but(route=None).facts()
    assert weights(facts) == {scenes.V1: (Role.STABLE, 100, None)}


async def test_the_running_rollout_is_shown_before_a_later_one_that_ended() -> None:
    """After a crash of the operator two may be there."""
    scene = scenes.mid_rollout.but(
        rollouts=(
            scenes.rollout(1, phase="Superseded"),
            scenes.rollout(2, phase="Stepping"),
            scenes.rollout(3, phase="Promoted"),
        )
    )
    facts = await scene.facts()
    assert facts.rollout is not None
    assert facts.rollout.spec.attempt == 2


async def test_requests_of_another_step_are_not_shown() -> None:
    """A checkpoint written before the step began knows nothing of it."""
    scene = scenes.mid_rollout.but(
        rollouts=(
            scenes.rollout(
                phase="Stepping", step=scenes.AT_STEP_2, evidence=scenes.evidence(4, 0, 99)
            ),
        )
    )
    facts = await scene.facts()
    assert facts.step_requests is None
    assert facts.evidence_s == pytest.approx(scenes.NOW_S - 4)


@pytest.mark.parametrize(
    "kind", [kinds.MODEL_ROLLOUT, kinds.DEPLOYMENT, kinds.POD, kinds.HTTP_ROUTE]
)
async def test_what_one_has_no_right_to_read_is_left_out_and_named(kind: Kind) -> None:
    """B37: a reader of ModelDeployments alone still gets a view."""
    api = MemoryApi(scenes.mid_rollout.store())
    refusal = Forbidden(f"list {kind.kind} ml: 403: no right")
    api.fail_next(refusal, predicate=lambda call: call.kind == kind)
    facts = assemble(await read(api, scenes.SPACE, scenes.NAME, scenes.NOW_S))
    assert facts.notes == (str(refusal),)
    shown = {r.revision: (r.role, r.ready) for r in facts.revisions}
    assert shown == {scenes.V1: (Role.STABLE, 3), scenes.V2: (Role.CANDIDATE, 1)}


async def test_a_cluster_that_is_away_is_no_missing_right() -> None:
    """Half a view because of a hiccup would mislead."""
    api = MemoryApi(scenes.mid_rollout.store())
    api.fail_next(Transient("list Pod ml: 503"), predicate=lambda call: call.kind == kinds.POD)
    with pytest.raises(Transient):
        await read(api, scenes.SPACE, scenes.NAME, scenes.NOW_S)


async def test_a_rollout_that_cannot_be_understood_is_named() -> None:
    """The rest is shown."""
    broken = scenes.rollout(phase="Stepping")
    broken["spec"]["policy"] = {"steps": [{"name": "x", "teleport": "100%"}]}
    facts = await scenes.mid_rollout.but(rollouts=(broken,)).facts()
    assert facts.rollout is None
    assert "spec.policy.steps[0].teleport: unknown field" in facts.notes[0]


async def test_the_route_is_the_one_that_the_spec_names() -> None:
    """With routeRef the split is read from the user's own HTTPRoute, whatever its name."""
    route = scenes.route(scenes.V2, 25)
    route["metadata"]["name"] = "shop"
    spec = scenes.mid_rollout.spec | {"traffic": {"type": "RouteRef", "routeRef": {"name": "shop"}}}
    facts = await scenes.mid_rollout.but(spec=spec, route=route).facts()
    assert weights(facts)[scenes.V2] == (Role.CANDIDATE, 25, 25)
