"""Mirrored requests, and requests by headers, in the simulated data plane."""

import pytest
from unit.sim.cluster_bench import NAME, SPACE, B, Bench

from rampway.api.steps import HeaderMatch, MatchType
from rampway.core.traffic.split import Split
from rampway.kube import kinds
from rampway.routers.gateway_api import manifest
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.cluster_rules import Headers, met, rules_of

BETA = HeaderMatch(name="X-Beta", value="yes")


def put(bench: Bench, **parts: object) -> None:
    """Let the route carry this split, with B as the candidate."""
    split = Split(f"{NAME}-{bench.hash(B)}", **parts)  # type: ignore[arg-type]
    spec = manifest(bench.model(), split)["spec"]
    bench.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, {"spec": spec})
    bench.cluster.run(3)


def answered(bench: Bench, uri: str) -> int:
    """Return how many requests the pods of a revision have counted."""
    return sum(p.counters.requests for p in bench.cluster.pods(SPACE, bench.hash(uri)))


def test_copies_are_counted_by_the_pod_and_by_no_client() -> None:
    """A mirrored request's answer is thrown away, also a wrong one; the pod counts it."""
    bench = Bench()
    bench.up()
    bench.serve(B)
    bench.behave(Behaviour(error_rate=0.5), B)
    put(bench, mirror_pct=40)
    bench.cluster.run(10)
    ledger = bench.cluster.send(SPACE, NAME, 1000)
    bench.cluster.run(30)
    assert ledger.all.failed == 0
    assert set(ledger.by_revision) == {bench.hash()}
    assert answered(bench, B) == ledger.copies[bench.hash(B)]
    assert ledger.copies[bench.hash(B)] == pytest.approx(0.4 * ledger.all.total, rel=0.05)


def test_copies_for_nobody_are_lost_and_harm_no_client() -> None:
    """A mirror whose Service has no pod costs no client anything."""
    bench = Bench()
    bench.up()
    bench.serve(B, replicas=0)
    put(bench, mirror_pct=100)
    ledger = bench.cluster.send(SPACE, NAME, 1000)
    bench.cluster.run(10)
    assert (ledger.all.failed, sum(ledger.copies.values())) == (0, 0)


def test_requests_by_header_meet_the_candidate() -> None:
    """Who bears the header meets the candidate and nobody else does."""
    bench = Bench()
    bench.up()
    bench.serve(B)
    put(bench, headers=(BETA,))
    bench.cluster.run(10)
    ledger = bench.cluster.send(SPACE, NAME, 1000)
    beta = bench.cluster.bear(SPACE, NAME, 0.2, {"x-beta": "yes"})
    other = bench.cluster.bear(SPACE, NAME, 0.2, {"x-beta": "no"})
    bench.cluster.run(30)
    assert (set(beta.by_revision), set(other.by_revision)) == ({bench.hash(B)}, {bench.hash()})
    assert beta.all.total == pytest.approx(0.2 * ledger.all.total, rel=0.05)
    assert ledger.by_revision[bench.hash(B)].total == beta.all.total


def test_a_missing_mirror_is_told() -> None:
    """ResolvedRefs names a Service that is to get copies and does not exist."""
    bench = Bench()
    bench.up()
    put(bench, mirror_pct=5)
    route = bench.store.get(kinds.HTTP_ROUTE, SPACE, NAME)
    told = {c["type"]: c["message"] for c in route["status"]["parents"][0]["conditions"]}
    assert f"{NAME}-{bench.hash(B)} not found" in told["ResolvedRefs"]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ((), "all"),
        ((("group", "b"),), "one"),
        ((("group", "b"), ("who", "me")), "two"),
        ((("who", "me"),), "all"),
        ((("cookie", "x=1; ab=b.1; y=2"),), "cookie"),
        ((("cookie", "ab=bx1"),), "all"),
    ],
)
def test_the_rule_that_asks_for_most_is_met(headers: Headers, name: str) -> None:
    """Wherever it stands; a pattern has to fit the whole value."""

    def rule(name: str, **wanted: str) -> dict[str, object]:
        asked = [
            {"name": k, "value": v, "type": MatchType.REGULAR_EXPRESSION if "*" in v else "Exact"}
            for k, v in wanted.items()
        ]
        return {"matches": [{"headers": asked}], "backendRefs": [{"name": name}]}

    rules = rules_of(
        [
            rule("all"),
            rule("one", Group="b"),
            rule("two", Group="b", Who="me"),
            rule("cookie", Cookie="(.*; *)?ab=b[.]1(;.*)?"),
        ]
    )
    found = met(rules, headers)
    assert found is not None
    assert list(found.services) == [name]
