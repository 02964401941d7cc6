"""One measurement: wrk on one core against a server on another."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench.server.systems import PORT

SERVER_CORE, CLIENT_CORE = "0", "1"
_SCRIPT = """
wrk.method = "POST"
wrk.body = io.open(os.getenv("BODY"), "rb"):read("*a")
wrk.headers["Content-Type"] = os.getenv("TYPE")
if os.getenv("JSON_BYTES") ~= "" then
  wrk.headers["Inference-Header-Content-Length"] = os.getenv("JSON_BYTES")
end
local pause = tonumber(os.getenv("DELAY_MS"))
if pause > 0 then
  local whole = math.floor(pause)  -- wrk rests whole milliseconds: in the mean it is what was asked
  delay = function() return math.random() < pause - whole and whole + 1 or whole end
end
done = function(summary, latency)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  local form = 'RESULT {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "bad": %d}\\n'
  io.write(string.format(form, summary.requests, summary.duration / 1e6, p50, p99, bad))
end
"""


@dataclass(frozen=True)
class Body:
    """What is sent again and again.

    Attributes:
        json_bytes: How much of it is JSON, if binary tensors follow.
    """

    content: bytes
    json_bytes: int | None = None


def body(rows: np.ndarray, form: str) -> Body:
    """Return a request with these rows in one of the forms."""
    if form == "rows":  # BentoML's
        return Body(json.dumps({"rows": rows.tolist()}).encode())
    tensor: dict[str, Any] = {"name": "input-0", "shape": list(rows.shape), "datatype": "FP64"}
    if form == "json":
        return Body(json.dumps({"inputs": [tensor | {"data": rows.ravel().tolist()}]}).encode())
    raw = rows.astype("<f8").tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [tensor]}).encode()
    return Body(text + raw, len(text))


def run(
    sent: Body, path: str, connections: int, seconds: float, folder: Path, *, delay_ms: float = 0.0
) -> dict[str, float]:
    """Return requests, seconds, p50_ms, p99_ms and how many requests went wrong (`bad`).

    `delay_ms` is how long each connection rests before a request, in the mean.
    """
    (folder / "body").write_bytes(sent.content)
    (folder / "wrk.lua").write_text(_SCRIPT, encoding="utf-8")
    binary = sent.json_bytes is not None
    environment = {
        "BODY": str(folder / "body"),
        "TYPE": "application/octet-stream" if binary else "application/json",
        "DELAY_MS": str(delay_ms),
        "JSON_BYTES": str(sent.json_bytes) if binary else "",
    }
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}"]
    command += [f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(folder / "wrk.lua")]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{PORT}{path}"],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    (result,) = re.findall(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    found: dict[str, float] = json.loads(result)
    return found


def tree(root: int) -> list[int]:
    """Return a process and all that come from it."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            found = dict(re.findall(r"^(Pid|PPid):\s+(\d+)$", status.read_text(), re.MULTILINE))
            parents.setdefault(int(found["PPid"]), []).append(int(found["Pid"]))
    known = [root]
    for pid in known:  # which grows meanwhile
        known += parents.get(pid, [])
    return known


def rss_mb(pids: Sequence[int]) -> float:
    """Return the resident memory of processes, in 10^6 bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            total += sum(int(kb) for kb in re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE))
    return round(total * 1024 / 1e6, 1)


def cpu_s(pids: Sequence[int]) -> float:
    """Return how long processes have had a processor, whatever else the machine did."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = (
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            )
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")
