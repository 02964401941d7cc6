"""Where the API server is and who we are to it, read by `kubernetes.aio`'s own loaders."""

import asyncio
import ipaddress
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import list_kube_config_contexts, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, load_incluster_config

from rampway.kube.errors import KubeError

LOGIN_S = 60.0
"""Seconds a login may take: a kubeconfig's exec plugin may ask a person."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TOKEN = "BearerToken"  # noqa: S105 - the name of a field


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in; every `configuration()` reads token files and runs exec plugins afresh."""

    kubeconfig: str | None = None
    context: str | None = None

    async def configuration(self) -> Configuration:
        """Return server, credentials and proxy.

        Raises:
            KubeError: nothing to log in with, or it cannot be read; the message says what to do.
        """
        path = kubeconfig_path(self.kubeconfig)
        config = Configuration()
        source = f"kubeconfig {path}" if path else "the pod's service account"
        try:
            async with asyncio.timeout(LOGIN_S):
                await self._load(path, config)
        except TimeoutError as err:
            raise KubeError(f"login by {source}: no credentials within {LOGIN_S:g} s") from err
        except KubeError:
            raise
        except Exception as err:
            # The loaders raise whatever a broken file makes them trip over.
            raise KubeError(f"login by {source}: {type(err).__name__}: {err}") from err
        if token := config.api_key.get(_TOKEN):
            config.api_key[_TOKEN] = token.strip()  # a token file may end in a newline
        _choose_proxy(config)
        return config

    async def _load(self, path: str | None, config: Configuration) -> None:
        if path is None:
            load_incluster_config(config)  # type: ignore[no-untyped-call] # the library's
            return
        loader = await load_kube_config(  # type: ignore[no-untyped-call] # the library's
            config_file=path,
            context=self.context,
            client_configuration=config,
            persist_config=False,  # true would rewrite the user's file
        )
        user = loader._user  # noqa: SLF001 - the loader only logs that the plugin failed
        plugin = user.safe_get("exec") if user else None
        if plugin and not config.api_key and not config.cert_file:
            command = plugin.get("command")
            raise KubeError(
                f"login by kubeconfig {path}: exec plugin {command!r} gave no credentials; "
                "run it by hand to see why"
            )


def kubeconfig_path(kubeconfig: str | None) -> str | None:
    """Return the kubeconfig to read, as kubectl chooses it, or None for the pod's own account.

    Raises:
        KubeError: the file named is not there, or there is no way to log in.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named:
        if any(Path(part).expanduser().is_file() for part in named.split(os.pathsep) if part):
            return named
        raise KubeError(f"kubeconfig {named} is not there; name another, or unset KUBECONFIG")
    home = Path("~/.kube/config").expanduser()
    if home.is_file():
        return str(home)
    if os.environ.get(SERVICE_HOST_ENV_NAME):
        return None
    raise KubeError(f"no cluster: no --kubeconfig, no KUBECONFIG, no {home}, and not in a pod")


def current_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Return the namespace a command works in when none is named.

    Raises:
        KubeError: no kubeconfig can be read, or it has no such context.
    """
    path = kubeconfig_path(kubeconfig)
    if path is None:
        return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.is_file() else "default"
    try:
        contexts, current = list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except Exception as err:
        # As in `Login.configuration`.
        raise KubeError(f"kubeconfig {path}: {type(err).__name__}: {err}") from err
    chosen = current if context is None else _named(contexts, context, path)
    return str(chosen["context"].get("namespace") or "default")


def _named(contexts: list[dict[str, Any]], name: str, path: str) -> dict[str, Any]:
    for context in contexts:
        if context["name"] == name:
            return context
    there = ", ".join(sorted(str(context["name"]) for context in contexts))
    raise KubeError(f"kubeconfig {path} has no context {name!r}; it has: {there}")


def _choose_proxy(config: Configuration) -> None:
    """Settle the proxy here and take the choice from aiohttp.

    The client library lets aiohttp trust the environment: then a server on loopback is asked
    through the proxy, NO_PROXY's address ranges are ignored, and ~/.netrc may add a login.
    """
    if urlsplit(config.host).scheme not in {"http", "https"}:
        raise KubeError(f"API server {config.host!r}: expected an http:// or https:// address")
    proxy = config.proxy or environment_proxy(config.host, urllib.request.getproxies_environment())
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise KubeError(f"proxy {proxy!r} for the API server: only http and https proxies work")
    config.proxy = proxy
    config.client_session_kwargs = {"trust_env": False}


def environment_proxy(host: str, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment wants for this server, as kubectl reads it.

    `proxies` is what `urllib.request.getproxies_environment` gives. Never one for loopback.
    """
    url = urlsplit(host)
    name = url.hostname or ""
    proxy = proxies.get(url.scheme)
    if not proxy or name == "localhost":
        return None
    port = url.port or (443 if url.scheme == "https" else 80)
    by_name = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined] # no stub
    if by_name(f"{name}:{port}", dict(proxies)):
        return None
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        if address.is_loopback or any(address in net for net in _networks(proxies.get("no", ""))):
            return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _networks(no_proxy: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for entry in no_proxy.split(","):
        if "/" in entry:
            try:
                found.append(ipaddress.ip_network(entry.strip(), strict=False))
            except ValueError:
                continue  # an entry of another form: a host's name
    return found
