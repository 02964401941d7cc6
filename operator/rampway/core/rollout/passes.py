"""What a pass comes to, and the parts that every kind of pass has."""

from dataclasses import dataclass

from rampway.api import labels
from rampway.core.actions import Action, Create, PointService, SetSplit, WriteStatus
from rampway.core.checks.judged import EvidenceState
from rampway.core.model import keeping, revision
from rampway.core.model.standing import Standing, project
from rampway.core.observation import Observation, Revision
from rampway.core.pods import sizes
from rampway.core.pods.budget import budget
from rampway.core.rollout import automation
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.core.writing import status_is_news


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to look again.

    Attributes:
        actions: In the order in which they must happen.
        requeue_after_s: Look again after this time; 0 means at once, None that events suffice.
        evidence: Evidence to keep in memory for the active rollout, None if there is none.
        active: Name of the rollout that evidence is wanted for, else empty.
    """

    actions: tuple[Action, ...]
    requeue_after_s: float | None = None
    evidence: EvidenceState | None = None
    active: str = ""


def reached(obs: Observation, stable: Revision) -> bool:
    """Whether the Service `<name>` is known to reach the very pods of stable that serve."""
    if not obs.deployment.spec.replicas:
        return obs.service.selects == stable.hash  # there is nobody to reach (B38)
    served = {pod.name for pod in stable.pods if pod.ready}
    return bool(obs.service.selects == stable.hash and served and served <= obs.service.ready_pods)


def rest(obs: Observation, stable: Revision) -> list[Action]:
    """Put the route at rest (B14).

    While it sends everything to stable's own Service, that waits until the Service `<name>`
    reaches the same pods: else requests would meet the revision that was stable before.
    """
    if obs.route.at_rest and obs.route.in_shape:
        return []
    own = obs.route.split == Split(stable.name, 100)
    return [] if own and not reached(obs, stable) else [SetSplit(STABLE_ONLY)]


def ensure_stable(obs: Observation, stable: Revision, least: int | None = None) -> list[Action]:
    """Keep stable at its size, or at a smaller one, and the Service `<name>` on it."""
    if not stable.hash:
        return []  # others, for whom it is a stand-in (B16)
    wanted = sizes.stable_least(obs) if least is None else least
    actions = sizes.size(obs, stable, wanted, sizes.most(obs))
    actions += ensure_parts(obs, stable)
    if obs.service.selects != stable.hash:
        actions.append(PointService(stable.hash))
    actions += automation.tell(obs, stable)
    return actions + keeping.record_digest(obs, stable)


def ensure_parts(obs: Observation, mine: Revision) -> list[Action]:
    """Make what belongs to a revision beside its Deployment, as far as it is missing."""
    actions: list[Action] = []
    if not mine.has_service:
        manifest = revision.service(obs.deployment, mine.name, mine.hash)
        actions.append(Create("Service", manifest))
    if not mine.has_budget:
        actions.append(Create("PodDisruptionBudget", budget(obs.deployment, mine.hash)))
    return actions


def write_status(
    obs: Observation, standing: Standing, *, numbers: bool = False
) -> tuple[Action, ...]:
    """Write the status if it says something new; `numbers`: also if only counts changed."""
    status = project(obs, standing)
    fresh = numbers and status != obs.deployment.status
    if not fresh and not status_is_news(obs.deployment.status, status):
        return ()
    return (WriteStatus(status),)


def ensure_revision(obs: Observation, mine: Revision | None, replicas: int) -> list[Action]:
    """Make what a revision of the spec consists of, as far as it is missing.

    Args:
        obs: What is there.
        mine: The revision, if there is one.
        replicas: Its fewest pods.
    """
    image = obs.defaults.server_image
    if mine is None:
        if obs.refusal:
            return []  # the same template would be refused again
        digest = revision.revision_hash(obs.deployment.spec)
        name = labels.revision_name(obs.deployment.name, digest)
        made = Create("Deployment", revision.workload(obs.deployment, image, replicas))
        return [*automation.prepare(obs, name, digest), made]
    actions = [*ensure_parts(obs, mine), *sizes.size(obs, mine, replicas, sizes.most(obs))]
    actions += automation.tell(obs, mine)
    return actions + keeping.record_digest(obs, mine)
