"""The shell's edges: a pod's answer, the operator's own pages, its token, its log."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
import structlog
from aiohttp import web
from prometheus_client import REGISTRY

from rampway.api import labels
from rampway.kube.errors import Transient
from rampway.shell import http, login, probe, telemetry
from rampway.shell.probe import LONGEST_ANSWER, DigestProbe, digest_of

DIGEST = "ab" * 32
GOOD = json.dumps({"name": "digits", "parameters": {"sha256": DIGEST}}).encode()
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODIES = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no text": b"\xff\xfe",
    "another shape": b"[]",
    "no parameters": b"{}",
    "parameters of another shape": b'{"parameters": 3}',
    "no digest": b'{"parameters": {}}',
    "a digest of another type": b'{"parameters": {"sha256": 7}}',
    "a digest too short": b'{"parameters": {"sha256": "ab"}}',
    "a digest that is none": json.dumps({"parameters": {"sha256": "x" * 64}}).encode(),
    "a digest with a line after it": json.dumps({"parameters": {"sha256": DIGEST + "\n"}}).encode(),
    "nested beyond reason": b"[" * 200_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_b03_what_is_no_digest_is_none(body: bytes) -> None:
    """B3: a pod runs a user's code; whatever it says that is no digest is nothing."""
    assert digest_of(body) == ""


def test_b03_a_digest_is_read() -> None:
    """B3: from the parameters of the model's metadata."""
    assert digest_of(GOOD) == DIGEST


async def asked(answer: Answer, monkeypatch: pytest.MonkeyPatch, model: str = "digits") -> str:
    """Return what the probe makes of a server's answer."""
    app = web.Application()
    app.router.add_get("/v2/models/digits", answer)
    app.router.add_get("/elsewhere", _good)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    monkeypatch.setattr(labels, "SERVER_PORT", port)
    try:
        async with aiohttp.ClientSession() as session:
            return await DigestProbe(session)("ml", {"status": {"podIP": "127.0.0.1"}}, model)
    finally:
        await runner.cleanup()


async def _good(_: web.Request) -> web.StreamResponse:
    return web.Response(body=GOOD)


async def _in_pieces(request: web.Request) -> web.StreamResponse:
    found = web.StreamResponse()
    await found.prepare(request)
    for at in range(0, len(GOOD), 20):
        await found.write(GOOD[at : at + 20])
        await asyncio.sleep(0.005)
    return found


async def _endless(request: web.Request) -> web.StreamResponse:
    found = web.StreamResponse()
    await found.prepare(request)
    for _ in range(64 * LONGEST_ANSWER // 65536):
        await found.write(b" " * 65536)
    return found


async def _elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def _slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.3)
    return web.Response(body=GOOD)


async def _torn(request: web.Request) -> web.StreamResponse:
    found = web.StreamResponse(headers={"Content-Length": "1000"})
    await found.prepare(request)
    await found.write(GOOD)
    assert request.transport is not None
    request.transport.close()
    return found


ANSWERS: dict[str, tuple[Answer, str]] = {
    "whole": (_good, DIGEST),
    "in pieces": (_in_pieces, DIGEST),
    "without end": (_endless, ""),
    "a redirect": (_elsewhere, ""),
    "too late": (_slow, ""),
    "torn off": (_torn, ""),
}


@pytest.mark.parametrize(("answer", "found"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_b03_a_hostile_pod_does_no_harm(
    answer: Answer, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: slow, endless, torn and redirecting answers are no digest, and no error."""
    monkeypatch.setattr(probe, "DEADLINE_S", 0.1 if answer is _slow else 10.0)
    assert await asked(answer, monkeypatch) == found


async def test_a_pod_without_address_is_not_asked(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither no address nor one where nobody listens is an error."""
    monkeypatch.setattr(labels, "SERVER_PORT", unused_tcp_port)
    async with aiohttp.ClientSession() as session:
        ask = DigestProbe(session)
        assert await ask("ml", {"status": {}}, "digits") == ""
        assert await ask("ml", {"status": {"podIP": "::1"}}, "digits") == ""


async def test_the_operators_pages(unused_tcp_port: int) -> None:
    """/healthz and /readyz say what is wrong with 503; /metrics are Prometheus'."""
    trouble = {"alive": "", "ready": "waiting for the first list"}
    runner = await http.serve(unused_tcp_port, lambda: trouble["alive"], lambda: trouble["ready"])
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as session:

            async def page(path: str) -> tuple[int, str]:
                async with session.get(path) as found:
                    return found.status, await found.text()

            assert await page("/healthz") == (200, "ok")
            assert await page("/readyz") == (503, "waiting for the first list")
            trouble.update(alive="nothing listed for 200 s", ready="")
            assert await page("/healthz") == (503, "nothing listed for 200 s")
            assert await page("/readyz") == (200, "ok")
            status, text = await page("/metrics")
            assert status == 200
            assert "rampway_reconciles_total" in text
    finally:
        await runner.cleanup()


def token(payload: Any) -> str:
    """Return a token with this payload."""
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"head.{body}.signature"


def test_b30_a_token_is_read_again_before_it_expires() -> None:
    """B30: five minutes before its end."""
    assert login.expires(token({"exp": 1_800_000_300})) == datetime.fromtimestamp(
        1_800_000_000, UTC
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "opaque", "a.b", "a.!!!.c", token([]), token({}), token({"exp": "soon"}),
        token({"exp": 1e300}), token({"exp": float("inf")}), token({"exp": None}),
    ],
)  # fmt: skip
def test_b30_a_token_that_does_not_say_is_kept(text: str) -> None:
    """B30: without a readable expiry the token is used until it is refused."""
    assert login.expires(text) is None


def test_b30_login_is_by_the_pods_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: in a pod its own token counts, read at each login; outside, the kubeconfig."""
    monkeypatch.setattr(login, "FOLDER", tmp_path)
    outside = object()
    monkeypatch.setattr(kopf, "login_with_kubeconfig", lambda **_: outside)
    assert login.login() is outside
    for exp in (1_800_000_300, 1_800_003_900):
        (tmp_path / "token").write_text(token({"exp": exp}) + "\n")
        found = login.login()
        assert found is not None
        assert found.token == token({"exp": exp})
        assert found.expiration == datetime.fromtimestamp(exp - 300, UTC)
        assert found.ca_path == str(tmp_path / "ca.crt")
        assert found.server == login.SERVER


def passes(result: str) -> float:
    """Return how many passes had this result."""
    return REGISTRY.get_sample_value("rampway_reconciles_total", {"result": result}) or 0.0


def test_passes_are_counted() -> None:
    """A pass that fails counts as an error and its exception goes on; others are timed."""
    good, bad = passes("ok"), passes("error")
    with telemetry.reconcile(("ml", "digits")):
        pass
    with pytest.raises(Transient), telemetry.reconcile(("ml", "digits")):
        raise Transient("503")
    assert (passes("ok"), passes("error")) == (good + 1, bad + 1)


def test_an_unknown_log_level_is_refused() -> None:
    """The message names the variable, what was seen, and what there is."""
    with pytest.raises(ValueError, match="RAMPWAY_LOG_LEVEL='loud': expected debug, info"):
        telemetry.configure("loud")


def test_the_log_is_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """From the level on, one JSON object a line on standard error, with its fields."""
    before = structlog.get_config()
    try:
        telemetry.configure("Warning")
        log = structlog.get_logger("test")
        log.info("unheard")
        log.warning("seen", name="digits")
    finally:
        structlog.configure(**before)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["name"]) == ("seen", "warning", "digits")
    assert found["timestamp"].endswith("Z")
