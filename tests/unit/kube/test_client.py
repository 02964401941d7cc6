"""The client against a server that says what a test wants it to say (B30)."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from rampway.kube import client as client_module
from rampway.kube.base import Obj
from rampway.kube.client import KubeClient, connect
from rampway.kube.errors import Conflict, Ending, Forbidden, Invalid, KubeError, NotFound, Transient
from rampway.kube.kinds import CONFIG_MAP, POD

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers by `handler`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []
        self.handler: Handler = self.fine
        self.port = 0

    async def fine(self, _request: web.Request) -> web.StreamResponse:
        """Answer with an empty object."""
        return web.json_response({"metadata": {}})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Keep the request, and let the test's handler answer."""
        self.requests.append(request)
        self.bodies.append(await request.text())
        return await self.handler(request)

    def says(self, status: int, headers: dict[str, str] | None = None, **content: object) -> None:
        """Answer every request with this status object."""

        async def handler(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"kind": "Status"} | content, status=status, headers=headers)

        self.handler = handler


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Run a server on a free port of the loopback device."""
    fake = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Path:
    """Write a kubeconfig for the server, with a token file."""
    (tmp_path / "token").write_text("first")
    return write_config(tmp_path, server.port, {"tokenFile": str(tmp_path / "token")})


@pytest.fixture
async def api(config: Path) -> AsyncIterator[KubeClient]:
    """Connect a client to the server."""
    client = await connect(str(config), deadline_s=2)
    yield client
    await client.close()


def write_config(folder: Path, port: int, user: dict[str, object]) -> Path:
    """Write a kubeconfig for a plain HTTP server."""
    content = {
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


async def get(api: KubeClient) -> Obj:
    """Read any object."""
    return await api.get(CONFIG_MAP, "ml", "one")


def takes_only(server: Server, token: str) -> None:
    """Answer 401 to every other token."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == f"Bearer {token}":
            return web.json_response({"metadata": {}})
        return web.json_response({"message": "Unauthorized"}, status=401)

    server.handler = handler


async def test_a_rotated_token_is_read(server: Server, api: KubeClient, config: Path) -> None:
    """B30: an expired token costs one more login and one more try, not an error."""
    await get(api)
    (config.parent / "token").write_text("second")
    takes_only(server, "second")
    await get(api)
    await get(api)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


async def test_a_token_refused_twice_is_transient(server: Server, api: KubeClient) -> None:
    """B30: a 401 that a new login does not cure is for later, and logins are not hammered."""
    takes_only(server, "never")
    with pytest.raises(Transient, match="get ConfigMap ml/one: 401: Unauthorized"):
        await get(api)
    assert len(server.requests) == 2
    with pytest.raises(Transient):
        await get(api)
    assert len(server.requests) == 3


async def test_many_401s_make_one_login(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B30: calls refused together share one run of the exec plugin, however soon after."""
    monkeypatch.setattr(client_module, "RELOGIN_EVERY_S", 0.0)
    counter = tmp_path / "runs"
    script = (
        f"import json; f=open({str(counter)!r},'a+'); f.write('x'); f.seek(0); n=len(f.read())\n"
        "print(json.dumps({'apiVersion':'v1','kind':'E','status':{'token':f'run-{n}'}}))"
    )
    plugin = {"apiVersion": "v1", "command": sys.executable, "args": ["-c", script]}
    api = await connect(str(write_config(tmp_path, server.port, {"exec": plugin})))
    takes_only(server, "run-2")
    await asyncio.gather(*(get(api) for _ in range(20)))
    assert counter.read_text() == "xx"
    await api.close()


async def test_a_login_that_fails_on_401_is_transient(
    server: Server, api: KubeClient, config: Path
) -> None:
    """B30: a kubeconfig that is being rewritten is for later."""
    takes_only(server, "second")
    await asyncio.to_thread(config.write_text, "")
    with pytest.raises(Transient, match="login after a 401: login by kubeconfig"):
        await get(api)


@pytest.mark.parametrize("status", [408, 410, 429, 500, 502, 503, 504])
async def test_trouble_of_the_server_is_transient(
    server: Server, api: KubeClient, status: int
) -> None:
    """B30: statuses that may pass are Transient, with the server's wish to be left alone."""
    server.says(status, {"Retry-After": "7"}, message="too much")
    with pytest.raises(Transient, match=f"{status}: too much") as caught:
        await get(api)
    assert caught.value.retry_after_s == 7
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_b30_a_read_survives_two_passing_faults(
    server: Server, api: KubeClient, status: int
) -> None:
    """B30: a fault in ten does not fail a whole pass, whose ten reads would all be repeated."""
    answers = [status, status, 200]

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {}}, status=answers.pop(0))

    server.handler = handler
    await get(api)
    assert (len(server.requests), answers) == (3, [])


@pytest.mark.parametrize(("status", "sent"), [(500, 3), (408, 1), (410, 1), (404, 1), (403, 1)])
async def test_b30_what_does_not_pass_is_read_once(
    server: Server, api: KubeClient, status: int, sent: int
) -> None:
    """B30: a server that keeps failing is asked three times, one that means it is asked once."""
    server.says(status)
    with pytest.raises(KubeError):
        await get(api)
    assert len(server.requests) == sent


async def test_b30_a_write_is_never_sent_twice(server: Server, api: KubeClient) -> None:
    """B30: what a write did before its answer was lost is found out by reading."""
    server.says(503)
    with pytest.raises(Transient):
        await api.patch(CONFIG_MAP, "ml", "one", {"data": {}})
    assert len(server.requests) == 1


async def test_retry_after_in_the_body(server: Server, api: KubeClient) -> None:
    """The wish is read from the status object too; a date or nonsense is none."""
    server.says(429, {"Retry-After": "tomorrow"}, details={"retryAfterSeconds": 3})
    with pytest.raises(Transient) as caught:
        await get(api)
    assert caught.value.retry_after_s == 3
    server.says(503)
    with pytest.raises(Transient) as caught:
        await get(api)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (400, {"message": "bad"}, Invalid),
        (422, {"message": "no", "details": {"causes": [{"field": "spec"}]}}, Invalid),
        (403, {"message": "no"}, Forbidden),
        (403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}, Ending),
        (404, {"message": "no"}, NotFound),
        (409, {"reason": "Conflict"}, Conflict),
        (405, {}, Invalid),
    ],
)
async def test_statuses(
    server: Server, api: KubeClient, status: int, content: Obj, expected: type[KubeError]
) -> None:
    """Each status is the error that says what to do about it."""
    server.says(status, **content)
    with pytest.raises(expected) as caught:
        await get(api)
    assert type(caught.value) is expected


async def test_a_quota_conflict_on_create_is_no_existing_object(
    server: Server, api: KubeClient
) -> None:
    """B29: a 409 that is not AlreadyExists means try again, not that the object is there."""
    server.says(409, reason="Conflict", message="resourcequotas: the object has been modified")
    with pytest.raises(Conflict):
        await api.create(CONFIG_MAP, {"metadata": {"name": "one", "namespace": "ml"}})


@pytest.mark.parametrize(
    ("patch", "details", "expected"),
    [
        ([{"op": "test"}], {}, Conflict),
        ([{"op": "add"}], {}, Invalid),
        ([{"op": "test"}], {"name": "one", "causes": [{"field": "metadata.labels"}]}, Invalid),
        ({}, {"name": "one", "causes": [{"field": "metadata.uid"}]}, Conflict),
        ({}, {"name": "one", "causes": [{"field": "spec"}]}, Invalid),
        ({}, {}, Invalid),
    ],
)
async def test_what_a_422_means(
    server: Server, api: KubeClient, patch: Obj, details: Obj, expected: type[KubeError]
) -> None:
    """B30: a bare 422 to a `test`, and one that blames the uid, are lost races (seen on 1.36)."""
    server.says(422, reason="Invalid", message="the server rejected it", details=details)
    with pytest.raises(expected, match="422: the server rejected it"):
        await api.patch(CONFIG_MAP, "ml", "one", patch)


async def test_words_are_cut(server: Server, api: KubeClient) -> None:
    """At most 512 characters of the server's words reach a message."""
    server.says(400, message="x" * 513)
    with pytest.raises(Invalid) as caught:
        await get(api)
    assert str(caught.value) == "get ConfigMap ml/one: 400: " + "x" * 511 + "…"


@pytest.mark.parametrize("status", [200, 502])
async def test_answers_that_are_no_json(server: Server, api: KubeClient, status: int) -> None:
    """B30: a page of a proxy is trouble on the way, whatever its status."""

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>log in</html>", status=status)

    server.handler = page
    with pytest.raises(Transient, match="<html>log in"):
        await get(api)


@pytest.mark.parametrize("headers_first", [False, True])
async def test_silence_ends_at_the_deadline(
    server: Server, config: Path, *, headers_first: bool
) -> None:
    """B30: a server that stops talking, even in the middle, is given up in time."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if headers_first:
            await response.prepare(request)
            await response.write(b'{"metadata":')
        await asyncio.sleep(30)
        return response

    server.handler = handler
    api = await connect(str(config), deadline_s=0.3)
    async with asyncio.timeout(3):
        with pytest.raises(Transient, match=r"timeout: no answer within 0\.3 s") as caught:
            await get(api)
    assert isinstance(caught.value.__cause__, TimeoutError)
    await api.close()


async def test_b30_one_answer_that_never_comes_is_asked_for_again(
    server: Server, config: Path
) -> None:
    """B30: a lost answer costs a read a third of its deadline, not all of it."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            await asyncio.sleep(30)
        return web.json_response({"metadata": {}})

    server.handler = handler
    api = await connect(str(config), deadline_s=0.6)
    async with asyncio.timeout(3):
        await get(api)
    assert len(server.requests) == 2
    await api.close()


async def test_the_deadline_of_a_list_is_for_all_pages(server: Server, config: Path) -> None:
    """B30: pages that each come in time do not make a list endless."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return web.json_response({"metadata": {"continue": "more"}, "items": []})

    server.handler = handler
    api = await connect(str(config), deadline_s=0.45)
    async with asyncio.timeout(3):
        with pytest.raises(Transient, match="timeout"):
            await api.list(CONFIG_MAP)
    assert 2 <= len(server.requests) <= 5
    await api.close()


async def test_no_connection_is_transient(server: Server, tmp_path: Path) -> None:
    """B30: a refused connection is Transient, with its cause chained."""
    api = await connect(str(write_config(tmp_path, 1, {})))
    with pytest.raises(Transient, match=r"get ConfigMap ml/one: no answer: Client.*127") as caught:
        await get(api)
    assert isinstance(caught.value.__cause__, OSError)
    await api.close()
    assert not server.requests


async def test_a_cut_connection_is_transient(server: Server, api: KubeClient) -> None:
    """B30: a server that hangs up is Transient; a write is sent once, for it may have worked."""

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.handler = hang_up
    with pytest.raises(Transient, match="ServerDisconnected"):
        await api.patch(CONFIG_MAP, "ml", "one", {"data": {}})
    assert len(server.requests) == 1


async def test_loopback_needs_no_proxy_and_no_netrc(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy and ~/.netrc, for other servers, stay out of a loopback call."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    api = await connect(str(write_config(tmp_path, server.port, {})))
    await get(api)
    assert "Authorization" not in server.requests[0].headers
    await api.close()


async def test_who_wrote_which_field_is_not_kept(server: Server, api: KubeClient) -> None:
    """Half of an object tells who manages its fields; nobody reads it, of one or of many."""

    async def handler(request: web.Request) -> web.StreamResponse:
        found = {"metadata": {"name": "one", "managedFields": [{"manager": "kubectl"}]}}
        return web.json_response(found if request.path.endswith("one") else {"items": [found]})

    server.handler = handler
    assert (await api.get(POD, "ml", "one"))["metadata"] == {"name": "one"}
    assert [pod["metadata"] for pod in await api.list(POD, "ml")] == [{"name": "one"}]


async def test_list_pages(server: Server, api: KubeClient) -> None:
    """A list asks page by page with its labels, and types the items."""

    async def handler(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("continue") or 0)
        meta = {"continue": str(number + 1)} if number < 2 else {}
        items = [{"metadata": {"name": f"n{number}"}}] if number != 1 else None
        return web.json_response({"metadata": meta, "items": items})

    server.handler = handler
    found = await api.list(POD, "ml", {"app": "digits", "tier": "a"})
    assert found == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in ("n0", "n2")
    ]
    assert [request.query.get("continue") for request in server.requests] == [None, "1", "2"]
    for request in server.requests:
        assert request.path == "/api/v1/namespaces/ml/pods"
        assert request.query["limit"] == "500"
        assert request.query["labelSelector"] == "app=digits,tier=a"


async def test_a_walk_asks_for_a_page_once_it_is_needed(server: Server, api: KubeClient) -> None:
    """Thousands of objects are never there at once: the next page waits for who reads this one."""

    async def handler(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("continue", "0"))
        more = {"continue": str(number + 1)} if number < 2 else {}
        items = [{"metadata": {"name": f"n{number}-{one}"}} for one in range(2)]
        return web.json_response({"metadata": more, "items": items})

    server.handler = handler
    asked = [(obj["metadata"]["name"], len(server.requests)) async for obj in api.walk(POD, "ml")]
    assert asked == [(f"n{n}-{k}", n + 1) for n in range(3) for k in range(2)]


async def test_a_walk_has_its_deadline_for_each_page(server: Server, config: Path) -> None:
    """A list ends within the deadline in all, a walk through thousands takes its time."""
    api = await connect(str(config), deadline_s=0.5)

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        number = int(request.query.get("continue", "0"))
        more = {"continue": str(number + 1)} if number < 7 else {}
        return web.json_response({"metadata": more, "items": [{"metadata": {"name": "one"}}]})

    server.handler = handler
    try:
        assert len([obj async for obj in api.walk(POD)]) == 8
        with pytest.raises(Transient, match="list Pod: timeout"):
            await api.list(POD)
    finally:
        await api.close()


async def test_what_is_sent(server: Server, api: KubeClient) -> None:
    """Writes name their manager, patches their form, deletes their way; all say who asks."""
    await api.create(CONFIG_MAP, {"metadata": {"name": "one", "namespace": "ml"}}, dry_run=True)
    await api.patch(CONFIG_MAP, "ml", "one", {}, subresource="status")
    await api.patch(CONFIG_MAP, "ml", "one", [])
    await api.delete(CONFIG_MAP, "ml", "one", uid="u1")
    sent = [
        (request.method, request.path, dict(request.query), request.content_type)
        for request in server.requests
    ]
    at = "/api/v1/namespaces/ml/configmaps"
    manager = {"fieldManager": "rampway"}
    assert sent == [
        ("POST", at, manager | {"dryRun": "All"}, "application/json"),
        ("PATCH", f"{at}/one/status", manager, "application/merge-patch+json"),
        ("PATCH", f"{at}/one", manager, "application/json-patch+json"),
        ("DELETE", f"{at}/one", {}, "application/json"),
    ]
    assert json.loads(server.bodies[0])["kind"] == "ConfigMap"
    assert server.bodies[1:3] == ["{}", "[]"]
    assert json.loads(server.bodies[3])["preconditions"] == {"uid": "u1"}
    assert json.loads(server.bodies[3])["propagationPolicy"] == "Background"
    assert all(one.headers["User-Agent"].startswith("rampway/") for one in server.requests)


async def test_every_call_is_told(server: Server, config: Path, tmp_path: Path) -> None:
    """Verb, kind, status and seconds of each call are told, those without an answer too."""
    heard = list[tuple[str, str, str]]()
    took_s = list[float]()

    def told(verb: str, kind: str, code: str, duration_s: float) -> None:
        heard.append((verb, kind, code))
        took_s.append(duration_s)

    client = await connect(str(config), deadline_s=2, told=told)
    server.says(200, metadata={})
    await get(client)
    server.says(409, reason="Conflict")
    with pytest.raises(Conflict):
        await client.patch(POD, "ml", "one", {})
    await client.close()
    dead = await connect(str(write_config(tmp_path, 1, {})), deadline_s=2, told=told)
    with pytest.raises(Transient):
        await get(dead)
    await dead.close()
    assert heard == [
        ("get", "ConfigMap", "200"),
        ("patch", "Pod", "409"),
        *[("get", "ConfigMap", "no answer")] * 3,
    ]
    assert all(0 <= seconds < 2 for seconds in took_s)
