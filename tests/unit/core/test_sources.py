"""B36: which Prometheus is asked, and that the administrator's list decides it."""

from typing import Any

import pytest

from rampway.api import labels
from rampway.api.conditions import Reason
from rampway.api.parse import SharedSource, parse_source
from rampway.api.sources import SourceRef
from rampway.core.checks.sources import OWN, Allowed, Source, Sources, choose
from rampway.core.model.policies import Trouble

ADDRESS = "https://prometheus.monitoring:9090/team"
ENTRY = Allowed(ADDRESS, frozenset({"ml"}), frozenset({"team"}))
MINE = SourceRef.model_validate({"name": "main"})
CLUSTERS = SourceRef.model_validate({"kind": "ClusterMetricSource", "name": "main"})


def known(kind: str = "MetricSource", *, marked: bool = False, **spec: Any) -> SharedSource:
    """Return a metric source as it was read."""
    space = {"namespace": "ml"} if kind == "MetricSource" else {}
    notes = {"annotations": {labels.DEFAULT: "true"}} if marked else {}
    meta = {"name": "main", **space, **notes}
    return parse_source({"kind": kind, "metadata": meta, "spec": {"address": ADDRESS} | spec})


def refused(found: Source | Trouble) -> str:
    """Return why the administrator's list forbids a source."""
    assert isinstance(found, Trouble)
    assert found.reason == Reason.SOURCE_REFUSED
    return found.message


def test_without_any_source_the_operators_own_is_asked() -> None:
    """Neither named nor a default: the address that the operator was given."""
    assert choose(None, "ml", Sources()) == OWN
    assert choose(None, "ml", Sources((known("ClusterMetricSource"),), (ENTRY,))) == OWN


def test_the_source_named_is_asked_with_its_login_and_time() -> None:
    """Address, credentials and timeout arrive; a default is for who names none."""
    spec: dict[str, Any] = {"credentials": "team", "timeout": "12s"}
    wanted = Source(ADDRESS, "team", 12.0)
    assert choose(MINE, "ml", Sources((known(**spec),), (ENTRY,))) == wanted
    default = known("ClusterMetricSource", marked=True, **spec)
    assert choose(None, "other", Sources((default,), (ENTRY,))) == wanted


def test_b36_without_the_list_no_address_is_asked() -> None:
    """B36: not a namespace's, and not a cluster's either."""
    for ref, kind in ((MINE, "MetricSource"), (CLUSTERS, "ClusterMetricSource")):
        words = refused(choose(ref, "ml", Sources((known(kind),))))
        assert "is not on the list of the operator's administrator" in words


@pytest.mark.parametrize(
    "address",
    [
        "https://prometheus.monitoring:9090",
        "https://prometheus.monitoring:9090/teams",
        "https://prometheus.monitoring:9090/other/team",
        "https://prometheus.monitoring:90901/team",
        "http://prometheus.monitoring:9090/team",
        "https://prometheus.monitoring.evil:9090/team",
        "https://prometheus.monitoring",
    ],
)
def test_b36_an_address_beside_a_prefix_is_refused(address: str) -> None:
    """B36: scheme, host and port are equal, and a path begins at a slash."""
    refused(choose(MINE, "ml", Sources((known(address=address),), (ENTRY,))))


@pytest.mark.parametrize(
    "address",
    [
        f"{ADDRESS}/../admin",
        f"{ADDRESS}/%2e%2e/admin",
        f"{ADDRESS}?x=1",
        f"{ADDRESS}#x",
        "https://prometheus.monitoring:9090@evil/team",
        "ftp://prometheus.monitoring:9090/team",
    ],
)
def test_b36_an_address_that_means_another_is_no_address(address: str) -> None:
    """B36: nothing that a client or a server could read as another place."""
    found = choose(MINE, "ml", Sources((known(address=address),), (ENTRY,)))
    assert isinstance(found, Trouble)
    assert found.reason == Reason.SOURCE_INVALID


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/", f"{ADDRESS}/a/b.c"])
def test_an_address_at_or_below_a_prefix_is_asked(address: str) -> None:
    """With a slash at its end or without."""
    found = choose(MINE, "ml", Sources((known(address=address),), (ENTRY,)))
    assert isinstance(found, Source)


def test_b36_a_namespace_names_only_what_is_allowed_to_it() -> None:
    """B36: who may name an address may ask it anything; a cluster's source needs no namespace."""
    entry = Allowed(ADDRESS)
    words = refused(choose(MINE, "ml", Sources((known(),), (entry,))))
    assert "namespace ml may not name" in words
    clusters = Sources((known("ClusterMetricSource"),), (entry,))
    assert choose(CLUSTERS, "ml", clusters) == Source(ADDRESS)


def test_b36_credentials_go_only_where_they_are_for() -> None:
    """B36: nobody has another team's login sent to an address of their own."""
    words = refused(choose(MINE, "ml", Sources((known(credentials="admin"),), (ENTRY,))))
    assert "the credentials admin are not for" in words
    elsewhere = Allowed("https://elsewhere", frozenset({"ml"}), frozenset({"admin"}))
    refused(choose(MINE, "ml", Sources((known(credentials="admin"),), (ENTRY, elsewhere))))


def test_b36_a_query_is_asked_only_where_it_is_confined_or_all_is_open() -> None:
    """B36: neither the operator's own Prometheus nor a cluster's source shows others' series."""
    own = "http://prometheus:9090"
    for entry in (Allowed(own), Allowed("http://prometheus", open=True)):
        words = refused(choose(None, "ml", Sources(allowed=(entry,), own=own), asks=True))
        assert "the operator's own Prometheus confines none to its namespace" in words
        assert f"open {own} to all" in words
    assert (
        choose(None, "ml", Sources(allowed=(Allowed(own, open=True),), own=own), asks=True) == OWN
    )
    assert choose(None, "ml", Sources(own=own)) == OWN
    bare = Sources((known("ClusterMetricSource"),), (ENTRY,))
    words = refused(choose(CLUSTERS, "ml", bare, asks=True))
    assert "ClusterMetricSource main confines none" in words
    opened = Sources((known("ClusterMetricSource"),), (Allowed(ADDRESS, open=True),))
    assert choose(CLUSTERS, "ml", opened, asks=True) == Source(ADDRESS)
    told = known("ClusterMetricSource", namespaceEnforcement={"parameter": "namespace"})
    assert isinstance(choose(CLUSTERS, "ml", Sources((told,), (ENTRY,)), asks=True), Source)
    assert isinstance(choose(MINE, "ml", Sources((known(),), (ENTRY,)), asks=True), Source)


def test_b36_an_enforced_source_is_one_for_each_namespace() -> None:
    """B36: so that no query of one namespace is ever joined with that of another."""
    for field in ({"parameter": "namespace"}, {"header": "X-Namespace"}):
        source = known("ClusterMetricSource", namespaceEnforcement=field)
        sources = Sources((source,), (ENTRY,))
        mine, others = (choose(CLUSTERS, space, sources) for space in ("ml", "other"))
        assert isinstance(mine, Source)
        assert mine != others
        assert mine.namespace == "ml"
        assert {mine.parameter, mine.header} == {"", *field.values()}


def test_what_is_missing_doubled_or_unreadable_is_said() -> None:
    """No other source is asked instead."""
    marked = known("ClusterMetricSource", marked=True)
    for ref, sources, reason in (
        (MINE, Sources((known("ClusterMetricSource"),), (ENTRY,)), Reason.SOURCE_NOT_FOUND),
        (None, Sources((marked, marked), (ENTRY,)), Reason.SEVERAL_DEFAULTS),
        (None, Sources(unreadable="forbidden"), Reason.SOURCE_UNREADABLE),
    ):
        found = choose(ref, "ml", sources)
        assert isinstance(found, Trouble)
        assert found.reason == reason
