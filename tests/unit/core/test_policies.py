"""Which policy a rollout goes by, and what is said where there is none."""

from typing import Any

import pytest
from mistakes import changed, shared

from rampway.api import labels
from rampway.api.conditions import Reason
from rampway.api.parse import SharedPolicy, parse_policy
from rampway.api.policy import Policy
from rampway.api.succession import Rollout
from rampway.core.model.policies import Chosen, Policies, Trouble, choose

CAREFUL = {"kind": "ClusterRolloutPolicy", "name": "careful"}


def known(name: str = "careful", kind: str = "ClusterRolloutPolicy", **meta: Any) -> SharedPolicy:
    """Return a shared policy as it was read."""
    raw = shared(kind)
    raw["metadata"] |= {"name": name, "generation": 4, **meta}
    return parse_policy(raw)


def default(name: str) -> SharedPolicy:
    """Return a policy that is marked as the cluster's default."""
    return known(name, annotations={labels.DEFAULT: "true"})


def wanted(**fields: Any) -> Rollout:
    """Return the part of a spec."""
    return Rollout.model_validate(fields)


def test_a_policy_in_the_spec_is_taken_whatever_there_is_beside() -> None:
    """Its own policy needs no other object, and no right to read one."""
    own = wanted(policy={"falseRollbackRate": "2%"})
    for policies in (Policies((default("a"), default("b"))), Policies(unreadable="no")):
        found = choose(own, policies)
        assert isinstance(found, Chosen)
        assert (found.policy.alpha, found.origin) == (0.02, "")


def test_the_policy_of_that_kind_and_name_is_taken() -> None:
    """Its content, and where it is from with its generation, go on record."""
    found = choose(wanted(policyRef=CAREFUL), Policies((known("other"), known())))
    assert isinstance(found, Chosen)
    assert found.policy == known().spec
    assert found.origin == "ClusterRolloutPolicy careful, generation 4"


def test_b36_a_policy_of_another_kind_is_not_it() -> None:
    """B36: a RolloutPolicy does not stand in for a ClusterRolloutPolicy of its name."""
    found = choose(wanted(policyRef=CAREFUL), Policies((known(kind="RolloutPolicy"),)))
    assert isinstance(found, Trouble)
    assert found.reason == Reason.POLICY_NOT_FOUND
    assert "there is no ClusterRolloutPolicy careful" in found.message


def test_without_any_policy_the_clusters_default_is_taken() -> None:
    """Else the built-in one, which is an empty RolloutPolicy."""
    found = choose(wanted(), Policies((known("other"), default("strict"))))
    assert isinstance(found, Chosen)
    assert found.origin == "ClusterRolloutPolicy strict, generation 4"
    none_marked = choose(wanted(), Policies((known(annotations={labels.DEFAULT: "false"}),)))
    assert none_marked == Chosen(Policy(), "built-in policy")


def test_two_defaults_are_told_not_chosen_between() -> None:
    """Both are named; who names a policy is not concerned."""
    both = Policies((default("a"), default("b")))
    found = choose(wanted(), both)
    assert isinstance(found, Trouble)
    assert found.reason == Reason.SEVERAL_DEFAULTS
    assert "(a, b)" in found.message
    assert isinstance(choose(wanted(policyRef={**CAREFUL, "name": "a"}), both), Chosen)


@pytest.mark.parametrize("ref", [{"policyRef": CAREFUL}, {}], ids=["named", "default"])
def test_what_cannot_be_understood_or_read_is_said(ref: dict[str, Any]) -> None:
    """The field or the API server's words are in the message; nothing is guessed instead."""
    raw = changed(shared("ClusterRolloutPolicy"), ("spec", "steps"), [])
    raw["metadata"]["annotations"] = {labels.DEFAULT: "true"}
    broken = choose(wanted(**ref), Policies((parse_policy(raw),)))
    assert isinstance(broken, Trouble)
    assert broken.reason == Reason.POLICY_INVALID
    assert "ClusterRolloutPolicy careful cannot be understood: spec.steps: " in broken.message
    refused = choose(wanted(**ref), Policies(unreadable="forbidden: no list"))
    assert isinstance(refused, Trouble)
    assert refused.reason == Reason.POLICY_UNREADABLE
    assert "forbidden: no list" in refused.message
