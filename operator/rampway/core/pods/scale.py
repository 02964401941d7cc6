"""What `/scale` tells an autoscaler: whose pods to measure, and how many there are (B12).

An autoscaler takes the average over the pods that the selector finds, times their number: the load
of all of them. It is the whole load, whatever the split, if it finds every pod that answers
requests. With stable's alone, half the traffic on the candidate would look like half the load. A
candidate that only gets copies is left out: it would look like twice the load.
"""

from rampway.api import labels
from rampway.core.model.revision import revision_hash
from rampway.core.observation import Observation
from rampway.core.pods.sizes import MEASURED_S, is_scarce
from rampway.core.rollout.course import Course
from rampway.core.traffic.split import Split


def counts(course: Course, split: Split) -> bool:
    """Whether the candidate's pods belong to those that are measured, with this split."""
    step = course.status.step
    copied = step.index > 0 and course.stages[step.index - 1].mirror_pct > 0
    return split.answers and (not copied or course.since_s(step.in_force_since) >= MEASURED_S)


def selector(obs: Observation, beside: str) -> str:
    """Return the selector of the pods that answer requests: stable's, and those beside it."""
    hashes = ",".join(sorted({_first(obs), beside} - {""}))
    return f"{labels.DEPLOYMENT}={obs.deployment.name},{labels.REVISION} in ({hashes})"


def pods(obs: Observation) -> int:
    """Return how many pods stable has, those that leave not counted.

    `replicas` of the spec and of the status are the same measure, the size of a revision that
    carries everything. An autoscaler with a target per pod (`AverageValue`) takes the number of the
    status for right while it is within its tolerance: with a small candidate's pods counted too it
    would creep upwards.
    """
    wanted = _first(obs)
    there = {r.hash: sum(not pod.leaving for pod in r.pods) for r in obs.revisions}
    if is_scarce(obs):  # there the revisions are one size together
        return min(obs.deployment.spec.replicas, sum(there.values()))
    return there.get(wanted, 0)


def _first(obs: Observation) -> str:
    """Return stable's hash; until there is one, that of the revision that is to be it."""
    return obs.stable.hash if obs.stable else revision_hash(obs.deployment.spec)
