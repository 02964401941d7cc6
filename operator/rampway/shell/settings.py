"""What the operator's administrator sets, by environment variables."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rampway import __version__


class BadSetting(ValueError):  # noqa: N818 - named after what it is
    """A setting that cannot be used; the message says which, what was seen, what is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings.

    Attributes:
        prometheus_url: Base address of Prometheus.
        server_image: Image of the model server where a ModelDeployment names none.
        look_interval_s: Seconds between two looks at the metrics of active rollouts.
        direct_look_interval_s: Seconds between two direct looks at the pods of running steps.
        checkpoint_interval_s: Seconds between two writes of evidence that brings no news.
        resync_interval_s: Seconds after which everything is looked at again without an event.
        http_port: Port of /healthz, /readyz and /metrics.
        workers: ModelDeployments reconciled at the same time.
        namespace: Where the operator's Lease is.
        pod: Name of the operator's pod; empty outside of a cluster.
        log_level: debug, info, warning or error.
        hook_urls: What the address of a hook's HTTP call has to begin with.
        metric_sources_file: List of the addresses that metric sources may name; empty for none.
        credentials_folder: Where credentials of metric sources are mounted, a folder each.
    """

    prometheus_url: str = "http://prometheus.rampway-system.svc:9090"
    server_image: str = f"rampway.local/model-server:{__version__}"
    look_interval_s: float = 5.0
    direct_look_interval_s: float = 1.0
    checkpoint_interval_s: float = 30.0
    resync_interval_s: float = 60.0
    http_port: int = 8081
    workers: int = 32
    namespace: str = "rampway-system"
    pod: str = ""
    log_level: str = "info"
    hook_urls: tuple[str, ...] = ()
    metric_sources_file: str = "/etc/rampway/metric-sources/sources.yaml"
    credentials_folder: str = "/etc/rampway/credentials"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read RAMPWAY_… variables; what is not set keeps its default.

        Raises:
            BadSetting: a value that is not the number that is expected there.
        """
        found = os.environ if env is None else env
        default = cls()
        return cls(
            prometheus_url=found.get("RAMPWAY_PROMETHEUS_URL", default.prometheus_url),
            metric_sources_file=found.get(
                "RAMPWAY_METRIC_SOURCES_FILE", default.metric_sources_file
            ),
            credentials_folder=found.get("RAMPWAY_CREDENTIALS_FOLDER", default.credentials_folder),
            server_image=found.get("RAMPWAY_MODEL_SERVER_IMAGE", default.server_image),
            look_interval_s=_positive(found, "LOOK_INTERVAL_S", default.look_interval_s),
            direct_look_interval_s=_positive(
                found, "DIRECT_LOOK_INTERVAL_S", default.direct_look_interval_s
            ),
            checkpoint_interval_s=_positive(
                found, "CHECKPOINT_INTERVAL_S", default.checkpoint_interval_s
            ),
            resync_interval_s=_positive(found, "RESYNC_INTERVAL_S", default.resync_interval_s),
            http_port=_whole(found, "HTTP_PORT", default.http_port, most=65_535),
            workers=_whole(found, "WORKERS", default.workers, most=1000),
            namespace=found.get("RAMPWAY_NAMESPACE", default.namespace),
            pod=found.get("RAMPWAY_POD", default.pod),
            log_level=found.get("RAMPWAY_LOG_LEVEL", default.log_level),
            hook_urls=_prefixes(found, "HOOK_URLS"),
        )


def _prefixes(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return addresses that others have to begin with.

    Each has a path: http://host alone would also allow http://host.of.somebody.else.
    """
    found = tuple(env.get(f"RAMPWAY_{name}", "").split())
    for prefix in found:
        parts = urlsplit(prefix)
        if parts.scheme not in {"http", "https"} or not parts.netloc or not parts.path:
            expected = "addresses such as https://host/ with a slash after the host"
            raise BadSetting(f"RAMPWAY_{name}: {prefix!r}: expected {expected}")
    return found


def _positive(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(f"RAMPWAY_{name}")
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise BadSetting(f"RAMPWAY_{name}={text!r}: expected a number above 0, such as {default}")
    return value


def _whole(env: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = env.get(f"RAMPWAY_{name}")
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        expected = f"a whole number from 1 to {most}, such as {default}"
        raise BadSetting(f"RAMPWAY_{name}={text!r}: expected {expected}")
    return value
