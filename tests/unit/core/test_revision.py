"""Revisions: what makes one (B2), its hash (B3), and the objects it consists of (B3, B34, B37)."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from unit.core.builders import IMAGE, NAME, V1, deployment, spec

from rampway.api import labels
from rampway.api.deployment import Model, ModelDeploymentSpec, Server
from rampway.api.parse import ModelDeployment
from rampway.core.model.belonging import owned_meta
from rampway.core.model.revision import (
    GRACE_S,
    content,
    digest_record,
    merge,
    revision_hash,
    selector,
    service,
    workload,
)
from rampway.core.pods.budget import budget

Obj = dict[str, Any]


def hashed(found: Obj) -> str:
    """Return the hash of a spec as a user writes it."""
    return revision_hash(ModelDeploymentSpec.model_validate(found))


GOLDEN: list[Obj] = yaml.safe_load(
    Path(__file__).with_name("golden_revisions.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("known", GOLDEN, ids=[known["of"] for known in GOLDEN])
def test_b03_golden_hashes(known: Obj) -> None:
    """B3: a spec that nobody changed keeps its hash, whatever the operator's version."""
    written = {key: known[key] for key in ("model", "server") if key in known}
    found = hashed(spec(1) | {"server": {}} | written)
    assert found == known["hash"], (
        f"the revision of {known['of']} was {known['hash']}, is {found}: an upgrade of the "
        "operator would roll out every such model. Undo it in core/model/revision.py, or leave "
        "what is new out of the content where the user did not write it; never change the "
        "golden file"
    )


@pytest.mark.parametrize(("part", "kind"), [("model", Model), ("server", Server)])
def test_b03_each_field_has_a_golden_hash(part: str, kind: type[BaseModel]) -> None:
    """B3: a field is pinned from its first release on."""
    set_to = {name for known in GOLDEN for name, value in known.get(part, {}).items() if value}
    wanted = {field.alias or name for name, field in kind.model_fields.items()}
    new = ", ".join(sorted(wanted - set_to))
    assert not new, f"no entry of golden_revisions.yaml sets {part}.{new}; add one"


def test_b03_the_hash_is_of_what_the_user_wrote() -> None:
    """B3: canonical JSON, defaults left out: a field added later changes no hash."""
    found = ModelDeploymentSpec.model_validate(spec(1))
    assert content(found.model, found.server) == (
        '{"model":{"uri":"http://models/digits/1"},"server":{}}'
    )


SAME: dict[str, Obj] = {
    "replicas": {"replicas": 9},
    "info": {"info": {"version": "7", "lineage": {"commit": "abc"}}},
    "traffic": {"traffic": {"ownedRoute": {"parentRefs": [{"name": "other"}]}}},
    "rollout": {"rollout": {"progressDeadline": "1m"}},
    "paused": {"paused": True},
    "a default written out": {"server": {"runtime": "Rampway", "resources": {}}},
}
OTHER: dict[str, Obj] = {
    "uri": {"model": {"uri": "http://models/digits/2"}},
    "sha256": {"model": {"uri": "http://models/digits/1", "sha256": "ab" * 32}},
    "trusted types": {"model": {"uri": "http://models/digits/1", "trustedTypes": ["a.B"]}},
    "auth": {"model": {"uri": "http://models/digits/1", "auth": {"secretRef": {"name": "a"}}}},
    "image": {"server": {"image": "mine:2"}},
    "resources": {"server": {"resources": {"limits": {"memory": "1Gi"}}}},
    "service account": {"server": {"serviceAccountName": "digits"}},
    "pod template": {"server": {"podTemplatePatch": {"spec": {"priority": 1}}}},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_b02_what_makes_no_revision(change: Obj) -> None:
    """B2: whatever is neither model nor server leaves the revision as it is."""
    assert hashed(spec(1) | change) == V1


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_b02_what_makes_a_revision(change: Obj) -> None:
    """B2: each field of model and server makes another revision."""
    assert hashed(spec(1) | change) != V1


def test_b03_the_order_of_keys_means_nothing() -> None:
    """B3: a map written in another order is the same."""
    one = {"spec": {"a": 1, "b": {"x": 1, "y": 2}}}
    two = {"spec": {"b": {"y": 2, "x": 1}, "a": 1}}
    hashes = {hashed(spec(1, server={"podTemplatePatch": patch})) for patch in (one, two)}
    assert len(hashes) == 1


MERGES: dict[str, tuple[Any, Any, Any]] = {
    "keys are added and replaced": ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
    "maps go deep": ({"a": {"b": 1, "c": 2}}, {"a": {"b": 9}}, {"a": {"b": 9, "c": 2}}),
    "null removes": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    "null of what is not there does nothing": ({"b": 2}, {"a": None}, {"b": 2}),
    "named things are met by name": (
        [{"name": "server", "image": "x"}, {"name": "log"}],
        [{"name": "server", "tty": True}, {"name": "new"}],
        [{"name": "server", "image": "x", "tty": True}, {"name": "log"}, {"name": "new"}],
    ),
    "null inside a named thing removes": (
        [{"name": "server", "readinessProbe": {}}],
        [{"name": "server", "readinessProbe": None}],
        [{"name": "server"}],
    ),
    "other lists are replaced": ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
    "an empty list replaces": ([{"name": "a"}], [], []),
    "a thing without a name replaces the list": ([{"name": "a"}], [{"key": "b"}], [{"key": "b"}]),
    "another type replaces": ({"a": {"b": 1}}, {"a": "none"}, {"a": "none"}),
}


@pytest.mark.parametrize(("base", "patch", "merged"), MERGES.values(), ids=MERGES.keys())
def test_merge(base: Any, patch: Any, merged: Any) -> None:
    """A patch is merged as the API says: by key, by name, null removes."""
    assert merge(base, patch) == merged


JSON = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
)


@settings(deadline=None)
@given(JSON, JSON)
def test_merging_twice_is_merging_once(base: Any, patch: Any) -> None:
    """Merging again changes nothing, and merging nothing neither."""
    once = merge(base, patch)
    assert merge(once, patch) == once
    assert merge(base, {}) == (base if isinstance(base, dict) else {})


def test_b38_a_budget_lets_one_pod_go_and_holds_up_no_drain() -> None:
    """B38: one pod at a time, also the only one; those that are not ready at any time."""
    owner = deployment(1)
    made = budget(owner, V1)
    assert made["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": workload(owner, "x", 1)["spec"]["selector"]["matchLabels"]},
    }
    assert made["metadata"]["name"] == f"{owner.name}-{V1}"
    assert [ref["uid"] for ref in made["metadata"]["ownerReferences"]] == [owner.uid]


def template(found: ModelDeployment) -> Obj:
    """Return the pod template of a ModelDeployment's revision."""
    made: Obj = workload(found, IMAGE, 2)["spec"]["template"]
    return made


def server_of(found: ModelDeployment) -> Obj:
    """Return the server's container."""
    (container,) = template(found)["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def test_the_deployment_of_a_revision() -> None:
    """Names, labels, owner, content and size; the Deployment's own deadline never strikes."""
    made = workload(deployment(info={"version": "7"}), IMAGE, 2)
    meta, wanted = made["metadata"], made["spec"]
    assert (meta["name"], meta["namespace"]) == (f"{NAME}-{V1}", "ml")
    assert meta["labels"][labels.MANAGED_BY] == labels.MANAGER
    assert meta["annotations"][labels.VERSION] == "7"
    assert meta["annotations"][labels.CONTENT].startswith('{"model":')
    assert [(o["uid"], o["controller"]) for o in meta["ownerReferences"]] == [("u1", True)]
    assert wanted["replicas"] == 2
    assert wanted["selector"]["matchLabels"] == selector(NAME, V1)
    carried = wanted["template"]["metadata"]["labels"]
    assert wanted["selector"]["matchLabels"].items() <= carried.items()
    assert wanted["progressDeadlineSeconds"] == 2**31 - 1
    assert labels.VERSION not in workload(deployment(), IMAGE, 2)["metadata"]["annotations"]


def test_b37_pods_pass_restricted_pod_security() -> None:
    """B37: everything that the restricted profile demands, and no token."""
    pod, server = template(deployment())["spec"], server_of(deployment())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod
    assert {next(k for k in v if k != "name") for v in pod["volumes"]} == {"emptyDir", "projected"}


def test_a_service_account_brings_its_token() -> None:
    """Who names an account wants its token."""
    pod = template(deployment(server={"serviceAccountName": "digits"}))["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("digits", True)


def test_b05_pods_have_time_to_drain() -> None:
    """B5: grace outlasts the server's delay and its last requests, and links set no variables."""
    pod = template(deployment())["spec"]
    assert pod["terminationGracePeriodSeconds"] == GRACE_S > 5 + 20
    assert pod["enableServiceLinks"] is False


def test_b03_the_environment() -> None:
    """B3: the server is told its model and digest; what is not set is left out."""
    model = {"uri": "http://m/1", "sha256": "ab" * 32, "trustedTypes": ["a.B", "c.D"]}
    found = deployment(model=model, info={"version": "7"})
    env = {e["name"]: e["value"] for e in server_of(found)["env"]}
    assert env["RAMPWAY_MODEL_NAME"] == NAME
    assert env["RAMPWAY_MODEL_URI"] == "http://m/1"
    assert env["RAMPWAY_MODEL_SHA256"] == "ab" * 32
    assert env["RAMPWAY_MODEL_SHA256_FILE"] == "/etc/rampway/sha256"
    assert env["RAMPWAY_TRUST"] == "a.B,c.D"
    assert env["RAMPWAY_MODEL_VERSION"] == "7"
    assert env["RAMPWAY_REVISION"] == f"{NAME}-{revision_hash(found.spec)}"
    bare = {e["name"] for e in server_of(deployment())["env"]}
    assert not bare & {"RAMPWAY_MODEL_SHA256", "RAMPWAY_TRUST", "RAMPWAY_MODEL_VERSION"}


def test_a_secret_gives_variables_that_change_none_of_ours() -> None:
    """B37: the pods take the Secret's keys by its name alone; `env` comes before `envFrom`."""
    model = {"uri": "s3://models/digits", "auth": {"secretRef": {"name": "store"}}}
    server = server_of(deployment(model=model))
    assert server.get("envFrom") == [{"secretRef": {"name": "store"}}]
    assert {"name": "RAMPWAY_MODEL_URI", "value": "s3://models/digits"} in server["env"]
    assert "envFrom" not in server_of(deployment())


def test_b03_the_image_is_the_users_else_ours() -> None:
    """B3: the image as configured is fixed in the template."""
    assert server_of(deployment())["image"] == IMAGE
    assert server_of(deployment(server={"image": "mine:2"}))["image"] == "mine:2"


def test_a_claim_is_mounted_read_only() -> None:
    """A model on a claim: the claim is mounted where the server looks for it."""
    found = deployment(model={"uri": "pvc://models/digits/1.skops"})
    volume = next(v for v in template(found)["spec"]["volumes"] if v["name"] == "model")
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    mount = next(m for m in server_of(found)["volumeMounts"] if m["name"] == "model")
    assert mount == {"name": "model", "mountPath": "/models/models", "readOnly": True}


def test_a_patch_reaches_the_template_but_not_the_labels() -> None:
    """A patch may change the server's container and add labels, never those we select by."""
    patch = {
        "metadata": {"labels": {labels.REVISION: "mine", "team": "vision"}},
        "spec": {"containers": [{"name": "server", "env": [{"name": "EXTRA", "value": "1"}]}]},
    }
    found = deployment(server={"podTemplatePatch": patch})
    made = template(found)["metadata"]["labels"]
    assert made[labels.REVISION] == revision_hash(found.spec)
    assert made["team"] == "vision"
    names = [e["name"] for e in server_of(found)["env"]]
    assert {"RAMPWAY_MODEL_URI", "EXTRA"} <= set(names)


def test_services_select_one_revision() -> None:
    """The Service of a revision carries its label, the Service `<name>` only selects by it."""
    own, front = (service(deployment(), name, V1) for name in (f"{NAME}-{V1}", NAME))
    assert own["spec"] == front["spec"]
    assert own["spec"]["selector"] == selector(NAME, V1)
    assert own["metadata"]["labels"][labels.REVISION] == V1
    assert labels.REVISION not in front["metadata"]["labels"]


def test_b03_the_record_of_a_digest_is_immutable() -> None:
    """B3: what was loaded first is pinned under the name that the pods mount."""
    made = digest_record(deployment(), V1, "cd" * 32)
    assert made["data"] == {labels.DIGEST_KEY: "cd" * 32}
    assert made["immutable"] is True
    pin = next(v for v in template(deployment())["spec"]["volumes"] if v["name"] == "pin")
    first = pin["projected"]["sources"][0]["configMap"]
    assert first == {"name": made["metadata"]["name"], "optional": True}


@pytest.mark.parametrize(
    ("more", "owned", "mark"),
    [
        ({}, True, None),
        ({"deletionPolicy": "Orphan"}, False, "Keep"),
        ({"traffic": {"type": "RouteRef", "routeRef": {"name": "site"}}}, False, "Drain"),
    ],
)
def test_b34_what_serves_has_no_owner_where_it_outlives_it(
    more: dict[str, Any], owned: bool, mark: str | None
) -> None:
    """B34: pods behind a user's route, or orphaned, are marked; a hook's Job goes in any case."""
    mine = deployment(**more)
    made = owned_meta(mine, NAME)
    assert ("ownerReferences" in made) == owned
    assert made["labels"].get(labels.ON_DELETION) == mark
    assert (labels.ROUTE_REF in made.get("annotations", {})) == (mark == "Drain")
    assert "ownerReferences" in owned_meta(mine, NAME, serves=False)
    assert labels.ON_DELETION not in owned_meta(mine, NAME, serves=False)["labels"]
