"""From raw objects to typed ones, and what is said when that fails."""

import pytest
from mistakes import MISTAKES, Mistake, changed, full, minimal, rollout, shared

from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.parse import Unparseable, parse_deployment, parse_policy, parse_rollout


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_mistakes_are_refused_with_the_field_named(mistake: Mistake) -> None:
    """Offline, the same mistakes are refused as by the API server, in the same words."""
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(mistake.made())
    for words in mistake.words:
        assert words in str(refusal.value)


def test_there_are_enough_kinds_of_mistakes() -> None:
    """At least 15 kinds of mistakes are tried, each under a name of its own."""
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 15


def test_a_full_object_is_parsed() -> None:
    """Metadata and every field of the spec arrive under their Python names and units."""
    raw = full()
    raw["metadata"] |= {
        "namespace": "team",
        "uid": "u-1",
        "generation": 7,
        "resourceVersion": "12",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-02T00:00:00Z",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
    }
    found = parse_deployment(raw)
    assert (found.name, found.namespace, found.uid, found.generation) == (
        "digits",
        "team",
        "u-1",
        7,
    )
    assert (found.resource_version, found.created_at) == ("12", "2026-01-01T00:00:00Z")
    assert found.deleting
    assert (found.labels, found.annotations) == ({"a": "b"}, {"c": "d"})
    policy = found.spec.rollout.policy
    assert policy is not None
    assert [step.weights_pct for step in policy.steps] == [(5, 5), (5, 5), (100, 100)]
    assert [step.hold_s for step in policy.steps] == [90.0, 5400.0, 0.5]
    assert found.spec.rollout.progress_deadline_s == 1200.0
    assert policy.alpha == pytest.approx(0.005)
    assert found.spec.server.resources.requests == {"cpu": "1", "memory": "256Mi"}
    head = {"name": "digits", "namespace": "team", "uid": "u-1", "resourceVersion": "12"}
    expected = {"kind": "ModelDeployment", "metadata": head, "status": (), "writers": ()}
    assert found.head == expected


def test_what_is_alike_is_kept_once() -> None:
    """Each part of a thousand objects would have a set of its own, of the fields that are set."""
    one, other = parse_deployment(full()), parse_deployment(full())
    parts = (one.spec, other.spec), (one.spec.model, other.spec.model), (one.status, other.status)
    for mine, theirs in parts:
        assert mine.__pydantic_fields_set__ is theirs.__pydantic_fields_set__
    assert one.spec.model_dump(exclude_unset=True) == other.spec.model_dump(exclude_unset=True)
    changed_copy = one.spec.model_copy(update={"replicas": 7})
    assert changed_copy.model_dump(exclude_unset=True)["replicas"] == 7
    assert other.spec == one.spec


def test_a_part_that_another_object_has_too_is_held_once() -> None:
    """A policy is most of a spec, and a team gives the same one to all its models."""
    one = parse_deployment(full()).spec
    other = parse_deployment(changed(full(), ("spec", "replicas"), 7)).spec
    plain = parse_deployment(minimal()).spec
    assert (one.replicas, other.replicas) != (7, one.replicas)
    assert other.rollout is one.rollout
    assert other.server is one.server
    assert plain.rollout is not one.rollout
    assert plain.rollout == type(plain.rollout)()


def test_a_part_is_held_once_only_if_it_is_written_alike() -> None:
    """What is written out is told again as it was written, though it means the same."""
    said = parse_deployment(
        changed(minimal(), ("spec", "rollout"), {"progressDeadline": "15m"})
    ).spec
    unsaid = parse_deployment(changed(minimal(), ("spec", "rollout"), {})).spec
    for spec, told in ((said, True), (unsaid, False)):
        assert ("progress_deadline" in spec.rollout.model_fields_set) is told


def test_of_who_wrote_what_the_fields_of_the_spec_are_kept() -> None:
    """All else of managedFields is as large as the object, and nobody asks for it."""
    raw = full()
    owned = {"f:metadata": {"f:labels": {}}, "f:spec": {"f:model": {"f:uri": {}}, "f:paused": {}}}
    by_status = {"manager": "rampway", "subresource": "status", "fieldsV1": {"f:status": {}}}
    wrote = {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": owned}
    raw["metadata"]["managedFields"] = [wrote, by_status, {"manager": "bare"}]
    fields = frozenset({"model", "paused"})
    kubectl, bare = parse_deployment(raw).head["writers"]
    assert kubectl == ("kubectl", "2026-01-01T00:00:00Z", fields)
    assert bare == ("bare", "", frozenset())


def test_a_minimal_object_is_parsed_with_defaults() -> None:
    """Only the model and the Gateway have to be given."""
    found = parse_deployment(minimal())
    assert found.spec.replicas == 1
    assert (found.spec.rollout.policy, found.spec.rollout.policy_ref) == (None, None)
    assert not found.deleting
    assert found.status == ModelDeploymentStatus()


def test_a_null_is_a_field_left_out() -> None:
    """The API server prunes nulls, so a null means the default here as well."""
    with_nulls = changed(minimal(), ("spec", "server"), None)
    assert parse_deployment(with_nulls).spec == parse_deployment(minimal()).spec


def test_a_null_in_a_patch_is_kept() -> None:
    """In a pod template patch a null removes what it stands on."""
    patch = {"spec": {"securityContext": None}}
    raw = changed(full(), ("spec", "server", "podTemplatePatch"), patch)
    assert parse_deployment(raw).spec.server.pod_template_patch == patch


def test_a_status_of_a_newer_operator_is_understood() -> None:
    """Unknown fields of the status are ignored, known ones kept."""
    raw = minimal() | {"status": {"phase": "Healthy", "fromTheFuture": 1}}
    assert parse_deployment(raw).status.phase == "Healthy"


def test_a_deployments_status_that_cannot_be_read_counts_as_lost() -> None:
    """B1: it is rebuilt, not a reason to stop."""
    raw = minimal() | {"status": {"weightPct": "many"}}
    assert parse_deployment(raw).status == ModelDeploymentStatus()


def test_a_rollouts_status_that_cannot_be_read_is_refused() -> None:
    """Its evidence and decisions exist nowhere else: they are not forgotten."""
    raw = rollout() | {"status": {"weightPct": "many"}}
    with pytest.raises(Unparseable, match=r"status\.weightPct: .*seen: 'many'"):
        parse_rollout(raw)


def test_a_rollout_is_parsed() -> None:
    """The candidate's content, the policy and an empty status."""
    found = parse_rollout(rollout())
    assert found.spec.candidate.model is not None
    assert found.spec.candidate.info.version == "2"
    assert found.spec.stable.model is None
    assert found.status.step.shown == ""


def test_all_mistakes_are_told_at_once_but_not_without_end() -> None:
    """Five are told in full, the rest is counted."""
    raw = full()
    raw["spec"]["rollout"]["policy"]["steps"] = [{"name": f"s{n}", "weight": "x"} for n in range(8)]
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(raw)
    assert str(refusal.value).count("steps[") == 5
    assert str(refusal.value).endswith("and 3 more")


def test_a_long_value_is_cut() -> None:
    """A message stays readable, whatever was written."""
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(changed(full(), ("spec", "model", "uri"), "x" * 2000))
    assert len(str(refusal.value)) < 250


def test_an_object_without_a_name_is_refused() -> None:
    """What is no object at all says so."""
    with pytest.raises(Unparseable, match=r"metadata\.name: missing"):
        parse_deployment({"spec": {}})


def test_a_shared_policy_is_parsed_once_per_version() -> None:
    """Content, default and generation arrive; the same version again is the same object."""
    raw = shared("ClusterRolloutPolicy")
    raw["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 3}
    found = parse_policy(raw)
    assert found.spec is not None
    assert (found.kind, found.name, found.namespace) == ("ClusterRolloutPolicy", "careful", "")
    assert (found.generation, found.default, found.mistake) == (3, False, "")
    assert found.spec.alpha == pytest.approx(0.005)
    assert parse_policy(raw, found) is found
    newer = changed(raw, ("metadata", "resourceVersion"), "8")
    newer["metadata"]["annotations"] = {"rampway.dev/default": "true"}
    assert parse_policy(newer, found).default


def test_a_shared_policy_that_cannot_be_understood_says_why() -> None:
    """It names the field, and parses as something without a content: it harms no other."""
    found = parse_policy(changed(shared(), ("spec", "steps"), []))
    assert found.spec is None
    assert found.mistake.startswith("spec.steps: ")
