"""Which policy a new rollout goes by: the spec's own, a shared one, or a default."""

from collections.abc import Sequence
from dataclasses import dataclass

from rampway.api import labels
from rampway.api.conditions import Reason
from rampway.api.parse import SharedPolicy
from rampway.api.policy import Policy, PolicyKind, PolicyRef
from rampway.api.succession import Rollout


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why what a spec refers to cannot be used: the reason of `Accepted`, and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Policies:
    """The shared policies that a ModelDeployment may use, as they were read.

    Attributes:
        known: Those of its namespace if it names one of them, else those of the cluster.
        unreadable: The API server's words where the operator may not read them, else empty.
    """

    known: tuple[SharedPolicy, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy for a rollout that begins now.

    Attributes:
        policy: What it says.
        origin: Where it is from, for the record; empty if it stands in the spec itself.
    """

    policy: Policy
    origin: str = ""


def choose(wanted: Rollout, policies: Policies) -> Chosen | Trouble:
    """Return the policy, or why there is none: nothing is rolled out by a guess."""
    if wanted.policy is not None:
        return Chosen(wanted.policy)
    if policies.unreadable:
        kind = wanted.policy_ref.kind if wanted.policy_ref else PolicyKind.CLUSTER
        text = f"the operator cannot read any {kind}: {policies.unreadable}"
        return Trouble(Reason.POLICY_UNREADABLE, text)
    if wanted.policy_ref is not None:
        return _named(wanted.policy_ref, policies.known)
    return _default([p for p in policies.known if p.default])


def _named(ref: PolicyRef, known: Sequence[SharedPolicy]) -> Chosen | Trouble:
    found = next((p for p in known if (p.kind, p.name) == (ref.kind, ref.name)), None)
    if found is not None:
        return _content(found)
    text = (
        f"spec.rollout.policyRef: there is no {ref.kind} {ref.name}; "
        "it goes on by itself once there is"
    )
    return Trouble(Reason.POLICY_NOT_FOUND, text)


def _default(marked: Sequence[SharedPolicy]) -> Chosen | Trouble:
    if not marked:
        return Chosen(Policy(), "built-in policy")
    if len(marked) == 1:
        return _content(marked[0])
    names = ", ".join(sorted(p.name for p in marked))
    text = (
        f"{len(marked)} objects {PolicyKind.CLUSTER} are marked as default ({names}); expected "
        f"one: take the annotation {labels.DEFAULT} from the others, or name one in policyRef"
    )
    return Trouble(Reason.SEVERAL_DEFAULTS, text)


def _content(found: SharedPolicy) -> Chosen | Trouble:
    if found.spec is None:
        text = f"{found.kind} {found.name} cannot be understood: {found.mistake}"
        return Trouble(Reason.POLICY_INVALID, text)
    return Chosen(found.spec, f"{found.kind} {found.name}, generation {found.generation}")
