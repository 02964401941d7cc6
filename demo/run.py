"""The demo from end to end: `make demo`, or `python -m demo.run` once the cluster is up.

It ends with one line of JSON; the exit code is 0 only if everything came out as promised.
"""

import os
import sys
import time
from typing import Any

from demo import install, models, story
from demo.cluster import WORK, DemoError, Kubectl, environment, images
from demo.figures import Result
from demo.story import heading
from demo.traffic import RATE_PER_S, traffic

INTERRUPTED = 130
BUSY = 2
"""A load of more than so many times the processors, over five minutes, is more than the demo."""
NEXT = """\
The cluster stays up, without traffic from now on. Try for example, after
  eval "$(python3 -m tools.localcluster env)"; export PATH="$PWD/.venv/bin:$PATH"
the commands
  kubectl rampway status digits -n demo            # the whole picture
  kubectl rampway history digits -n demo           # how each rollout went
  kubectl rampway history digits 2 -n demo         # every decision on v3, and why
  kubectl get modeldeployments,modelrollouts -n demo
  kubectl apply -f build/demo/v2.yaml              # back to v2: at once, its pods run
  kubectl get httproute digits -n demo -o yaml     # how the traffic is split
  make cluster-down                                # remove the cluster
The manifests are in build/demo/, every answer the client got in build/demo/answers.jsonl."""


def main() -> int:
    """Run the demo; return 0 if all went as promised."""
    began_s = time.monotonic()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file
    try:
        result = _run()
    except DemoError as failure:
        print(f"\nThe demo stopped: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. The cluster stays as it is; `make demo` starts anew.", file=sys.stderr
        )
        return INTERRUPTED
    heading(f"Done in {time.monotonic() - began_s:.0f} s")
    print(NEXT)
    broken = result.broken_promises()
    for sentence in broken:
        print(f"NOT AS PROMISED: {sentence}", file=sys.stderr, flush=True)
    if broken and (others := other_work()):
        print(others, file=sys.stderr, flush=True)
    print(result.line(), flush=True)
    return 1 if broken else 0


def other_work() -> str:
    """Return that this machine has more to do than the demo, empty if it has not."""
    load, processors = os.getloadavg()[1], os.cpu_count() or 1
    if load <= BUSY * processors:
        return ""
    return (
        f"This machine has other work (load {load:.1f} on {processors} processors), beside which "
        "a slow model does not stand out; try again when it is idle."
    )


def _run() -> Result:
    WORK.mkdir(parents=True, exist_ok=True)
    kube = Kubectl(environment())
    install.begin_cleaning(kube)
    manifest = _train()
    heading("Rampway and Prometheus")
    names = images(kube.env)
    stamps = install.stamps_names(kube)
    install.install_operator(kube, names, stamps=stamps)
    if not stamps:
        print("  this Kubernetes stamps no names: below 1.36, people in a rollout are `somebody`")
    heading("A namespace with a Gateway and a model store")
    install.finish_cleaning(kube)
    install.make_store(kube, names)
    install.write_deployments(manifest)
    install.await_operator(kube)
    install.await_store(kube)
    v1 = story.first(kube)
    heading(f"From now on {RATE_PER_S} requests a second go through the gateway")
    with traffic(kube, WORK / "models" / "holdout.jsonl", WORK / "answers.jsonl") as client:
        return story.tell(kube, client, v1)


def _train() -> dict[str, Any]:
    heading("Training four models on handwritten digits (some 15 s)")
    try:
        manifest = models.train(WORK / "models")
    except RuntimeError as err:
        raise DemoError(f"training: {err}") from err
    for version, facts in manifest["models"].items():
        print(
            f"  {version}: {facts['accuracy']:.1%} of held-out digits right, raises on "
            f"{facts['raising_share']:.1%}, {facts['predict_ms']:.1f} ms per prediction"
        )
    print(f"  v4 takes {manifest['slowdown_v4']:.1f} times as long as v2")
    return manifest


if __name__ == "__main__":
    sys.exit(main())
