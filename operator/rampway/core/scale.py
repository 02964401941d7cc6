"""What `/scale` tells an autoscaler: whose pods to measure, and how many there are (B12).

An autoscaler takes the average over the pods that the selector finds, times their number: the load
of all of them. It is the whole load, whatever the split, if it finds every pod that answers
requests. With stable's alone, half the traffic on the candidate would look like half the load. A
candidate that only gets copies is left out: it would look like twice the load.
"""

from rampway.api import labels
from rampway.core.observation import Observation
from rampway.core.revision import revision_hash


def selector(obs: Observation, beside: str) -> str:
    """Return the selector of the pods that answer requests: stable's, and those beside it."""
    first = obs.stable.hash if obs.stable else revision_hash(obs.deployment.spec)
    hashes = ",".join(sorted({first, beside} - {""}))
    return f"{labels.DEPLOYMENT}={obs.deployment.name},{labels.REVISION} in ({hashes})"


def pods(obs: Observation, beside: str) -> int:
    """Return how many pods there are that the selector finds, those that leave not counted."""
    first = obs.stable.hash if obs.stable else revision_hash(obs.deployment.spec)
    found = (r for r in obs.revisions if r.hash in {first, beside})
    return sum(not pod.leaving for r in found for pod in r.pods)
