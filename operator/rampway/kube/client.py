"""The real API server, through `kubernetes.aio`: its logins and transport, but raw JSON.

Generated models are never built: with four of the API classes they cost 0.6 s and 33 MB more than
this module, and they refuse fields they do not know. Importing it takes 0.27 s and 55 MB, against
0.11 s and 33 MB for aiohttp alone (kubernetes 37.0.2, Python 3.11): the command line imports it
inside the commands that need a cluster.
"""

import asyncio
import json
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config.config_exception import ConfigException

from rampway import __version__
from rampway.kube.base import DEADLINE_S, PAGE, JsonPatch, Labels, Obj
from rampway.kube.errors import KubeError, Transient, message_of
from rampway.kube.kinds import Kind
from rampway.kube.login import Login, current_namespace
from rampway.kube.objects import describe, lightened, named, typed
from rampway.kube.wire import Answer, Request, failure

__all__ = ["KubeClient", "connect", "current_namespace"]

TLS_BUFFER = 32 * 1024
"""Bytes, two TLS records. asyncio keeps 256 KiB for each connection: with dozens of calls and
watches that is a tenth of the operator's memory."""
Told = Callable[[str, str, str, float], None]
"""Told of every call: verb, kind, HTTP status or `no answer`, and the seconds it took."""
RELOGIN_EVERY_S = 5.0
"""Seconds between logins after a 401 at least: an exec plugin is not run for every call."""

READ_WAITS_S = (0.1, 0.4)
"""A read that met a passing fault is made again after so many seconds, before a whole pass is."""
READ_SHARE = 0.3
"""The first tries of a read may each take this share of the deadline; the last has the rest."""


class KubeClient:
    """The `KubeApi` of a real server; made by `connect`, one an event loop."""

    def __init__(
        self,
        login: Login,
        client: ApiClient,
        field_manager: str,
        deadline_s: float = DEADLINE_S,
        told: Told | None = None,
    ) -> None:
        self._login = login
        self._client = client
        self._field_manager = field_manager
        self._deadline_s = deadline_s
        self._told = told or (lambda *_: None)
        self._retired: list[ApiClient] = []
        self._logging_in = asyncio.Lock()
        self._logged_in_at_s: float | None = None

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
        """Return one object."""
        target = describe(kind, namespace, name)
        return await self._send(Request("get", target, "GET", kind.path(namespace, name)))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Labels | None = None,
    ) -> list[Obj]:
        """Return all objects with these labels."""
        until_s = self._until_s()
        return [obj async for obj in self._walk(kind, namespace, labels, until_s)]

    def walk(
        self, kind: Kind, namespace: str | None = None, labels: Labels | None = None
    ) -> AsyncIterator[Obj]:
        """Yield all objects with these labels, with a page of them in memory."""
        return self._walk(kind, namespace, labels, None)

    async def _walk(
        self, kind: Kind, namespace: str | None, labels: Labels | None, until_s: float | None
    ) -> AsyncIterator[Obj]:
        query = {"limit": str(PAGE)}
        if labels:
            query["labelSelector"] = ",".join(map(_selector, labels.items()))
        target = describe(kind, namespace, "")
        while True:
            request = Request("list", target, "GET", kind.path(namespace), dict(query))
            page = await self._send(request, until_s)
            for item in page.get("items") or []:
                yield typed(kind, item)
            query["continue"] = (page.get("metadata") or {}).get("continue") or ""
            del page  # before the next one comes
            if not query["continue"]:
                return

    async def create(self, kind: Kind, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Create an object."""
        namespace, name = named(kind, obj)
        query = {"fieldManager": self._field_manager} | ({"dryRun": "All"} if dry_run else {})
        target = describe(kind, namespace, name)
        path = kind.path(namespace)
        return await self._send(Request("create", target, "POST", path, query, typed(kind, obj)))

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Obj | JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Obj:
        """Change an object."""
        target = describe(kind, namespace, name)
        path = kind.path(namespace, name, subresource or "")
        query = {"fieldManager": self._field_manager}
        return await self._send(Request("patch", target, "PATCH", path, query, patch))

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete an object."""
        options: Obj = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        must = {"uid": uid, "resourceVersion": version}
        if held := {key: value for key, value in must.items() if value is not None}:
            options["preconditions"] = held
        target = describe(kind, namespace, name)
        await self._send(
            Request("delete", target, "DELETE", kind.path(namespace, name), {}, options)
        )

    async def server_version(self) -> str:
        """Return the API server's version, such as `v1.36.3`."""
        answer = await self._send(Request("get", "version", "GET", "/version"))
        return str(answer["gitVersion"])

    async def close(self) -> None:
        """Give back connections."""
        for client in (*self._retired, self._client):
            await client.close()  # type: ignore[no-untyped-call]

    def _until_s(self) -> float:
        return asyncio.get_running_loop().time() + self._deadline_s

    async def _send(self, request: Request, until_s: float | None = None) -> Obj:
        """Return the answer's object; the deadline counts from now unless told otherwise.

        A pass reads about ten objects: one fault in ten would fail two passes of three, and one
        answer in ten that never comes would take each pass's whole deadline.
        """
        until_s = until_s or self._until_s()
        for wait_s in READ_WAITS_S if request.method == "GET" else ():
            soon_s = self._until_s() - self._deadline_s * (1 - READ_SHARE)
            try:
                return await self._call(request, min(soon_s, until_s))
            except Transient as error:
                if not error.passing:
                    raise
            await asyncio.sleep(wait_s)
        return await self._call(request, until_s)

    async def _call(self, request: Request, until_s: float) -> Obj:
        time_s = asyncio.get_running_loop().time
        began_s, code = time_s(), "no answer"
        try:
            answer = await self._answer(request, until_s)
            code = str(answer.status)
        finally:
            self._told(request.verb, request.target.split(" ", 1)[0], code, time_s() - began_s)
        if answer.failed:
            raise failure(request, answer)
        try:
            obj: Obj = json.loads(answer.body)
        except ValueError as err:
            words = f"not JSON: {answer.body[:80]!r}"
            raise Transient(message_of(request.verb, request.target, answer.status, words)) from err
        for one in (obj, *(obj.get("items") or ())):
            lightened(one)
        return obj

    async def _answer(self, request: Request, until_s: float) -> Answer:
        try:
            async with asyncio.timeout_at(until_s):
                return await self._authorised(request)
        except TimeoutError as err:
            words = f"no answer within {self._deadline_s:g} s"
            message = message_of(request.verb, request.target, "timeout", words)
            raise Transient(message, passing=True) from err
        except (aiohttp.ClientError, OSError, ConfigException) as err:
            words = f"{type(err).__name__}: {err}"
            message = message_of(request.verb, request.target, "no answer", words)
            raise Transient(message, passing=True) from err

    async def _authorised(self, request: Request) -> Answer:
        client = self._client
        answer = await self._once(client, request)
        if answer.status != 401:  # noqa: PLR2004 - HTTP's own number
            return answer
        if not await self._log_in_again(client):
            return answer
        return await self._once(self._client, request)

    async def _once(self, client: ApiClient, request: Request) -> Answer:
        method, url, headers, content, _ = await client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": "application/json", "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        response = await client.call_api(
            method,
            url,
            header_params=headers,
            body=content,
            _request_timeout=aiohttp.ClientTimeout(total=None),  # ours is around all of it
        )
        body = await response.read()  # type: ignore[no-untyped-call]
        return Answer(response.status, response.headers, body)

    async def _log_in_again(self, refused: ApiClient) -> bool:
        """Read the credentials afresh unless another call just did; say whether to try again."""
        async with self._logging_in:
            if self._client is not refused:
                return True
            now_s = asyncio.get_running_loop().time()
            if self._logged_in_at_s is not None and now_s - self._logged_in_at_s < RELOGIN_EVERY_S:
                return False
            self._logged_in_at_s = now_s
            try:
                fresh = _client(await self._login.configuration())
            except KubeError as err:
                raise Transient(f"login after a 401: {err}") from err
            for client in self._retired:
                await client.close()  # type: ignore[no-untyped-call]
            # Calls under way still use the refused one: it is closed at the next login.
            self._retired = [refused]
            self._client = fresh
            return True


async def connect(
    kubeconfig: str | None = None,
    context: str | None = None,
    field_manager: str = "rampway",
    deadline_s: float = DEADLINE_S,
    told: Told | None = None,
) -> KubeClient:
    """Log in as kubectl does, and return a client; nothing is sent yet.

    Order: `kubeconfig`, KUBECONFIG, ~/.kube/config, the pod's service account. `deadline_s` is
    the time in seconds that one call may take; `told` hears of every call.

    Raises:
        KubeError: there is no way to log in; the message says what to do.
    """
    SSLProtocol.max_size = TLS_BUFFER
    login = Login(kubeconfig, context)
    return KubeClient(login, _client(await login.configuration()), field_manager, deadline_s, told)


def _selector(wanted: tuple[str, str | tuple[str, ...]]) -> str:
    key, value = wanted
    return f"{key}={value}" if isinstance(value, str) else f"{key} in ({','.join(value)})"


def _client(configuration: Any) -> ApiClient:
    try:
        client = ApiClient(configuration)
    except (OSError, ValueError) as err:
        raise KubeError(f"TLS to {configuration.host}: {err}") from err
    client.user_agent = f"rampway/{__version__}"
    return client
