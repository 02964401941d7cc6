"""The server's settings: each a command-line option and an environment variable."""

import argparse
import dataclasses
import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rampway_server.errors import StartError

TERMINATION_LOG = Path("/dev/termination-log")
_MODELS_DIR = Path("/models")
_TEMPORARY = Path(tempfile.gettempdir()) / "rampway-cache"
_DIGEST = re.compile(r"[0-9a-f]{64}")


_MOST_PORTS = 65535


def _option(default: Any, env: str, help_text: str, most: float = math.inf) -> Any:
    """Return a setting; `most` bounds it where it is a number."""
    told = {"env": env, "help": help_text, "most": most}
    return dataclasses.field(default=default, metadata=told)


def _truth(text: str) -> bool:
    truths = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    try:
        return truths[text.strip().lower()]
    except KeyError:
        raise ValueError("expected yes or no") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("expected a number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _types(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _digest(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha256:")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError("expected 64 hexadecimal digits")
    return digest


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server was told; bytes and seconds; an empty string means "not given"."""

    path: str = _option("", "RAMPWAY_MODEL_PATH", "a model's file or a folder of models, as PATH")
    uri: str = _option(
        "", "RAMPWAY_MODEL_URI", "where the model is: file, pvc, http(s), s3, gs, az or hf"
    )
    name: str = _option("model", "RAMPWAY_MODEL_NAME", "the model's name in paths and metrics")
    sha256: str = _option("", "RAMPWAY_MODEL_SHA256", "digest that the model's bytes must have")
    sha256_file: str = _option(
        "", "RAMPWAY_MODEL_SHA256_FILE", "file with such a digest; absent or empty: no demand"
    )
    automation_file: str = _option(
        "", "RAMPWAY_AUTOMATION_FILE", "file with Off, Assist, Partial 0.9 or Full; absent: Full"
    )
    lineage_file: str = _option(
        "", "RAMPWAY_LINEAGE_FILE", "file with a JSON object of texts: where the models come from"
    )
    authorization: str = _option(
        "", "RAMPWAY_AUTHORIZATION", "header Authorization for http and https, as in: Bearer abc"
    )
    revision: str = _option("", "RAMPWAY_REVISION", "the revision, a label of every metric")
    version: str = _option("", "RAMPWAY_MODEL_VERSION", "version shown to clients (else 1)")
    trust: tuple[str, ...] = _option(
        (), "RAMPWAY_TRUST", "types, comma separated, that the skops file may hold beyond the safe"
    )
    allow_pickle: bool = _option(
        default=False,
        env="RAMPWAY_ALLOW_PICKLE",
        help_text="yes: load pickles and joblib files, which may run any code",
    )
    host: str = _option("", "RAMPWAY_HOST", "address to listen on (else all)")
    port: int = _option(8080, "RAMPWAY_PORT", "port to listen on", _MOST_PORTS)
    grpc_port: int = _option(0, "RAMPWAY_GRPC_PORT", "port for gRPC (0: none)", _MOST_PORTS)
    models_dir: Path = _option(  # noqa: RUF009  # it is dataclasses.field
        _MODELS_DIR, "RAMPWAY_MODELS_DIR", "where claims are mounted"
    )
    cache_dir: Path = _option(  # noqa: RUF009  # as above
        _TEMPORARY, "RAMPWAY_CACHE_DIR", "where downloads go (else temporary)"
    )
    termination_log: Path = _option(  # noqa: RUF009  # as above
        TERMINATION_LOG, "RAMPWAY_TERMINATION_LOG", "where the last words go"
    )
    fetch_timeout_s: float = _option(
        120.0, "RAMPWAY_FETCH_TIMEOUT_S", "deadline of the whole download, retries included"
    )
    max_model_bytes: int = _option(2 << 30, "RAMPWAY_MAX_MODEL_BYTES", "largest model accepted")
    max_cache_bytes: int = _option(
        16 << 30, "RAMPWAY_MAX_CACHE_BYTES", "what the cache keeps of earlier downloads"
    )
    max_body_bytes: int = _option(16 << 20, "RAMPWAY_MAX_BODY_BYTES", "largest request accepted")
    body_timeout_s: float = _option(
        60.0, "RAMPWAY_BODY_TIMEOUT_S", "how long a request's body may be on its way; beyond: 408"
    )
    timeout_s: float = _option(
        60.0, "RAMPWAY_TIMEOUT_S", "how long a request may wait and be predicted; beyond: 504"
    )
    workers: int = _option(
        0, "RAMPWAY_WORKERS", "processes (0: one per whole CPU of the limit, at most 4)"
    )
    threads: int = _option(
        0, "RAMPWAY_THREADS", "threads of each for slow predictions (0: its share of the CPUs)"
    )
    max_queue: int = _option(512, "RAMPWAY_MAX_QUEUE", "requests that may wait; beyond: 503")
    drain_delay_s: float = _option(
        5.0, "RAMPWAY_DRAIN_DELAY_S", "serve on this long after SIGTERM, not ready"
    )
    drain_timeout_s: int = _option(
        20, "RAMPWAY_DRAIN_TIMEOUT_S", "then wait this long for requests in flight"
    )
    keep_alive_s: int = _option(
        4500, "RAMPWAY_KEEP_ALIVE_S", "idle connections are kept this long (Envoy: 3600)"
    )
    payload_log: str = _option(
        "",
        "RAMPWAY_PAYLOAD_LOG",
        "folder or URL (s3, gs, az, fsspec's) for requests with their answers",
    )
    payload_format: str = _option("jsonl", "RAMPWAY_PAYLOAD_FORMAT", "jsonl or parquet")
    payload_share: float = _option(
        1.0, "RAMPWAY_PAYLOAD_SHARE", "share of requests that are logged, 0 to 1", 1
    )
    payload_queue_bytes: int = _option(
        64 << 20, "RAMPWAY_PAYLOAD_QUEUE_BYTES", "payloads that may wait; beyond: dropped"
    )
    payload_interval_s: float = _option(
        60.0, "RAMPWAY_PAYLOAD_INTERVAL_S", "how often a file of payloads is written"
    )
    tls_cert: str = _option("", "RAMPWAY_TLS_CERT", "certificate chain, PEM; then all is TLS")
    tls_key: str = _option("", "RAMPWAY_TLS_KEY", "the certificate's key, PEM")
    log_level: str = _option("info", "RAMPWAY_LOG_LEVEL", "debug, info, warning or error")


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings from options, else the environment, else the defaults.

    Raises:
        StartError: a value cannot be read, or no URI was given.
    """
    given = vars(_parser().parse_args(argv))
    positional = given.pop("positional")
    given["path"] = positional if given["path"] is None else given["path"]
    values: dict[str, Any] = {}
    for option in dataclasses.fields(Settings):
        env = option.metadata["env"]
        flag, text = _flag(option.name), given[option.name]
        source = flag if text is not None else env
        text = text if text is not None else environ.get(env, "")
        if text != "":
            values[option.name] = _read(option, source, text)
    settings = Settings(**values)
    return _checked(settings)


def _checked(settings: Settings) -> Settings:
    if not settings.uri and not settings.path:
        raise StartError(
            "no model given: set --uri or RAMPWAY_MODEL_URI, for example to file:///path or "
            "s3://bucket/key, or name a file or folder"
        )
    if settings.uri and settings.path:
        raise StartError(f"two models given: --uri {settings.uri} and the path {settings.path}")
    if settings.path:
        _check_alone(settings)
    if settings.payload_format not in {"jsonl", "parquet"}:
        raise StartError(
            f"--payload-format is {settings.payload_format!r}: expected jsonl or parquet"
        )
    if settings.log_level.lower() not in {"debug", "info", "warning", "error"}:
        raise StartError(
            f"--log-level is {settings.log_level!r}: expected debug, info, warning or error"
        )
    return settings


def _check_alone(settings: Settings) -> None:
    """Refuse what holds for one model given by URI: a folder's names, versions and bytes change."""
    defaults = Settings()
    for name in ("name", "version", "revision", "sha256", "sha256_file"):
        if getattr(settings, name) != getattr(defaults, name):
            raise StartError(
                f"{_flag(name)} holds for a model given by --uri, not for the path "
                f"{settings.path}; give a file as --uri file://{Path(settings.path).absolute()}"
            )


def read_digest_file(path: str) -> str:
    """Return the digest in the file, or "" when there is no such file or it is empty.

    Raises:
        StartError: the file holds something else.
    """
    if not path:
        return ""
    try:
        return _digest(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise StartError(f"cannot read a digest from {path}: {error}") from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rampway_server",
        description="Serve scikit-learn and ONNX models over the Open Inference Protocol.",
    )
    parser.add_argument("positional", metavar="PATH", nargs="?", help="the same as --path")
    for option in dataclasses.fields(Settings):
        parser.add_argument(
            _flag(option.name),
            dest=option.name,
            help=f"{option.metadata['help']} [{option.metadata['env']}]".replace("%", "%%"),
        )
    return parser


def _read(option: dataclasses.Field[Any], source: str, text: str) -> object:
    readers: dict[Any, Callable[[str], object]] = {tuple[str, ...]: _types, bool: _truth}
    readers |= {Path: Path, str: str, float: _number, int: _whole}
    reader = _digest if option.name == "sha256" else readers[option.type]
    try:
        value = reader(text)
    except ValueError as error:
        raise StartError(f"{source} is {text!r}: {error}") from error
    most = option.metadata["most"]
    if isinstance(value, int | float) and not (0 <= value <= most and value < math.inf):
        bounds = "of 0 or more" if most == math.inf else f"from 0 to {most}"
        raise StartError(f"{source} is {text!r}: expected a number {bounds}")
    return value


_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_MOST = 4


def worker_count(settings: Settings, cgroup: Path = _CPU_MAX) -> int:
    """Return the number of processes: as told, else whole CPUs of the limit, at most 4.

    Without a limit it is one: nobody has said that the machine's cores are for this server.
    """
    return settings.workers or max(1, min(_MOST, int(_cpu_limit(cgroup) or 1)))


def thread_count(settings: Settings, cgroup: Path = _CPU_MAX) -> int:
    """Return the number of threads of each process: as told, else its share of CPUs, at most 4."""
    available = len(os.sched_getaffinity(0))
    share = min(available, _cpu_limit(cgroup) or available) / worker_count(settings, cgroup)
    return settings.threads or max(1, min(_MOST, int(share)))


def _cpu_limit(cgroup: Path) -> float | None:
    try:
        quota, period = cgroup.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None
