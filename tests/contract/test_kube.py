"""The contract of an API server (B29, B30): making, reading, deleting.

Each case runs on the server in memory and on the real one (see conftest.py).

Every case gets a namespace of its own. On a real server controllers are at work: no case leaves
finalizers or running pods behind, and Deployments have no replicas.
"""

import asyncio
from datetime import datetime

import pytest
from contract.kube_place import Place

from rampway.kube.client import connect
from rampway.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from rampway.kube.kinds import CONFIG_MAP, EVENT, LEASE, NODE, POD, SERVICE, Kind

ABSENT = Kind("nowhere.rampway.dev", "v1", "nothings", "Nothing")


class TestObjects:
    """Creating, reading and deleting."""

    async def test_create_returns_what_get_returns(self, place: Place) -> None:
        """B29: what create answers is what is stored, with the system's fields and its type."""
        made = await place.put()
        assert made["data"] == {"x": "1"}
        assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
        assert made["metadata"]["uid"]
        assert int(made["metadata"]["resourceVersion"]) > 0
        made_at = datetime.fromisoformat(made["metadata"]["creationTimestamp"])
        assert made_at.tzinfo is not None
        assert await place.get() == made

    async def test_an_object_is_made_once_by_name(self, place: Place) -> None:
        """B29: the second create of a name is AlreadyExists and changes nothing."""
        made = await place.put()
        again = place.config_map() | {"data": {"x": "other"}}
        with pytest.raises(AlreadyExists, match=rf"create ConfigMap {place.namespace}/one: 409"):
            await place.api.create(CONFIG_MAP, again)
        assert await place.get() == made

    async def test_of_concurrent_creates_one_wins(self, place: Place) -> None:
        """B29: of ten creates of one name at a time, exactly one makes the object."""
        results = await asyncio.gather(*(place.put() for _ in range(10)), return_exceptions=True)
        made = [one for one in results if isinstance(one, dict)]
        assert len(made) == 1
        assert sum(isinstance(one, AlreadyExists) for one in results) == 9
        assert (await place.get())["metadata"]["uid"] == made[0]["metadata"]["uid"]

    async def test_dry_run_stores_nothing(self, place: Place) -> None:
        """A dry run answers with the object, and leaves none."""
        tried = await place.api.create(CONFIG_MAP, place.config_map(), dry_run=True)
        assert tried["data"] == {"x": "1"}
        assert "resourceVersion" not in tried["metadata"]
        with pytest.raises(NotFound):
            await place.get()

    async def test_dry_run_checks(self, place: Place) -> None:
        """A dry run refuses what a create refuses."""
        await place.put()
        with pytest.raises(AlreadyExists):
            await place.api.create(CONFIG_MAP, place.config_map(), dry_run=True)
        bad = place.config_map("other", tier="not a label!")
        with pytest.raises(Invalid, match=r"metadata\.labels"):
            await place.api.create(CONFIG_MAP, bad, dry_run=True)

    async def test_the_systems_fields_are_not_the_writers(self, place: Place) -> None:
        """A uid, creation time or version written by a caller is ignored on create."""
        obj = place.config_map()
        obj["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}
        made = await place.api.create(CONFIG_MAP, obj)
        assert made["metadata"]["uid"] != "mine"
        assert not made["metadata"]["creationTimestamp"].startswith("2001")

    async def test_create_of_an_object_that_was_read_is_refused(self, place: Place) -> None:
        """An object with a resourceVersion cannot be created: it exists."""
        made = await place.put()
        copy = made | {"metadata": made["metadata"] | {"name": "two"}}
        with pytest.raises(Invalid, match="resourceVersion"):
            await place.api.create(CONFIG_MAP, copy)

    @pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", ""])
    async def test_bad_names_are_refused(self, place: Place, name: str) -> None:
        """A name that is no DNS name is Invalid, with the server's words."""
        with pytest.raises(Invalid, match=r"metadata\.name"):
            await place.api.create(CONFIG_MAP, place.config_map(name))

    async def test_a_namespace_must_be_there(self, place: Place) -> None:
        """Creating in a missing namespace is NotFound; listing it is empty."""
        obj = {"metadata": {"name": "one", "namespace": f"{place.namespace}-not"}}
        with pytest.raises(NotFound, match="namespaces"):
            await place.api.create(CONFIG_MAP, obj)
        assert await place.api.list(CONFIG_MAP, f"{place.namespace}-not") == []

    async def test_a_namespaced_object_names_its_namespace(self, place: Place) -> None:
        """No namespace where one is needed, and one where there is none, are refused."""
        with pytest.raises(Invalid, match="namespace"):
            await place.api.create(CONFIG_MAP, {"metadata": {"name": "one"}})
        node = {"metadata": {"name": "one", "namespace": place.namespace}}
        with pytest.raises(Invalid, match="namespace"):
            await place.api.create(NODE, node)

    async def test_another_kind_is_refused(self, place: Place) -> None:
        """An object of another kind than the call's is Invalid."""
        with pytest.raises(Invalid, match="kind"):
            await place.api.create(CONFIG_MAP, place.config_map() | {"kind": "Secret"})

    async def test_missing_is_not_found(self, place: Place) -> None:
        """Get, patch and delete of a missing object are NotFound and say which one."""
        words = rf"ConfigMap {place.namespace}/one: 404: configmaps \"one\" not found"
        with pytest.raises(NotFound, match=f"get {words}"):
            await place.get()
        with pytest.raises(NotFound, match=f"patch {words}"):
            await place.patch({"data": {"x": "2"}})
        with pytest.raises(NotFound, match=f"delete {words}"):
            await place.api.delete(CONFIG_MAP, place.namespace, "one")

    async def test_a_kind_that_is_not_served_is_not_found(self, place: Place) -> None:
        """Every verb on a kind whose CRD is missing is NotFound."""
        with pytest.raises(NotFound):
            await place.api.list(ABSENT, place.namespace)
        with pytest.raises(NotFound):
            await place.api.get(ABSENT, place.namespace, "one")
        with pytest.raises(NotFound):
            await place.api.create(ABSENT, place.config_map())

    async def test_list_by_labels(self, place: Place) -> None:
        """A list holds the objects that have all the labels asked for, typed, and no others."""
        await place.put("one", app="digits", tier="a")
        await place.put("two", app="digits", tier="b")
        await place.put("three", app="other", tier="a")

        async def names(**labels: str | tuple[str, ...]) -> list[str]:
            found = await place.api.list(CONFIG_MAP, place.namespace, labels)
            assert {(one["apiVersion"], one["kind"]) for one in found} <= {("v1", "ConfigMap")}
            return [one["metadata"]["name"] for one in found]

        assert await names(app="digits") == ["one", "two"]
        assert await names(app="digits", tier="b") == ["two"]
        assert await names(app="nobody") == []
        assert await names(app=("other", "digits"), tier="a") == ["one", "three"]
        assert await names(app=("nobody",)) == []
        everything = await place.api.list(CONFIG_MAP, place.namespace)
        assert {"one", "two", "three"} <= {one["metadata"]["name"] for one in everything}

    async def test_list_of_all_namespaces(self, place: Place) -> None:
        """Without a namespace a list holds every namespace's objects."""
        await place.put("one", suite=place.namespace)
        labels = {"suite": place.namespace}
        other = {"metadata": {"name": "two", "namespace": "default", "labels": labels}}
        await place.api.create(CONFIG_MAP, other)
        try:
            found = await place.api.list(CONFIG_MAP, None, {"suite": place.namespace})
        finally:
            await place.api.delete(CONFIG_MAP, "default", "two")
        at = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found}
        assert at == {(place.namespace, "one"), ("default", "two")}

    async def test_list_reads_every_page(self, place: Place) -> None:
        """A list longer than a page is whole."""
        names = {f"many-{number:04}" for number in range(520)}
        for batch in _batches(sorted(names)):
            await asyncio.gather(*(place.put(name, many="yes") for name in batch))
        found = await place.api.list(CONFIG_MAP, place.namespace, {"many": "yes"})
        assert len(found) == len(names)
        assert {one["metadata"]["name"] for one in found} == names
        walked = [one async for one in place.api.walk(CONFIG_MAP, place.namespace, {"many": "yes"})]
        assert walked == found

    async def test_delete(self, place: Place) -> None:
        """A deleted object is gone, and its name is free for another one."""
        first = await place.put()
        await place.api.delete(CONFIG_MAP, place.namespace, "one")
        with pytest.raises(NotFound):
            await place.get()
        assert (await place.put())["metadata"]["uid"] != first["metadata"]["uid"]

    async def test_delete_of_another_uid_is_a_conflict(self, place: Place) -> None:
        """B29: a delete meant for a namesake does nothing."""
        made = await place.put()
        with pytest.raises(Conflict):
            await place.api.delete(CONFIG_MAP, place.namespace, "one", uid="other")
        assert await place.get() == made
        uid = made["metadata"]["uid"]
        await place.api.delete(CONFIG_MAP, place.namespace, "one", uid=uid)
        with pytest.raises(NotFound):
            await place.get()

    async def test_delete_at_another_version_is_a_conflict(self, place: Place) -> None:
        """B31: what changed since it was read is not deleted unseen."""
        read = (await place.put())["metadata"]["resourceVersion"]
        changed = await place.api.patch(CONFIG_MAP, place.namespace, "one", {"data": {"k": "new"}})
        with pytest.raises(Conflict):
            await place.api.delete(CONFIG_MAP, place.namespace, "one", version=read)
        version = changed["metadata"]["resourceVersion"]
        await place.api.delete(CONFIG_MAP, place.namespace, "one", version=version)
        with pytest.raises(NotFound):
            await place.get()

    async def test_a_finalizer_holds_an_object(self, place: Place) -> None:
        """With a finalizer, delete only marks; taking the last one off deletes."""
        obj = place.config_map()
        obj["metadata"]["finalizers"] = ["rampway.dev/contract"]
        await place.api.create(CONFIG_MAP, obj)
        await place.api.delete(CONFIG_MAP, place.namespace, "one")
        assert (await place.get())["metadata"]["deletionTimestamp"]
        await place.api.delete(CONFIG_MAP, place.namespace, "one")
        await place.patch({"metadata": {"finalizers": None}})
        with pytest.raises(NotFound):
            await place.get()

    async def test_a_pod_on_no_node_goes_at_once(self, place: Place) -> None:
        """A pod that was never scheduled has nothing to end: delete is immediate."""
        meta = {"name": "lone", "namespace": place.namespace}
        spec = {"schedulerName": "none", "containers": [{"name": "server", "image": "none"}]}
        pod = await place.api.create(POD, {"metadata": meta, "spec": spec})
        assert pod["status"]["phase"] == "Pending"
        await place.api.delete(POD, place.namespace, "lone")
        with pytest.raises(NotFound):
            await place.api.get(POD, place.namespace, "lone")

    async def test_dependants_go_with_their_owner(self, place: Place) -> None:
        """B29: what an object owns is deleted after it, what a namesake owned is not spared."""
        owner = await place.put("owner")
        await place.put("free")
        for name, uid in (("owned", owner["metadata"]["uid"]), ("mistaken", "of-another-time")):
            obj = place.config_map(name)
            obj["metadata"]["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
            ]
            await place.api.create(CONFIG_MAP, obj)
        await place.gone("mistaken")
        assert (await place.get("owned"))["metadata"]["ownerReferences"]
        await place.api.delete(CONFIG_MAP, place.namespace, "owner")
        await place.gone("owned")
        assert await place.get("free")

    async def test_one_living_owner_is_enough(self, place: Place) -> None:
        """An object with two owners stays until both are gone."""
        owners = [await place.put(name) for name in ("owner-a", "owner-b")]
        obj = place.config_map("owned")
        obj["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": one["metadata"]["name"],
                "uid": one["metadata"]["uid"],
            }
            for one in owners
        ]
        await place.api.create(CONFIG_MAP, obj)
        await place.api.delete(CONFIG_MAP, place.namespace, "owner-a")
        for _ in range(150):
            left = (await place.get("owned"))["metadata"]["ownerReferences"]
            if len(left) == 1:
                break
            await place.settle()
        assert [one["name"] for one in left] == ["owner-b"]
        await place.api.delete(CONFIG_MAP, place.namespace, "owner-b")
        await place.gone("owned")

    async def test_services_have_a_status_and_no_generation(self, place: Place) -> None:
        """A Service starts without a load balancer, and counts no generations."""
        meta = {"name": "serve", "namespace": place.namespace}
        spec = {"selector": {"app": "serve"}, "ports": [{"port": 80}]}
        made = await place.api.create(SERVICE, {"metadata": meta, "spec": spec})
        assert made["status"] == {"loadBalancer": {}}
        assert "generation" not in made["metadata"]

    async def test_events_and_leases_are_plain(self, place: Place) -> None:
        """Events (events.k8s.io/v1) and Leases keep what is written."""
        meta = {"name": "one", "namespace": place.namespace}
        event = {
            "metadata": meta,
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reason": "StepStarted",
            "action": "Step",
            "type": "Normal",
            "note": "five",
            "reportingController": "rampway.dev/operator",
            "reportingInstance": "operator-0",
            "regarding": {"kind": "ConfigMap", "name": "one", "namespace": place.namespace},
        }
        assert (await place.api.create(EVENT, event))["note"] == "five"
        lease = {"metadata": meta, "spec": {"holderIdentity": "operator-0"}}
        made = await place.api.create(LEASE, lease)
        assert made["spec"] == {"holderIdentity": "operator-0"}
        assert "status" not in made

    async def test_results_are_the_callers_own(self, place: Place) -> None:
        """Altering what was given or got alters nothing on the server."""
        given = place.config_map("one", app="digits")
        made = await place.api.create(CONFIG_MAP, given)
        given["data"]["x"] = made["data"]["x"] = "changed"
        (await place.get())["metadata"]["labels"]["app"] = "changed"
        (await place.api.list(CONFIG_MAP, place.namespace))[0]["data"]["x"] = "changed"
        now = await place.get()
        assert (now["data"], now["metadata"]["labels"]) == ({"x": "1"}, {"app": "digits"})

    async def test_a_bad_target_is_a_mistake(self, place: Place) -> None:
        """A name without its namespace is a programmer's mistake, not an API error."""
        with pytest.raises(ValueError, match="namespace"):
            await place.api.get(CONFIG_MAP, None, "one")
        with pytest.raises(ValueError, match="namespace"):
            await place.api.list(NODE, place.namespace)
        with pytest.raises(ValueError, match="API path"):
            await place.api.get(CONFIG_MAP, place.namespace, "../secrets/one")


async def test_the_real_server_says_its_version() -> None:
    """The client reads the version that `rampway version` shows."""
    api = await connect()
    assert (await api.server_version()).startswith("v1.")
    await api.close()


def _batches(names: list[str], size: int = 40) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
