"""The admission policy that stamps who paused, resumed and changed a ModelDeployment.

In the policy's place (manifests/people/stamp/authors.yaml), which only an API server can run;
the cluster's tests hold that one to the same.
"""

from datetime import datetime
from typing import Any

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.shell.authors import POLICY
from rampway.sim.api_meta import stamp
from rampway.sim.api_store import Store


def install(store: Store) -> None:
    """Put the policy and its binding there."""
    store.create(
        kinds.MUTATING_POLICY, {"metadata": {"name": POLICY}, "spec": {"failurePolicy": "Fail"}}
    )
    binding: Obj = {"metadata": {"name": POLICY}, "spec": {"policyName": POLICY}}
    store.create(kinds.MUTATING_POLICY_BINDING, binding)


def stamps(old: Obj | None, spec: Obj, user: str, at: datetime) -> dict[str, Any]:
    """Return the metadata that a write of these fields of the spec comes to: its stamps.

    Args:
        old: The object before it, None if it is just made.
        spec: The fields that it sets.
        user: Whose write it is; empty for one that nobody stamps.
        at: When, by the API server's clock.
    """
    before: Obj = old["spec"] if old else {}
    after = {**before, **spec}
    was_paused, paused = bool(before.get("paused")), bool(after.get("paused"))
    parts = [(one.get("model"), one.get("server")) for one in (before, after)]
    happened = {
        labels.PAUSED_BY: paused and not was_paused,
        labels.RESUMED_BY: was_paused and not paused,
        labels.CHANGED_BY: parts[0] != parts[1],
    }
    notes = {key: f"{user} at {stamp(at)}" for key, met in happened.items() if met}
    return {"annotations": notes} if user and notes else {}
