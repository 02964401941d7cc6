"""Sends the demo's requests through the gateway, from where the gateway can be reached.

On the local cluster the client runs inside the cluster's network namespace. On any other it runs
here: straight to the Gateway's address where that answers, else through `kubectl port-forward`,
which adds the same few milliseconds to every revision's answers.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from demo.cluster import LOCAL, ROOT, DemoError, Kubectl, is_current
from demo.install import NAMESPACE
from demo.load import Answer, read_answers

RATE_PER_S = 100
HTTP_PORT = 80
STOP_S = 20.0
CONNECT_TRIES = 3
FIRST_ANSWER_S = 70.0


class Traffic:
    """The client at work; `answers` gives what it has written so far."""

    def __init__(self, client: "subprocess.Popen[bytes]", out: Path) -> None:
        self._client = client
        self._out = out

    def answers(self) -> list[Answer]:
        """Return all answers so far.

        Raises:
            DemoError: the client has ended.
        """
        if self._client.poll() is not None:
            raise DemoError(f"the client ended with exit code {self._client.returncode}; see above")
        return read_answers(self._out)

    def await_first(self) -> Self:
        """Wait until answers come in."""
        deadline_s = time.monotonic() + FIRST_ANSWER_S
        while not self.answers():
            if time.monotonic() > deadline_s:
                raise DemoError(f"the client got no answer within {FIRST_ANSWER_S:.0f} s")
            time.sleep(0.2)
        return self

    def stop(self) -> None:
        """Close the client's input, which ends it after the requests under way."""
        if self._client.stdin is not None:
            self._client.stdin.close()
        try:
            self._client.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait()


@contextmanager
def traffic(kube: Kubectl, digits: Path, out: Path) -> Iterator[Traffic]:
    """Send held-out digits to the Gateway for as long as the block runs."""
    out.unlink(missing_ok=True)
    with _way(kube) as (prefix, url):
        words = [*prefix, sys.executable, "-m", "demo.load", "--until-stdin-ends"]
        words += ["--url", url, "--digits", str(digits), "--out", str(out)]
        words += ["--rate", str(RATE_PER_S)]
        with out.with_suffix(".summary.json").open("w") as summary:
            client = subprocess.Popen(
                words, env=kube.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=summary
            )
        running = Traffic(client, out)
        try:
            yield running.await_first()
        finally:
            running.stop()


@contextmanager
def _way(kube: Kubectl) -> Iterator[tuple[list[str], str]]:
    """Give what to put before the client's command, and the gateway's URL as it then sees it."""
    path = "jsonpath={.status.addresses[0].value}"
    address = kube("get", "gateway", "eg", "-n", NAMESPACE, "-o", path)
    if not is_current():
        yield [*LOCAL, "enter"], f"http://{address}:{HTTP_PORT}"
    elif _answers(address):
        yield [], f"http://{address}:{HTTP_PORT}"
    else:
        with _forwarded(kube) as port:
            yield [], f"http://127.0.0.1:{port}"


def _answers(address: str) -> bool:
    """Whether the model itself answers there: an open port may be anybody's."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(CONNECT_TRIES):
        try:
            with direct.open(f"http://{address}:{HTTP_PORT}/v2/models/digits", timeout=2) as answer:
                return bool(json.load(answer).get("name") == "digits")
        except (OSError, ValueError):
            time.sleep(1)
    return False


@contextmanager
def _forwarded(kube: Kubectl) -> Iterator[int]:
    """Give a local port that leads to the Gateway's Envoy while the block runs."""
    label = f"gateway.envoyproxy.io/owning-gateway-namespace={NAMESPACE}"
    found = kube.json("get", "services", "-A", "-l", label)["items"]
    if not found:
        raise DemoError(
            "the Gateway's address does not answer from here, and it is not one of Envoy "
            "Gateway's, to whose Service the demo could forward a port; make the address reachable"
        )
    service = found[0]["metadata"]
    words = ["kubectl", "port-forward", "-n", service["namespace"], f"service/{service['name']}"]
    forward = subprocess.Popen(
        [*words, f":{HTTP_PORT}", "--address=127.0.0.1"],
        env=kube.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield _port(forward.stdout.readline() if forward.stdout else "")
    finally:
        forward.terminate()
        forward.wait()


def _port(said: str) -> int:
    """Return the port from `Forwarding from 127.0.0.1:40123 -> 10080`."""
    try:
        return int(said.split(" -> ", maxsplit=1)[0].rpartition(":")[2])
    except ValueError as err:
        raise DemoError(f"kubectl port-forward said {said!r}, expected a port; see above") from err
