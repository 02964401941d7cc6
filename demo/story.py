"""The demo's course: v1 first, v2 promoted, v3 and v4 rolled back, all under traffic."""

import time
from dataclasses import dataclass

from demo import figures
from demo.cluster import Kubectl
from demo.figures import Result
from demo.install import NAMESPACE, shown
from demo.load import Answer
from demo.traffic import Traffic
from demo.view import Seen, power
from demo.watch import NAME, await_no_pods, rollouts, until_settled

QUIET_S = 8.0
"""Traffic goes on for so long after each rollout, to see that it is really over."""
SETTLED_S = 2.0
"""An end has reached every proxy after so long."""
PODS_GONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One `kubectl apply` and how it ended.

    Attributes:
        begun_s: When it was applied, in seconds since 1970.
        settled_s: When its end was seen.
        until_s: When what comes next began.
        end: What was seen at the end.
    """

    version: str
    begun_s: float
    settled_s: float
    until_s: float
    end: Seen

    @property
    def stable(self) -> str:
        """Who serves after it, as the header `rampway-revision` names it."""
        return f"{NAME}-{self.end.stable}"

    @property
    def refused(self) -> str:
        """Who was rolled back, in the same words."""
        return f"{NAME}-{self.end.candidate}"


def first(kube: Kubectl) -> Seen:
    """Apply v1, which goes straight to all traffic, and return how that ended."""
    heading("v1: the first model; nothing to compare it with, so it serves as soon as it is ready")
    shown(kube, "apply", "-f", "build/demo/v1.yaml")
    end = until_settled(kube)[-1]
    print_deployments(kube)
    return end


def promote(kube: Kubectl, v1: Seen) -> Stage:
    """Roll v2 out, to the end of v1's last pod."""
    heading("v2: a better model, rolled out in three steps")
    stage = _roll(kube, "2")
    if stage.end.promoted == "True":
        print("  waiting until v1's pods are gone, requests going on: that must cost none either")
        if not await_no_pods(kube, v1.stable, PODS_GONE_S):
            print(f"  v1 still has pods after {PODS_GONE_S:.0f} s; going on")
    return _over(stage)


def refuse(kube: Kubectl, version: str, what: str) -> Stage:
    """Roll a bad model out, which is to be put back."""
    heading(f"v{version}: {what}")
    stage = _roll(kube, version)
    time.sleep(QUIET_S)
    return _over(stage)


def back_to_v2(kube: Kubectl) -> Stage:
    """Apply v2 again: its pods still run, so it is there at once."""
    heading("Back to v2's manifest, as a person would do: its pods run, so nothing is rolled out")
    stage = _roll(kube, "2")
    time.sleep(QUIET_S)
    return _over(stage)


def _roll(kube: Kubectl, version: str) -> Stage:
    begun_s = time.time()
    before = {one["metadata"]["uid"] for one in rollouts(kube)}
    shown(kube, "apply", "-f", f"build/demo/v{version}.yaml")
    history = until_settled(kube)
    settled_s = time.time()
    steps = power(one for one in rollouts(kube) if one["metadata"]["uid"] not in before)
    if steps:
        print("\n  What each step's checks had seen at its end:")
        print("\n".join(f"    {line}" for line in steps))
    print_deployments(kube)
    return Stage(version, begun_s, settled_s, settled_s, history[-1])


def _over(stage: Stage) -> Stage:
    return Stage(stage.version, stage.begun_s, stage.settled_s, time.time(), stage.end)


def tell(kube: Kubectl, client: Traffic, v1: Seen) -> Result:
    """Go through the rollouts under traffic and return what the client counted."""
    time.sleep(QUIET_S)
    names = {f"{NAME}-{v1.stable}": "v1"}
    v2 = promote(kube, v1)
    _report(client, v2, names)
    v3 = refuse(kube, "3", "its pipeline raises on about a tenth of the digits")
    _report(client, v3, names)
    back = back_to_v2(kube)
    v4 = refuse(kube, "4", "as right as v2, but takes more than twice as long")
    _report(client, v4, names)
    return result(client.answers(), v2, v3, (back, v4))


def result(answers: list[Answer], v2: Stage, v3: Stage, slow: tuple[Stage, Stage]) -> Result:
    """Return the figures of all stages; `slow` is the return to v2, and v4 after it."""
    back, v4 = slow
    rest = figures.since(answers, v2.settled_s, v3.begun_s)
    rest += figures.since(answers, back.settled_s, v4.begun_s)
    calm = [a.latency_ms for a in figures.by_revision(rest, v2.stable) if not a.failed]
    limit_ms = figures.percentile(calm, figures.SLOW_QUANTILE)
    promotion = figures.since(answers, v2.begun_s, v2.until_s)
    raised = figures.failed(figures.since(answers, v3.begun_s, back.begun_s))
    slowed = figures.by_revision(figures.since(answers, v4.begun_s, v4.until_s), v4.refused)
    print(f"\n  A bad answer of v4 is one above {limit_ms:.1f} ms, v2's 99th percentile at rest.")
    return Result(
        promoted=v2.end.promoted == "True" and _serves(answers, v2, v2.stable),
        promotion_s=figures.takeover_s(promotion, v2.begun_s, v2.stable),
        promotion_failed_requests=len(figures.failed(promotion)),
        rolled_back_errors=v3.end.phase == "RolledBack" and _serves(answers, v3, v2.stable),
        errors_rollback_s=figures.span_s(raised),
        errors_failed_requests=len(raised),
        rolled_back_slow=v4.end.phase == "RolledBack" and _serves(answers, v4, v2.stable),
        slow_rollback_s=figures.span_s(figures.slower(slowed, limit_ms)),
    )


def _serves(answers: list[Answer], stage: Stage, revision: str) -> bool:
    """Whether after the end of a stage the client got answers, and all from one revision."""
    after = figures.since(answers, stage.settled_s + SETTLED_S, stage.until_s)
    return {answer.revision for answer in after} == {revision}


def _report(client: Traffic, stage: Stage, names: dict[str, str]) -> None:
    """Print what the client counted in a stage; `names`: versions by revision, added to here."""
    mine = stage.stable if stage.end.promoted == "True" else stage.refused
    names.setdefault(mine, f"v{stage.version}")
    answers = figures.since(client.answers(), stage.begun_s, stage.until_s)
    print("\n  What the client got:")
    print("\n".join(f"    {line}" for line in figures.table(answers, names)), flush=True)


def print_deployments(kube: Kubectl) -> None:
    """Print what `kubectl get modeldeployments` shows."""
    print(f"\n  $ kubectl get modeldeployments -n {NAMESPACE}")
    shown_lines = kube("get", "modeldeployments", "-n", NAMESPACE).splitlines()
    print("\n".join(f"  {line}" for line in shown_lines), flush=True)


def heading(text: str) -> None:
    """Print the title of a stage."""
    print(f"\n== {text}", flush=True)
