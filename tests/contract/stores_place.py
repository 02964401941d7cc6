"""Real object stores on loopback: S3 and Azure that verify signatures, and Google's API."""

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest

from tools.localcluster.catalog import catalog
from tools.localcluster.paths import layout

KEY = base64.b64encode(b"a key of the tests' own").decode()
START_S = 60


@dataclass(frozen=True)
class Place:
    """A store that runs.

    Attributes:
        base: What a URI of it begins with, up to the bucket.
        environment: What lets a client find it and be let in.
        secret: The variable in it that proves who asks.
    """

    base: str
    environment: dict[str, str]
    secret: str


def program(name: str, file: str = "") -> Path:
    """Return a program that the local cluster's tool has built; without it the test fails."""
    folder = catalog(layout()).folder(name)
    if not folder.is_dir():
        pytest.fail(f"{name} is not built; run `make stores`")
    return folder / (file or name)


@contextlib.contextmanager
def running(command: list[str | Path], port: int, log: Path, **more: str) -> Iterator[None]:
    """Run a program until the block ends; it must listen on that port of loopback."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=os.environ | more, stdout=output, stderr=output)
    try:
        deadline_s = time.monotonic() + START_S
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, f"{command[0]} does not listen after {START_S} s"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def s3(folder: Path, port: int, tls: tuple[Path, Path] | None = None) -> Iterator[Place]:
    """Run versitygw: folders are buckets. With `tls`, certificate and key, it speaks https."""
    words: list[str | Path] = [program("versitygw"), "--port", f"127.0.0.1:{port}"]
    words += ["--cert", tls[0], "--key", tls[1]] if tls else []
    environment = {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"{'https' if tls else 'http'}://127.0.0.1:{port}",
    }
    root = {"ROOT_ACCESS_KEY": "reader", "ROOT_SECRET_KEY": KEY}
    with running([*words, "posix", folder], port, folder.with_suffix(".log"), **root):
        yield Place("s3://models", environment, "AWS_SECRET_ACCESS_KEY")


@contextlib.contextmanager
def gs(folder: Path, port: int) -> Iterator[Place]:
    """Run fake-gcs-server, which asks nobody who they are."""
    words: list[str | Path] = [program("fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1"]
    words += ["-port", str(port), "-backend", "memory", "-data", folder]
    words += ["-public-host", "127.0.0.1"]  # the host whose paths begin with a bucket
    environment = {
        "GOOGLE_BASE_URL": f"http://127.0.0.1:{port}",
        "GOOGLE_BEARER_TOKEN": "believed",
    }
    with running(words, port, folder.with_suffix(".log")):
        yield Place("gs://models", environment, "")


@contextlib.contextmanager
def az(folder: Path, port: int) -> Iterator[Place]:
    """Run Azurite, with one account and one container."""
    words: list[str | Path] = [
        program("azurite", file) for file in ("bin/node", "bin/azurite-blob")
    ]
    words += [
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
    ]
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/account",
    }
    accounts = {"AZURITE_ACCOUNTS": f"account:{KEY}"}
    with running(words, port, folder.with_suffix(".log"), **accounts):
        _put(environment["AZURE_STORAGE_ENDPOINT"], "models?restype=container", b"")
        for path in (folder / "models").rglob("*.*"):
            name = quote(str(path.relative_to(folder)))
            _put(environment["AZURE_STORAGE_ENDPOINT"], name, path.read_bytes())
        yield Place("az://models", environment, "AZURE_STORAGE_ACCOUNT_KEY")


def _put(endpoint: str, name: str, data: bytes) -> None:
    """Make a container or a blob, signed as Azure's page `Authorize with Shared Key` says."""
    path, _, query = name.partition("?")
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    headers |= {} if query else {"x-ms-blob-type": "BlockBlob"}
    signed = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
    kind = "application/octet-stream"
    resource = f"/account/account/{path}" + (f"\n{query.replace('=', ':')}" if query else "")
    text = f"PUT\n\n\n{len(data) or ''}\n\n{kind}" + "\n" * 7 + signed + resource
    mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey account:{base64.b64encode(mac).decode()}"
    headers["Content-Type"] = kind
    request = urllib.request.Request(f"{endpoint}/{name}", data, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback that nobody has signed, and its key."""
    made = folder / "tls.crt", folder / "tls.key"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*words, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True)
    return made


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Start = Callable[[Path, int], contextlib.AbstractContextManager[Place]]
STORES: dict[str, Start] = {"s3": s3, "gs": gs, "az": az}
