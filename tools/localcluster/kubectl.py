"""Calls kubectl: the one that was built, or the machine's own for another cluster."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from tools.localcluster.commands import cluster_environment, output_of, succeeds
from tools.localcluster.errors import StepError

POLL_S = 0.5


@dataclass(frozen=True)
class Kubectl:
    """One kubectl with the environment it is to run in; KUBECONFIG is part of that."""

    program: str
    env: Mapping[str, str]

    def output(self, *arguments: str) -> str:
        """Return what a short call prints; a failure carries the server's words."""
        return output_of([self.program, *arguments], self.env)

    def works(self, *arguments: str) -> bool:
        """Say whether a call succeeds."""
        return succeeds([self.program, *arguments], self.env)

    def json(self, *arguments: str) -> Any:
        """Return a call's answer, read as JSON."""
        return json.loads(self.output(*arguments, "-o", "json"))

    def apply(self, manifest: str) -> None:
        """Apply a manifest server-side: some CRDs are too large for the client's annotation."""
        command = [self.program, "apply", "--server-side", "--force-conflicts", "-f", "-"]
        done = subprocess.run(
            command, input=manifest, capture_output=True, text=True, env=self.env, check=False
        )
        if done.returncode != 0:
            raise StepError(
                f"kubectl apply ended with exit status {done.returncode}: {done.stderr.strip()}",
                "run `down`, then `up`; if it stays, the log of kube-apiserver says more",
            )

    def wait(self, what: Sequence[str], patience_s: float, log: Path) -> None:
        """Repeat a question until it is answered; ``log`` is shown when it never is."""
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                self.output(*what)
            except StepError as error:
                if time.monotonic() > deadline_s:
                    advice = "run `down`, then `up`; see also `kubectl get pods,events -A`"
                    raise StepError(error.what, advice, log) from error
                time.sleep(POLL_S)
            else:
                return


def for_local(programs: Path, kubeconfig: Path) -> Kubectl:
    """Return the cluster's own kubectl."""
    env = {**cluster_environment(), "KUBECONFIG": str(kubeconfig)}
    return Kubectl(str(programs / "kubectl"), env)


def filled(manifest: Path, values: Mapping[str, str]) -> str:
    """Return a manifest with its ``${NAME}`` places filled; an unknown one is an error."""
    return Template(manifest.read_text()).substitute(values)
