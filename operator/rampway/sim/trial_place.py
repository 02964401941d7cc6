"""Where a trial takes place: pods, route and requests, as plainly as a decision sees them."""

from copy import copy
from dataclasses import dataclass, field, replace
from random import Random

from rampway.api import labels
from rampway.api.parse import ModelDeployment
from rampway.core import actions
from rampway.core.checks import history
from rampway.core.checks.counters import Scrape
from rampway.core.instants import from_wire
from rampway.core.observation import HookRun, Pod, Revision, StableService
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.sim.answering import Answering, Server
from rampway.sim.traffic import binomial, poisson

BEGAN_S = 1_700_000_000.0
"""When every trial begins, in seconds since the Unix epoch."""
STABLE = "0000000000"
"""Hash of the revision that is stable at first."""
BEFORE_S = 3600.0
"""What stable's pods have counted at the begin is of so long."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a trial is about.

    Attributes:
        deployment: Names the candidate, and holds the policy.
        rate_per_s: Requests per second of all clients together.
        stable: How stable answers.
        candidate: How the candidate answers.
        matched: Share of the requests that a step with a match chooses.
        look_s: Seconds between two direct looks at the pods.
        scrape_s: Seconds between two of Prometheus's scrapes.
        pod_start_s: From a pod's creation until it is ready.
        past_s: Stable's pods have been there for so long.
        longest_s: The trial is given up after this time.
    """

    deployment: ModelDeployment
    rate_per_s: float
    stable: Answering
    candidate: Answering
    matched: float = 0.01
    look_s: float = 1.0
    scrape_s: float = 15.0
    pod_start_s: float = 10.0
    past_s: float = history.PAST_S
    longest_s: float = 48 * 3600.0


@dataclass(slots=True)
class Tally:
    """What a trial costs so far.

    Attributes:
        answers: What the candidate answered to users; `failed` of them failed.
        copies: Copies of requests that it was sent.
        pod_s: Pod seconds of both revisions beyond stable's full size.
        most_pods: The most pods of both at a time.
    """

    answers: int = 0
    failed: int = 0
    copies: int = 0
    pod_s: float = 0.0
    most_pods: int = 0


@dataclass(slots=True)
class Place:
    """Revisions with their pods, the route, and who answers what."""

    setting: Setting
    rng: Random
    now_s: float = BEGAN_S
    split: Split = STABLE_ONLY
    split_s: float = BEGAN_S
    hooks: dict[str, HookRun] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    _revisions: dict[str, Revision] = field(default_factory=dict)
    _servers: dict[str, Server] = field(default_factory=dict)
    _selects: str = STABLE
    _accepted: bool = True

    def __post_init__(self) -> None:
        """Let stable serve, alone."""
        setting = self.setting
        since_s = self.now_s - setting.past_s
        self._make(STABLE, setting.stable, self._full, since_s)
        self._revisions[STABLE] = replace(self._revisions[STABLE], promoted_at_s=since_s)
        # A latency check chooses its bounds by what stable has counted since its start.
        self._servers[STABLE].answer(self.rng, poisson(self.rng, setting.rate_per_s * BEFORE_S))

    @property
    def deployment(self) -> ModelDeployment:
        """The ModelDeployment as it was applied."""
        return self.setting.deployment

    @property
    def _full(self) -> int:
        return self.deployment.spec.replicas

    @property
    def stable(self) -> Server:
        """The counters of the revision that was stable at first."""
        return self._servers[STABLE]

    def beside(self, candidate: Answering, rng: Random) -> "Place":
        """Return a place like this one for another candidate, which must not have answered yet."""
        other = copy(self)
        other.setting, other.rng = replace(self.setting, candidate=candidate), rng
        other.hooks, other.tally = dict(self.hooks), replace(self.tally)
        other._revisions = dict(self._revisions)  # noqa: SLF001 - one of these itself
        other._servers = {  # noqa: SLF001 - likewise
            digest: known.copied() if digest == STABLE else replace(known, how=candidate)
            for digest, known in self._servers.items()
        }
        return other

    def go_on(self, seconds: float) -> None:
        """Let time go on, and requests come in."""
        self.now_s += seconds
        self._accepted = True
        pods = sum(known.replicas for known in self._revisions.values())
        self.tally.pod_s += seconds * max(0, pods - self._full)
        self.tally.most_pods = max(self.tally.most_pods, pods)
        self._requests(poisson(self.rng, self.setting.rate_per_s * seconds))

    def _requests(self, n: int) -> None:
        share = self.split.weight_pct / 100
        if self.split.headers:
            share = max(share, self.setting.matched)
        chosen = binomial(self.rng, n, share)
        copies = binomial(self.rng, n, self.split.mirror_pct / 100)
        named = next((h for h, r in self._revisions.items() if r.name == self.split.candidate), "")
        self._answer(self._selects, n - chosen)
        if named:
            self._answer(named, chosen)
            self._servers[named].answer(self.rng, copies, seen=False)
            self.tally.copies += copies

    def _answer(self, digest: str, n: int) -> None:
        failed = self._servers[digest].answer(self.rng, n)
        if digest != STABLE:
            self.tally.answers += n
            self.tally.failed += failed

    # What is seen of it.

    def revisions(self) -> dict[str, Revision]:
        """Return the revisions by hash; pods are ready some time after they began."""
        return {digest: self._shown(known) for digest, known in self._revisions.items()}

    def _shown(self, known: Revision) -> Revision:
        since_s = self.now_s - self.setting.pod_start_s
        if all(pod.ready == (pod.created_s <= since_s) for pod in known.pods):
            return known
        pods = tuple(replace(pod, ready=pod.created_s <= since_s) for pod in known.pods)
        return self._keep(known, pods)

    def _keep(self, known: Revision, pods: tuple[Pod, ...]) -> Revision:
        reached = frozenset(pod.name for pod in pods if pod.ready)
        made = self._revisions[known.hash] = replace(known, pods=pods, reachable=reached)
        return made

    def route(self) -> Route:
        """Return the route; a change is accepted when time has gone on."""
        return Route(
            exists=True,
            in_shape=True,
            at_rest=self.split.at_rest,
            split=self.split,
            accepted=self._accepted,
        )

    def service(self) -> StableService:
        """Return whom the Service of stable selects."""
        pods = self._shown(self._revisions[self._selects]).pods
        return StableService(self._selects, frozenset(pod.name for pod in pods if pod.ready))

    def scrapes(self, *, direct: bool) -> tuple[Scrape, ...]:
        """Return what the pods say now."""
        ready = [self._servers[hash_] for hash_, known in self.revisions().items() if known.ready]
        found = [one.scrape(self.now_s, direct=direct) for one in ready]
        if not direct:  # what users count is told by pods of theirs, which only Prometheus asks
            found += [one.told(self.now_s) for one in ready if one.counters]
        return tuple(found)

    # What is done to it.

    def apply(self, action: actions.Action) -> None:
        """Do what a decision asks for, as far as anything here depends on it."""
        match action:
            case actions.Create("Deployment", manifest):
                digest = str(manifest["metadata"]["labels"][labels.REVISION])
                replicas = int(manifest["spec"]["replicas"])
                self._make(digest, self.setting.candidate, replicas, self.now_s)
            case actions.Scale(name, replicas):
                self._scale(self._hash_of(name), replicas, self.now_s)
            case actions.Annotate(name, notes) if labels.PROMOTED_AT in notes:
                digest = self._hash_of(name)
                at_s = from_wire(notes[labels.PROMOTED_AT])
                self._revisions[digest] = replace(self._revisions[digest], promoted_at_s=at_s)
            case actions.PointService(digest):
                self._selects = digest
            case actions.SetSplit(split):
                self.split, self.split_s, self._accepted = split, self.now_s, False
            case actions.RunHook(rollout=name, key=key):
                self.hooks[f"{name}/{key}"] = HookRun("Succeeded")
            case _:  # Services, Events, statuses
                pass

    def _hash_of(self, name: str) -> str:
        return next(known.hash for known in self._revisions.values() if known.name == name)

    def _make(self, digest: str, how: Answering, replicas: int, at_s: float) -> None:
        name = labels.revision_name(self.deployment.name, digest)
        self._servers[digest] = Server(self.deployment.namespace, name, how, at_s)
        made = Revision(digest, name, f"uid-{digest}", at_s, 0, has_service=True, has_budget=True)
        self._revisions[digest] = replace(made, recorded_sha256="0" * 64)
        self._scale(digest, replicas, at_s)

    def _scale(self, digest: str, replicas: int, at_s: float) -> None:
        known = replace(self._revisions[digest], replicas=replicas)
        more = (Pod(f"{known.name}-{n}", at_s) for n in range(len(known.pods), replicas))
        self._keep(known, (*known.pods[:replicas], *more))
