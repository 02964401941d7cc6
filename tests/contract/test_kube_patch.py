"""The contract of an API server (B29, B30): patching.

Each case runs on the server in memory and on the real one (see conftest.py).

Every case gets a namespace of its own. On a real server controllers are at work: no case leaves
finalizers or running pods behind, and Deployments have no replicas.
"""

import asyncio

import pytest
from contract.kube_place import Place

from rampway.kube.base import Obj
from rampway.kube.errors import Conflict, Invalid, NotFound
from rampway.kube.kinds import CONFIG_MAP, DEPLOYMENT, Kind

ABSENT = Kind("nowhere.rampway.dev", "v1", "nothings", "Nothing")


class TestPatches:
    """Patching, the status, and what a generation counts."""

    async def test_merge_patch(self, place: Place) -> None:
        """A dict is a merge patch: null takes away, the rest is set, what it leaves out stays."""
        before = await place.put("one", app="digits")
        after = await place.patch({"data": {"x": None, "y": "2"}})
        assert after["data"] == {"y": "2"}
        assert after["metadata"]["labels"] == {"app": "digits"}
        assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert await place.get() == after

    async def test_a_patch_that_changes_nothing_is_no_write(self, place: Place) -> None:
        """Writing what is there leaves the version as it was: no event, no new reconcile."""
        before = await place.put()
        assert await place.patch({"data": {"x": "1"}}) == before

    async def test_stale_version_is_a_conflict(self, place: Place) -> None:
        """B30: a merge patch with an old resourceVersion is a Conflict and changes nothing."""
        old = await place.put()
        new = await place.patch({"data": {"x": "2"}})
        version = {"resourceVersion": old["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict, match=rf"patch ConfigMap {place.namespace}/one: 409"):
            await place.patch({"metadata": version, "data": {"x": "3"}})
        assert await place.get() == new
        version = {"resourceVersion": new["metadata"]["resourceVersion"]}
        assert (await place.patch({"metadata": version, "data": {"x": "3"}}))["data"]["x"] == "3"

    async def test_of_concurrent_patches_on_one_version_one_wins(self, place: Place) -> None:
        """B30: of ten writers that read the same version, exactly one writes."""
        version = {"resourceVersion": (await place.put())["metadata"]["resourceVersion"]}
        results = await asyncio.gather(
            *(place.patch({"metadata": version, "data": {"x": f"w{n}"}}) for n in range(10)),
            return_exceptions=True,
        )
        won = [one for one in results if isinstance(one, dict)]
        assert len(won) == 1
        assert sum(isinstance(one, Conflict) for one in results) == 9
        assert (await place.get())["data"] == won[0]["data"]

    async def test_another_uid_is_a_conflict(self, place: Place) -> None:
        """B29: a merge patch meant for a deleted namesake is a Conflict."""
        old = await place.put()
        await place.api.delete(CONFIG_MAP, place.namespace, "one")
        new = await place.put()
        with pytest.raises(Conflict):
            await place.patch({"metadata": {"uid": old["metadata"]["uid"]}, "data": {"x": "2"}})
        assert await place.get() == new
        mine = {"metadata": {"uid": new["metadata"]["uid"]}, "data": {"x": "2"}}
        assert (await place.patch(mine))["data"] == {"x": "2"}

    async def test_json_patch(self, place: Place) -> None:
        """A list is a JSON patch: its operations apply in order, and all or none."""
        await place.put()
        after = await place.patch(
            [
                {"op": "test", "path": "/data/x", "value": "1"},
                {"op": "replace", "path": "/data/x", "value": "2"},
                {"op": "add", "path": "/data/y", "value": "3"},
            ]
        )
        assert after["data"] == {"x": "2", "y": "3"}
        after = await place.patch([{"op": "remove", "path": "/data/y"}])
        assert after["data"] == {"x": "2"}

    @pytest.mark.parametrize(
        "test",
        [
            {"op": "test", "path": "/data/x", "value": "other"},
            {"op": "test", "path": "/data/none", "value": "1"},
            {"op": "test", "path": "/binaryData/none", "value": "1"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
        ],
    )
    async def test_a_failing_test_is_a_conflict(self, place: Place, test: Obj) -> None:
        """B30: a `test` that finds another value or none is a Conflict, and nothing is done."""
        before = await place.put()
        with pytest.raises(Conflict, match="422"):
            await place.patch([{"op": "add", "path": "/data/y", "value": "2"}, test])
        assert await place.get() == before

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "remove", "path": "/data/none"},
            {"op": "add", "path": "/binaryData/none", "value": "1"},
            {"op": "replace", "path": "/binaryData/none", "value": "1"},
            {"op": "leap", "path": "/data/x", "value": "1"},
        ],
    )
    async def test_a_json_patch_that_does_not_apply(self, place: Place, operation: Obj) -> None:
        """Without a `test`, an operation that cannot be done is Invalid."""
        before = await place.put()
        with pytest.raises(Invalid, match="422"):
            await place.patch([operation])
        assert await place.get() == before

    async def test_json_patch_as_the_server_reads_it(self, place: Place) -> None:
        """`replace` adds a missing member and `test` finds null there, unlike in RFC 6902."""
        await place.put()
        after = await place.patch(
            [
                {"op": "test", "path": "/data/y", "value": None},
                {"op": "replace", "path": "/data/y", "value": "2"},
            ]
        )
        assert after["data"] == {"x": "1", "y": "2"}

    async def test_an_object_refused_is_invalid_even_with_a_test(self, place: Place) -> None:
        """A JSON patch whose `test` holds and whose result is refused is Invalid, no Conflict."""
        await place.put()
        with pytest.raises(Invalid, match=r"metadata\.labels"):
            await place.patch(
                [
                    {"op": "test", "path": "/data/x", "value": "1"},
                    {"op": "add", "path": "/metadata/labels", "value": {"a": "no label!"}},
                ]
            )

    @pytest.mark.parametrize(
        "patch", [{"metadata": {"name": "two"}}, {"metadata": {"name": None}}, {"metadata": None}]
    )
    async def test_an_object_keeps_its_name(self, place: Place, patch: Obj) -> None:
        """A patch cannot rename an object."""
        before = await place.put()
        with pytest.raises(Invalid, match="400"):
            await place.patch(patch)
        assert await place.get() == before

    async def test_a_patch_cannot_change_the_systems_fields(self, place: Place) -> None:
        """Generation and creation time are the server's; a patch of them is no write."""
        await place.api.create(DEPLOYMENT, place.deployment())
        before = (await place.deployment_at_rest())["metadata"]
        patch = {"metadata": {"generation": 9, "creationTimestamp": "2001-01-01T00:00:00Z"}}
        after = (await place.patch_deployment(patch))["metadata"]
        assert after["generation"] == before["generation"]
        assert after["creationTimestamp"] == before["creationTimestamp"]

    async def test_generation_counts_changes_of_the_spec(self, place: Place) -> None:
        """Generation starts at 1 and grows with the spec alone, not with labels or status."""
        made = await place.api.create(DEPLOYMENT, place.deployment())
        assert made["metadata"]["generation"] == 1

        async def generation(patch: Obj, subresource: str | None = None) -> int:
            return int((await place.patch_deployment(patch, subresource))["metadata"]["generation"])

        assert await generation({"metadata": {"labels": {"a": "2"}}}) == 1
        assert await generation({"status": {"collisionCount": 3}}, "status") == 1
        assert await generation({"spec": {"minReadySeconds": 5}}) == 2
        assert await generation({"spec": {"minReadySeconds": 5}}) == 2

    async def test_generation_of_a_deployment_counts_annotations(self, place: Place) -> None:
        """A Deployment's generation also grows with an annotation, as no other kind's does."""
        await place.api.create(DEPLOYMENT, place.deployment())
        before = await place.deployment_at_rest()  # its controller annotates it, too
        after = await place.patch_deployment({"metadata": {"annotations": {"a": "2"}}})
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1

    async def test_status_is_written_apart(self, place: Place) -> None:
        """A write of the object leaves its status alone; a write of the status leaves the rest."""
        obj = place.deployment() | {"status": {"collisionCount": 7}}
        made = await place.api.create(DEPLOYMENT, obj)
        assert "collisionCount" not in made["status"]
        after = await place.patch_deployment(
            {
                "status": {"collisionCount": 7},
                "spec": {"minReadySeconds": 4},
            }
        )
        assert "collisionCount" not in after["status"]
        assert after["spec"]["minReadySeconds"] == 4
        both = {"status": {"collisionCount": 7}, "spec": {"minReadySeconds": 9}}
        after = await place.patch_deployment(both, "status")
        assert after["status"]["collisionCount"] == 7
        assert after["spec"]["minReadySeconds"] == 4

    async def test_a_kind_without_status_has_no_such_subresource(self, place: Place) -> None:
        """Writing the status of a ConfigMap is NotFound."""
        await place.put()
        with pytest.raises(NotFound, match="could not find the requested resource"):
            await place.api.patch(
                CONFIG_MAP, place.namespace, "one", {"status": {}}, subresource="status"
            )

    async def test_a_refused_change_is_invalid(self, place: Place) -> None:
        """An immutable field is Invalid, with the server's words."""
        await place.api.create(DEPLOYMENT, place.deployment())
        change = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
        with pytest.raises(Invalid, match=r"patch Deployment .*/serve: 422: .*spec\.selector"):
            await place.patch_deployment(change)
