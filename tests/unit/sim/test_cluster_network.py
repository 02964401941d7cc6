"""Endpoints, routes and the gateway's data plane of the simulated cluster."""

from unit.sim.cluster_bench import NAME, SPACE, B, Bench

from rampway.kube import kinds
from rampway.routers.gateway_api import read
from rampway.sim.cluster_behaviour import Behaviour, Surroundings


def test_endpoints_follow_readiness() -> None:
    """Each Service's slice holds the ready pods that it selects, and says which have to go."""
    bench = Bench()
    bench.up(weight_pct=10)
    names = {pod.name for pod in bench.pods()}
    assert bench.ready_endpoints(NAME) == bench.ready_endpoints(f"{NAME}-{bench.hash()}") == names
    assert bench.ready_endpoints(f"{NAME}-{bench.hash(B)}") == {p.name for p in bench.pods(B)}
    bench.cluster.delete_pod(SPACE, min(names))
    bench.cluster.run(2)
    assert bench.ready_endpoints(NAME) == names - {min(names)}


def test_slices_carry_the_services_labels() -> None:
    """The operator lists slices by its own label, which the real controller copies."""
    bench = Bench()
    bench.up()
    found = bench.store.list(kinds.ENDPOINT_SLICE, SPACE, {"rampway.dev/deployment": NAME})
    assert len(found) == 2


def test_b13_a_route_counts_when_its_generation_was_seen() -> None:
    """B13: until the gateway has seen a change, its conditions are those of the change before."""
    bench = Bench()
    bench.up(weight_pct=10)
    assert read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model()).accepted
    bench.split(50)
    assert not read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model()).accepted
    candidate = f"{NAME}-{bench.hash(B)}"
    assert bench.cluster.weights(SPACE, NAME) == {NAME: 90, candidate: 10}
    bench.cluster.run(0.5, dt_s=0.5)
    assert read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model()).accepted
    assert bench.cluster.weights(SPACE, NAME) == {NAME: 90, candidate: 10}
    bench.cluster.run(0.5, dt_s=0.5)
    assert bench.cluster.weights(SPACE, NAME) == {NAME: 50, candidate: 50}


def test_delays_in_a_row_do_not_grow_with_the_steps() -> None:
    """Half a second to the route's status and half a second to the proxy are one second."""
    bench = Bench()
    bench.up(weight_pct=10)
    bench.split(50)
    bench.cluster.run(1, dt_s=1)
    assert (bench.cluster.weights(SPACE, NAME) or {})[NAME] == 50


def test_b13_a_missing_service_is_told_and_costs_its_share() -> None:
    """B13: ResolvedRefs names the Service; its share of the requests fails until it is there."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.split(50)
    bench.cluster.run(20)
    route = read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model())
    words = f"Gateway eg: ResolvedRefs is False: Service {SPACE}/{NAME}-{bench.hash(B)} not found"
    assert (route.accepted, route.message) == (False, words)
    assert ledger.all.failed == ledger.reasons["no Service"]
    assert 0.3 < ledger.all.failed / ledger.all.total < 0.6
    bench.serve(B)
    bench.cluster.run(15)
    assert read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model()).accepted


def test_b13_a_refused_route_leaves_the_weights_as_accepted_last() -> None:
    """B13: a change that the Gateway refuses does not reach the data plane."""
    bench = Bench()
    bench.up(weight_pct=10)
    bench.cluster.refuse(SPACE, NAME, "hostname is taken")
    bench.split(50)
    bench.cluster.run(10)
    route = read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model())
    assert route.message == "Gateway eg: Accepted is False: hostname is taken"
    assert (bench.cluster.weights(SPACE, NAME) or {})[NAME] == 90
    bench.cluster.refuse(SPACE, NAME, "")
    bench.cluster.run(2)
    assert (bench.cluster.weights(SPACE, NAME) or {})[NAME] == 50


def test_a_route_made_anew_is_answered_anew() -> None:
    """A route of the same name and content gets its own status."""
    bench = Bench()
    bench.up()
    bench.store.delete(kinds.HTTP_ROUTE, SPACE, NAME)
    bench.split(0)
    bench.cluster.run(2)
    assert read(bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME), bench.model()).accepted


def test_without_a_route_clients_get_nothing() -> None:
    """Deleting the route ends the traffic, once the gateway has heard of it."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 50)
    bench.store.delete(kinds.HTTP_ROUTE, SPACE, NAME)
    bench.cluster.run(10)
    assert ledger.reasons["no route"] == ledger.all.failed > 0
    assert bench.cluster.weights(SPACE, NAME) is None


def test_a_service_without_ready_pods_fails_its_requests() -> None:
    """Requests to a candidate that is not ready are lost, and laid to its account."""
    bench = Bench()
    bench.behave(Behaviour(never_ready=True), B)
    bench.up(weight_pct=20)
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.run(20)
    lost = ledger.by_revision[bench.hash(B)]
    assert lost.failed == lost.total == ledger.reasons["no endpoints"] == ledger.all.failed > 0


def test_b6_a_promotion_done_well_loses_nothing() -> None:
    """B6: shift all, re-point stable, return to rest, drain the old: no request is lost."""
    bench = Bench()
    bench.up(weight_pct=50)
    ledger = bench.cluster.send(SPACE, NAME, 200)
    bench.split(100)
    bench.cluster.run(10)
    bench.point(B)
    bench.cluster.run(10)
    bench.split(0)
    bench.cluster.run(10)
    bench.scale(0)
    bench.cluster.run(10)
    assert ledger.all.failed == 0
    assert ledger.share(bench.hash(B), bench.clock.now_s - 5) == 1
    assert bench.pods() == []


def test_b6_scaling_down_before_the_shift_loses_requests() -> None:
    """B6 can fail: taking stable's pods away while it has traffic is seen by clients."""
    bench = Bench()
    bench.up(weight_pct=50)
    ledger = bench.cluster.send(SPACE, NAME, 200)
    bench.scale(0)
    bench.cluster.run(10)
    assert ledger.reasons["no endpoints"] > 0


def test_requests_between_crash_and_endpoints_are_lost() -> None:
    """A crashed pod gets requests until the gateway hears of it, and no longer."""
    bench = Bench(Surroundings(endpoints_delay_s=1, proxy_delay_s=1))
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.crash(SPACE, bench.pods()[0].name, "Error")
    bench.cluster.run(1)
    assert ledger.reasons["no answer"] > 0
    bench.cluster.run(3)
    after = ledger.all.failed
    bench.cluster.run(20)
    assert ledger.all.failed == after


def test_endpoints_delays_do_not_grow_with_the_steps() -> None:
    """Half a second to the slice and half a second to the proxy cost one second of requests."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.crash(SPACE, bench.pods()[0].name, "Error")
    bench.cluster.run(1)
    lost = ledger.all.failed
    assert lost > 0
    bench.cluster.run(1)
    assert ledger.all.failed == lost


def test_weights_split_the_requests() -> None:
    """A weight of 20 % is a share of 20 % within five standard errors."""
    bench = Bench()
    bench.up(weight_pct=20)
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.run(200)
    n = ledger.all.total
    share = ledger.share(bench.hash(B), 0)
    assert abs(share - 0.2) < 5 * (0.2 * 0.8 / n) ** 0.5
