"""TLS for HTTP and gRPC, with a certificate that is renewed under way."""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs
from unit.server.asgi import infer_body
from unit.server.conftest import Process, StartServer
from unit.server.waiting import DEADLINE_S, until, wait_until

from rampway_server import tls
from rampway_server.door import certificate
from rampway_server.errors import StartError
from rampway_server.settings import Settings
from rampway_server.tls import Certificate

ABANDONED_S = 30.0  # when Python itself gives up such a client
BODY = json.dumps(infer_body([[1.0] * 64])).encode()


def issue(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate of its own for localhost, and its key."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key)]
    command += ["-out", str(chain), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates, one and two."""
    folder = tmp_path_factory.mktemp("issued")
    issue(folder, "one")
    issue(folder, "two")
    return folder


@pytest.fixture
def used(issued: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The files that a server uses, the first certificate to begin with."""
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(issued / "one.crt", chain)
    shutil.copy(issued / "one.key", key)
    return chain, key


async def served_by(context: ssl.SSLContext, trusted: Path) -> bool:
    """Return whether a client that trusts one certificate alone is served."""
    ended = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = ssl.create_default_context(cafile=str(trusted))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    except OSError:  # by TLS, or because the server has nothing to say
        return False
    else:
        await ended.wait()
        writer.close()
        return True
    finally:
        server.close()


async def test_new_files_are_used_and_files_that_do_not_fit_are_not(
    issued: Path, used: tuple[Path, Path]
) -> None:
    """In the midst of a change the old certificate serves on; then the new one does."""
    certificate = Certificate(*used)
    assert await served_by(certificate.context, issued / "one.crt")
    shutil.copy(issued / "two.crt", used[0])  # its key is yet to come
    with pytest.raises(ssl.SSLError):
        certificate.renew()
    assert await served_by(certificate.context, issued / "one.crt")
    shutil.copy(issued / "two.key", used[1])
    certificate.renew()
    assert await served_by(certificate.context, issued / "two.crt")
    assert not await served_by(certificate.context, issued / "one.crt")


async def test_files_are_looked_at_again_and_again(
    issued: Path, used: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with them now, later they may be good."""
    monkeypatch.setattr(tls, "POLL_S", 0.01)
    certificate = Certificate(*used)
    following = asyncio.create_task(certificate.follow())
    with capture_logs() as logs:
        used[0].unlink()
        await until(lambda: logs)
        shutil.copy(issued / "two.key", used[1])
        shutil.copy(issued / "two.crt", used[0])
        await until(lambda: logs[-1]["event"] == "the certificate was renewed")
    assert logs[0]["event"] == "the certificate stays as it was"
    assert await served_by(certificate.context, issued / "two.crt")
    following.cancel()


def test_bad_files_are_told(issued: Path, tmp_path: Path) -> None:
    """Absent, or not belonging together."""
    with pytest.raises(StartError, match=r"cannot read .*absent"):
        Certificate(tmp_path / "absent", issued / "one.key")
    with pytest.raises(StartError, match=r"cannot use certificate .*one\.crt with key .*two\.key"):
        Certificate(issued / "one.crt", issued / "two.key")


@pytest.fixture
def server(start_server: StartServer, model_file: Path, used: tuple[Path, Path]) -> Process:
    """A server with TLS."""
    chain, key = used
    return start_server(
        f"file://{model_file}", RAMPWAY_TLS_CERT=str(chain), RAMPWAY_TLS_KEY=str(key)
    )


def test_who_never_reads_does_not_hold_up_the_end(
    start_server: StartServer, model_file: Path, used: tuple[Path, Path]
) -> None:
    """An idle client that does not answer the end of TLS is left after a second."""
    chain, key = used
    given = {"RAMPWAY_TLS_CERT": str(chain), "RAMPWAY_TLS_KEY": str(key)}
    server = start_server(f"file://{model_file}", **given, RAMPWAY_DRAIN_TIMEOUT_S="3600")
    context = ssl.create_default_context(cafile=str(chain))
    with contextlib.ExitStack() as clients:

        def answered() -> bool:
            assert server.popen.poll() is None, server.end()
            try:
                plain = socket.create_connection(("127.0.0.1", server.port))
            except OSError:
                return False
            client = clients.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            client.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200 ")

        wait_until(answered, "the server is never ready")
        server.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.popen.wait(ABANDONED_S / 2)
        assert server.popen.returncode == 0, "it waits for a client that will never answer"


async def test_http_and_grpc_are_tls(server: Process, issued: Path) -> None:
    """Both are served to who trusts the certificate, and plain HTTP is not."""
    context = ssl.create_default_context(cafile=str(issued / "one.crt"))
    head = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    sent = head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    received = b""
    while not received.startswith(b"HTTP/1.1 200 "):
        assert server.popen.poll() is None
        await asyncio.sleep(0.1)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        except OSError:
            continue
        writer.write(sent)
        received = await reader.read()
        writer.close()
    assert server.get("/v2/health/live")[0] == 0
    credentials = grpc.ssl_channel_credentials((issued / "one.crt").read_bytes())
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials) as channel:
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        assert await live(b"", timeout=DEADLINE_S) == b"\x08\x01"
    assert server.popen.poll() is None


@pytest.mark.parametrize("given", [{"tls_cert": "/x"}, {"tls_key": "/x"}])
def test_half_of_a_pair_is_told(given: dict[str, str]) -> None:
    """B28: a certificate without its key, or a key alone, is no reason to serve without TLS."""
    with pytest.raises(StartError, match="a certificate needs its key"):
        certificate(Settings(**given))  # type: ignore[arg-type]
    assert certificate(Settings()) is None
