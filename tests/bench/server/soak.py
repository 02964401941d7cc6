"""Ten minutes at 80 % of what the server can do, its model loaded anew again and again.

`make bench-server-soak`. The last line is JSON: how many requests went wrong, how memory grew, how
many times the model was loaded anew meanwhile, and how much of the load there really was.
"""

import argparse
import json
import os
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench.server import load
from bench.server.__main__ import ONE_THREAD, ROOT, saved, serving, works
from bench.server.systems import INFER, NAME, PORT, TREES, System

RELOAD_S = 20.0
SAMPLE_S = 2.0
TRIALS = 3
SETTLED = 0.25
"""Of the time: memory that is taken in the beginning is no growth."""


def server() -> System:
    """Return this server with a folder of one model, which can be loaded anew."""
    options = ["--path", "{folder}/models", "--host", "127.0.0.1", "--port", str(PORT)]
    return System("soak", "", (), ["-m", "rampway_server", *options, "--workers", "1", *TREES])


@dataclass
class Watch:
    """What is seen while the load runs."""

    leader: int
    stop: threading.Event = field(default_factory=threading.Event)
    memory: list[tuple[float, float]] = field(default_factory=list)
    reloads: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Note the memory, and have the model loaded anew, until it is enough."""
        begun_s = reloaded_s = time.monotonic()
        while not self.stop.wait(SAMPLE_S):
            now_s = time.monotonic()
            self.memory.append((now_s - begun_s, load.rss_mb(load.tree(self.leader))))
            if now_s - reloaded_s >= RELOAD_S:
                reloaded_s = now_s
                self._reload()

    def _reload(self) -> None:
        url = f"http://127.0.0.1:{PORT}/v2/repository/models/{NAME}/load"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, b""), timeout=60) as reply:
                reply.read()
            self.reloads += 1
        except OSError as error:
            self.failures.append(repr(error))

    def slope_mb_per_h(self) -> float | None:
        """Return by how much memory grew, once it had settled; None: too few samples."""
        settled = [one for one in self.memory if one[0] >= SETTLED * self.memory[-1][0]]
        if len(settled) < 3:  # a line through two says nothing
            return None
        times, sizes = zip(*settled, strict=True)
        return round(float(np.polyfit(times, sizes, 1)[0]) * 3600, 2)


def rest_ms(sent: load.Body, rps: float, connections: int, folder: Path) -> float:
    """Return how long connections have to rest for so many requests a second in all."""
    cycle_ms = 1000 * connections / rps
    found = cycle_ms
    for _ in range(TRIALS):  # what a connection does not rest it waits for its answer
        tried = load.run(sent, INFER, connections, 5, folder, delay_ms=found)
        took_ms = 1000 * connections * tried["seconds"] / tried["requests"]
        found = max(0.0, found + cycle_ms - took_ms)
    return found


def soak(work: str, seconds: float, share: float, connections: int) -> dict[str, Any]:
    """Return what came of it."""
    folder = ROOT / "build/bench/server/soak"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    models = saved(folder.parent)
    shutil.copy(models[work].with_suffix(".skops"), folder / f"models/{NAME}.skops")
    sent = load.body(works()[work][1], "json")
    with serving(server(), models[work], folder) as leader:
        load.run(sent, INFER, connections, 3, folder)
        full = load.run(sent, INFER, connections, 10, folder)
        most_rps = full["requests"] / full["seconds"]
        delay_ms = rest_ms(sent, share * most_rps, connections, folder)
        watch = Watch(leader)
        thread = threading.Thread(target=watch.run)
        thread.start()
        found = load.run(sent, INFER, connections, seconds, folder, delay_ms=delay_ms)
        watch.stop.set()
        thread.join()
    rps = found["requests"] / found["seconds"]
    return {
        "work": work,
        "seconds": round(found["seconds"], 1),
        "requests": found["requests"],
        "bad": found["bad"],
        "most_rps": round(most_rps, 1),
        "rps": round(rps, 1),
        "share": round(rps / most_rps, 3),
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "reloads": watch.reloads,
        "reloads_failed": watch.failures,
        "rss_first_mb": watch.memory[0][1],
        "rss_last_mb": watch.memory[-1][1],
        "rss_slope_mb_per_h": watch.slope_mb_per_h(),
        "load": os.getloadavg()[0],
    }


def main(argv: Sequence[str]) -> int:
    """Soak, and print one line of JSON; 1 if a request or a reload went wrong."""
    parser = argparse.ArgumentParser(prog="bench.server.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--share", type=float, default=0.8, help="of the most it can do")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--work", default="1x4")
    options = parser.parse_args(argv)
    found = soak(options.work, options.minutes * 60, options.share, options.connections)
    print(json.dumps(found), flush=True)  # noqa: T201 - what a benchmark is for
    return 1 if found["bad"] or found["reloads_failed"] else 0


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    sys.exit(main(sys.argv[1:]))
