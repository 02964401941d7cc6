"""How fast a candidate that turns bad is off: `make bench-rollback`.

A candidate has 20 % of 50 requests a second; from some moment on all its answers fail, or half of
them, or 5 %. Measured by the client: from the first failed answer to the route's weight 0, to the
last failed answer, and how many failed. Runs that are done are kept in build/bench/rollback.jsonl,
so that it can be interrupted and goes on; delete that file to begin anew. Four cases more:
the candidate crash-loops, a pod of stable is unready, the operator is away, another takes over.

Cases with a past let stable serve first, for as long as it takes to know its bursts; before all
others its pods are replaced, so that it has none.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import skops.io
from bench.figures import CASES, REFERENCES, Case, figures, summary, table
from bench.troubles import TROUBLES
from cluster import models
from cluster.bench import SYSTEM, WORK, Bench, Model, set_up
from cluster.subject import SHARED_PROCESSES, Subject, share
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from demo.cluster import ROOT

RESULTS = ROOT / "build" / "bench" / "rollback.jsonl"
RATE_PER_S = 50.0
CALM_S = 12.0
"""The candidate is well for so long before it turns bad."""
LONGEST_S = 240.0
AFTER_S = 4.0
ABOUT_S = 45.0
"""A run takes about this long."""
SERVED_S = {1: 660.0, 15: 1980.0}
"""What makes a past, by scrape interval: 120 intervals, none shorter than five seconds."""
POLICY: Mapping[str, Any] = {
    "steps": [{"name": "fifth", "weight": "20%", "hold": "10m"}],
    "checks": [{"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}}],
    "rollback": {"keepCandidate": "0s"},
}


def fragile(folder: Path) -> Mapping[str, Model]:
    """Train the two models: one minds a pixel that it has never seen, the other does not."""
    pixels, labels = load_digits(return_X_y=True)
    known = list(range(17))
    found = dict(models.make(folder))
    for name, mercy in (("steady", {"handle_unknown": "use_encoded_value", "unknown_value": -1}),
                        ("fragile", {})):  # fmt: skip
        encoder = OrdinalEncoder(categories=[known], **mercy)
        first = ColumnTransformer([("code", encoder, [0])], remainder="passthrough")
        path = folder / f"{name}.skops"
        skops.io.dump(make_pipeline(first, RidgeClassifier()).fit(pixels, labels), path)
        found[name] = Model(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


class Watch:
    """Notes when the route of a ModelDeployment gave the candidate nothing any more."""

    def __init__(self, subject: Subject) -> None:
        self.changes: list[tuple[float, int]] = []
        words = ["kubectl", "get", "httproute", subject.name, "-n", subject.namespace, "--watch"]
        self._process = subprocess.Popen(
            [*words, "-o", "json", "--output-watch-events"], env=subject.bench.kube.env,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def off_since(self, begun_s: float) -> float | None:
        """Return when the weight first was 0 after an instant; None if it was not."""
        return next((at_s for at_s, pct in self.changes if at_s > begun_s and pct == 0), None)

    def close(self) -> None:
        """End the watch."""
        self._process.terminate()
        self._process.wait(10)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.changes.append((time.time(), share(json.loads(line)["object"])))


@contextmanager
def client(subject: Subject, out: Path) -> Iterator["subprocess.Popen[str]"]:
    """Ask while the block runs."""
    prefix, url = subject.bench.way_in()
    words = [*prefix, sys.executable, "-m", "bench.client", "--url", url, "--model", subject.name]
    env = {**subject.bench.kube.env, "PYTHONPATH": str(ROOT / "tests")}
    process = subprocess.Popen(
        [*words, "--rate", str(RATE_PER_S), "--out", str(out)], env=env, cwd=ROOT,
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(20)


def one(subject: Subject, case: Case, number: int) -> dict[str, Any]:
    """Do one run."""
    metrics = {"directLook": {"enabled": case.direct}}
    patch = SHARED_PROCESSES["podTemplatePatch"]
    new = {"metadata": {"annotations": {"bench": token_hex(4)}}}
    marked = {"podTemplatePatch": {**patch, **new}}
    subject.apply("fragile", POLICY, 2, marked, metrics=metrics)
    subject.in_force(20, 120)
    out = RESULTS.with_name("answers.jsonl")
    watch = Watch(subject)
    try:
        with client(subject, out) as asking:
            time.sleep(CALM_S)
            begun_s = time.time()
            with TROUBLES[case.trouble](subject):
                begun_s = time.time() if case.failing else begun_s
                tell(asking, case.failing)
                until_s = time.time() + LONGEST_S
                while watch.off_since(begun_s) is None and time.time() < until_s:
                    time.sleep(0.1)
                time.sleep(AFTER_S)
    finally:
        watch.close()
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    recent = [a for a in answers if a["sent_s"] >= begun_s]
    found = figures(recent, watch.off_since(begun_s), decided(subject, begun_s))
    subject.apply("steady", POLICY, 2, SHARED_PROCESSES, metrics=metrics)
    subject.promoted(120)
    return {"case": case.name, "run": number, **found}


def serve(subject: Subject, for_s: float) -> None:
    """Let stable serve, so that its past is known."""
    with client(subject, RESULTS.with_name("before.jsonl")):
        time.sleep(for_s)


def forget(subject: Subject) -> None:
    """Replace stable's pods: new ones have no past."""
    kube, of = subject.bench.kube, subject.label(subject.stable())
    kube("delete", "pod", "-n", subject.namespace, "-l", of, "--wait=false")
    workload = f"deployment/{subject.name}-{subject.stable()}"
    kube("rollout", "status", workload, "-n", subject.namespace, "--timeout=120s")
    time.sleep(AFTER_S)


def tell(asking: "subprocess.Popen[str]", failing: float) -> None:
    """Let so many of the requests be poisonous from now on."""
    if asking.stdin is None:
        raise RuntimeError("the client has no input")
    asking.stdin.write(f"{failing}\n")
    asking.stdin.flush()


def decided(subject: Subject, begun_s: float) -> float | None:
    """Return when the operator began to take the weight away, by its log."""
    lines = subject.bench.kube(
        "logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=rampway-operator", "--tail=400"
    ).splitlines()
    for line in lines:
        said = json.loads(line) if line.startswith("{") else {}
        acts = said.get("event") == "acting" and said.get("name") == subject.name
        if acts and "SetSplit" in said["actions"]:
            at_s = _instant(said["timestamp"])
            if at_s > begun_s:
                return at_s
    return None


def _instant(text: str) -> float:
    from rampway.core.instants import from_wire

    return from_wire(text) or 0.0


def scrape_every(bench: Bench, seconds: int) -> None:
    """Let Prometheus scrape so often."""
    kube = bench.kube
    name = next(
        volume["configMap"]["name"]
        for volume in kube.json("get", "deployment", "prometheus", "-n", SYSTEM)["spec"]["template"]
        ["spec"]["volumes"] if "configMap" in volume
    )  # fmt: skip
    config = kube.json("get", "configmap", name, "-n", SYSTEM)
    text = config["data"]["prometheus.yml"]
    head, _, rest = text.partition("scrape_interval:")
    rest = rest.partition("\n")[2]
    config["data"]["prometheus.yml"] = f"{head}scrape_interval: {seconds}s\n{rest}"
    config["metadata"] = {"name": name, "namespace": SYSTEM}
    kube("apply", "-f", "-", "--server-side", "--force-conflicts", given=json.dumps(config))
    kube("rollout", "restart", "deployment/prometheus", "-n", SYSTEM)
    bench.await_operator()


def known() -> list[dict[str, Any]]:
    """Return the runs that are done."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def main() -> int:
    """Run what is missing, print the table and, as the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each case (default 5)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    args = parser.parse_args()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    wanted = [case for case in CASES if args.only in case.name]
    missing = [
        (case, number)
        for case in wanted
        for number in range(args.runs)
        if not any(r["case"] == case.name and r["run"] == number for r in known())
    ]
    if missing:
        run_all(missing)
    done = {
        case.name: summary([r for r in known() if r["case"] == case.name][: args.runs])
        for case in wanted
    }
    print("\n".join(table(done)))  # noqa: T201 - what a benchmark is for
    print(json.dumps({"cases": done, "reference": REFERENCES}))  # noqa: T201 - as above
    return 0


def run_all(missing: list[tuple[Case, int]]) -> None:
    """Do the runs that are missing, one after the other."""
    WORK.mkdir(parents=True, exist_ok=True)
    bench = set_up(fragile)
    space = f"rampway-bench-{token_hex(2)}"
    bench.kube.make_namespace(space)
    subject = Subject(bench, space, "digits")
    interval_s, served = 0, False
    try:
        subject.start("steady", POLICY, 2, SHARED_PROCESSES)
        for index, (case, number) in enumerate(missing):
            if case.scrape_s != interval_s:
                interval_s, served = case.scrape_s, False
                scrape_every(bench, interval_s)
            if case.past and not served:
                serve(subject, SERVED_S[interval_s])
            elif not case.past:
                forget(subject)
            served = case.past
            found = one(subject, case, number)
            with RESULTS.open("a") as out:
                out.write(json.dumps(found) + "\n")
            left_min = (len(missing) - index - 1) * ABOUT_S / 60
            print(f"[{index + 1}/{len(missing)}] {found}, about {left_min:.0f} min left",  # noqa: T201
                  flush=True)  # fmt: skip
    finally:
        bench.kube.drop_namespace(space)
        bench.kube.drop_namespace(bench.home)


if __name__ == "__main__":
    sys.exit(main())
