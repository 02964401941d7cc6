"""Watches a rollout to its end: live on a terminal, a line for every change elsewhere."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demo.cluster import DemoError, Kubectl
from demo.install import NAMESPACE
from demo.view import Seen, changes, seen

NAME = "digits"
POLL_S = 1.0
LONGEST_S = 300.0
VIEW_ENDS_S = 5.0


def until_settled(kube: Kubectl) -> list[Seen]:
    """Return all that was seen from now until the rollout's end, at least that end.

    Raises:
        DemoError: it did not end in time.
    """
    began_s = time.monotonic()
    history: list[Seen] = []
    with _live_view(kube) as live:
        while not (history and history[-1].settled):
            if time.monotonic() - began_s > LONGEST_S:
                raise DemoError(_too_long(history))
            time.sleep(POLL_S if history else 0)
            now = look(kube)
            if not live:
                for line in changes(history[-1] if history else None, now):
                    print(f"  {time.monotonic() - began_s:5.1f} s  {line}", flush=True)
            history.append(now)
    return history


def look(kube: Kubectl) -> Seen:
    """Return the ModelDeployment and its rollout as they are now."""
    found = kube.json("get", "modeldeployments,modelrollouts", "-n", NAMESPACE)["items"]
    rollouts = [one for one in found if one["kind"] == "ModelRollout"]
    return next(
        seen(one, rollouts)
        for one in found
        if one["kind"] == "ModelDeployment" and one["metadata"]["name"] == NAME
    )


def rollouts(kube: Kubectl) -> list[dict[str, Any]]:
    """Return all rollouts that there are, as kubectl prints them."""
    found: list[dict[str, Any]] = kube.json("get", "modelrollouts", "-n", NAMESPACE)["items"]
    return found


def await_no_pods(kube: Kubectl, revision: str, longest_s: float) -> bool:
    """Wait until a revision has no pod left; return whether that came true in time."""
    deadline_s = time.monotonic() + longest_s
    label = f"rampway.dev/deployment={NAME},rampway.dev/revision={revision}"
    while kube("get", "pods", "-n", NAMESPACE, "-l", label, "-o", "name"):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


@contextmanager
def _live_view(kube: Kubectl) -> Iterator[bool]:
    """Show `kubectl rampway status --watch` on a terminal; give whether it is shown."""
    if not sys.stdout.isatty():
        yield False
        return
    words = ["kubectl", "rampway", "status", NAME, "-n", NAMESPACE, "--watch"]
    view = subprocess.Popen(words, env=kube.env)
    try:
        yield True
        time.sleep(POLL_S)  # the view is to show the end, too
    finally:
        view.send_signal(signal.SIGINT)
        try:
            view.wait(VIEW_ENDS_S)
        except subprocess.TimeoutExpired:
            view.kill()
            view.wait()


def _too_long(history: list[Seen]) -> str:
    now = history[-1]
    return (
        f"no end of the rollout within {LONGEST_S:.0f} s: phase {now.phase!r}, Promoted "
        f"{now.promoted!r}: {now.message}; see `kubectl describe modeldeployment {NAME} -n "
        f"{NAMESPACE}` and `kubectl logs deployment/rampway-operator -n rampway-system`"
    )
