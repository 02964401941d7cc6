"""An independent reader of the cluster's Prometheus: a library that Rampway itself does not use."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.bench import SYSTEM, Bench
from prometheus_api_client import PrometheusConnect


@contextmanager
def prometheus(bench: Bench) -> Iterator[Callable[[str], float]]:
    """Give a function that returns the one value of a query."""
    words = ["kubectl", "port-forward", "-n", SYSTEM, "service/prometheus", ":9090"]
    forward = subprocess.Popen(
        [*words, "--address=127.0.0.1"], env=bench.kube.env, stdout=subprocess.PIPE, text=True
    )
    with forward:
        try:
            said = forward.stdout.readline() if forward.stdout else ""
            yield _reader(said)
        finally:
            forward.terminate()


def _reader(said: str) -> Callable[[str], float]:
    """Return the reader for what `kubectl port-forward` said."""
    found = re.match(r"Forwarding from (127\.0\.0\.1:\d+) -> ", said)
    assert found, f"kubectl port-forward said {said!r}, expected an address"
    client = PrometheusConnect(url=f"http://{found[1]}", disable_ssl=True)

    def read(query: str) -> float:
        (series,) = client.custom_query(query)
        return float(series["value"][1])

    return read
