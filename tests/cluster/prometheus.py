"""An independent reader of the cluster's Prometheus: a library that Rampway itself does not use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.bench import SYSTEM, Bench, forwarded
from prometheus_api_client import PrometheusConnect


def replayed(bench: Bench, name: str, namespace: str, *words: str) -> str:
    """Return what `kubectl rampway replay` says of the last rollout, by Prometheus's history."""
    with forwarded(bench.kube, SYSTEM, "service/prometheus", 9090) as url:
        return bench.kube("rampway", "replay", name, "-n", namespace, "--prometheus", url, *words)


@contextmanager
def prometheus(bench: Bench) -> Iterator[Callable[[str], float]]:
    """Give a function that returns the one value of a query."""
    with forwarded(bench.kube, SYSTEM, "service/prometheus", 9090) as url:
        client = PrometheusConnect(url=url, disable_ssl=True)

        def read(query: str) -> float:
            (series,) = client.custom_query(query)
            return float(series["value"][1])

        yield read
