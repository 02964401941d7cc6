"""Requests through the Gateway, by the demo's own client, counted by that client."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.bench import Bench, until
from cluster.load import Answer, read_answers

from demo.cluster import ROOT

RATE_PER_S = 40.0
FIRST_ANSWER_S = 60.0
STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Caller:
    """The client at work."""

    process: "subprocess.Popen[bytes]"
    out: Path

    def answers(self, since_s: float = 0.0) -> list[Answer]:
        """Return the answers so far to requests sent from an instant on (seconds since 1970)."""
        return [answer for answer in read_answers(self.out) if answer.sent_s >= since_s]

    def failed(self, since_s: float = 0.0) -> list[Answer]:
        """Return the requests that got no prediction."""
        return [answer for answer in self.answers(since_s) if answer.failed]

    def revisions(self, since_s: float = 0.0) -> set[str]:
        """Return who has answered."""
        return {answer.revision for answer in self.answers(since_s)}

    def left_out(self) -> int:
        """Return how many requests this machine was too busy to send; known once stopped."""
        summary = json.loads(self.out.with_suffix(".summary").read_text())
        return int(summary["left_out"])

    def ended(self) -> bool:
        """Whether the client has ended, which it must not by itself."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Let it end after the requests under way."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def calling(
    bench: Bench,
    models: str | Sequence[str],
    out: Path,
    diagnosis: Callable[[], str],
    rate_per_s: float = RATE_PER_S,
    *,
    header: str = "",
    url: str = "",
) -> Iterator[Caller]:
    """Ask a model, or many in turn, for digits while the block runs.

    Begins once the Gateway answers for each; `header` is `name: value`, of each request; `url` is
    that of a Service, to be called instead of the Gateway.
    """
    prefix, gateway = bench.way_in()
    words = [*prefix, sys.executable, "-m", "demo.load", "--until-stdin-ends"]
    words += ["--url", url or gateway]
    for model in [models] if isinstance(models, str) else models:
        words += ["--model", model]
    words += ["--rate", str(rate_per_s), *(["--header", header] if header else [])]
    words += ["--digits", str(bench.holdout), "--out", str(out)]
    with out.with_suffix(".summary").open("w") as summary:
        process = subprocess.Popen(
            words, env=bench.kube.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=summary
        )
    caller = Caller(process, out)
    try:
        until(
            lambda: caller.answers() or caller.ended(), "a first answer through the Gateway",
            diagnosis, FIRST_ANSWER_S,
        )  # fmt: skip
        assert not caller.ended(), f"the client ended with {process.returncode}\n{diagnosis()}"
        yield caller
    finally:
        caller.stop()


def settle() -> float:
    """Wait until a change of weights has reached every proxy; return the instant after."""
    time.sleep(1.5)
    return time.time()
