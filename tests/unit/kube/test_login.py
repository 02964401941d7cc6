"""Where the client finds its server, its credentials and its proxy."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from kubernetes.aio.config import incluster_config

from rampway.kube import login
from rampway.kube.errors import KubeError
from rampway.kube.login import Login, current_namespace, environment_proxy, kubeconfig_path

User = dict[str, object]


def kubeconfig(folder: Path, user: User, name: str = "config", **cluster: str) -> str:
    """Write a kubeconfig with the contexts `main` (namespace ml) and `bare`; return its path."""
    where = {"server": "http://127.0.0.1:1"} | cluster
    main = {"cluster": "c", "user": "u", "namespace": "ml"}
    content = {
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": where}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "main", "context": main},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, pod or proxy of this machine."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_kubeconfig_is_chosen_as_kubectl_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one named, then KUBECONFIG, then the home's, then the pod's account, else a sentence."""
    with pytest.raises(KubeError, match=r"no --kubeconfig, no KUBECONFIG.*not in a pod"):
        kubeconfig_path(None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert kubeconfig_path(None) is None
    home = tmp_path / "home/.kube"
    home.mkdir(parents=True)
    at_home = kubeconfig(home, {})
    assert kubeconfig_path(None) == at_home
    by_env = kubeconfig(tmp_path, {}, "env")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{by_env}")
    assert kubeconfig_path(None) == f"{tmp_path}/missing:{by_env}"
    assert kubeconfig_path(at_home) == at_home
    with pytest.raises(KubeError, match="missing is not there"):
        kubeconfig_path(f"{tmp_path}/missing")


def test_current_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The context's namespace, `default` when it has none; in a pod, the pod's."""
    path = kubeconfig(tmp_path, {})
    assert current_namespace(path) == "ml"
    assert current_namespace(path, "bare") == "default"
    with pytest.raises(KubeError, match=r"no context 'other'; it has: bare, main"):
        current_namespace(path, "other")
    (tmp_path / "broken").write_text("clusters: [")
    with pytest.raises(KubeError, match="broken"):
        current_namespace(str(tmp_path / "broken"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (tmp_path / "namespace").write_text("serving\n")
    monkeypatch.setattr(login, "_NAMESPACE_FILE", tmp_path / "namespace")
    assert current_namespace() == "serving"


async def test_token_file_is_read_again(tmp_path: Path) -> None:
    """B30: every login reads the token file afresh, and does without its last newline."""
    token = tmp_path / "token"
    path = kubeconfig(tmp_path, {"tokenFile": str(token)})
    for content in ("first\n", "second"):
        token.write_text(content)
        config = await Login(path).configuration()
        assert config.api_key["BearerToken"] == f"Bearer {content.strip()}"


async def test_pods_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """B30: in a pod, the projected token is used, and a rotated one at the next login."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    for name, file in (("SERVICE_TOKEN_FILENAME", "token"), ("SERVICE_CERT_FILENAME", "ca")):
        monkeypatch.setattr(incluster_config, name, str(tmp_path / file))
    (tmp_path / "ca").write_text("certificate")
    with pytest.raises(KubeError, match=r"the pod's service account.*token file"):
        await Login().configuration()
    for token in ("first", "second\n"):
        (tmp_path / "token").write_text(token)
        config = await Login().configuration()
        assert config.host == "https://[fd00::1]:6443"
        assert config.api_key["BearerToken"] == f"bearer {token.strip()}"


async def test_exec_plugin(tmp_path: Path) -> None:
    """A kubeconfig's exec plugin gives the token; one that fails is named."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    plugin = {
        "apiVersion": credential["apiVersion"],
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(credential)!r})"],
    }
    config = await Login(kubeconfig(tmp_path, {"exec": plugin})).configuration()
    assert config.api_key["BearerToken"] == "Bearer from-plugin"
    path = kubeconfig(tmp_path, {"exec": plugin | {"args": ["-c", "raise SystemExit(3)"]}})
    with pytest.raises(KubeError, match=r"exec plugin .* gave no credentials; run it by hand"):
        await Login(path).configuration()


async def test_exec_plugin_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A plugin that never answers ends the login with a sentence (the library lets it run on)."""
    monkeypatch.setattr(login, "LOGIN_S", 1.0)
    script = f"echo $$ > {tmp_path}/pid; exec sleep 60"
    plugin = {"apiVersion": "v1", "command": "sh", "args": ["-c", script]}
    with pytest.raises(KubeError, match="no credentials within 1 s"):
        await Login(kubeconfig(tmp_path, {"exec": plugin})).configuration()
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    os.kill(pid, signal.SIGKILL)
    for _ in range(500):
        if not _there(pid):
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # for the loop to close the plugin's pipes


async def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path) -> None:
    """Whatever is wrong with a kubeconfig, the message names the file or the address."""
    (tmp_path / "broken").write_text("[]")
    with pytest.raises(KubeError, match="broken"):
        await Login(str(tmp_path / "broken")).configuration()
    with pytest.raises(KubeError, match="Expected object with name other"):
        await Login(kubeconfig(tmp_path, {}), "other").configuration()
    with pytest.raises(KubeError, match="expected an http:// or https:// address"):
        await Login(kubeconfig(tmp_path, {}, server="127.0.0.1:6443")).configuration()
    socks = kubeconfig(tmp_path, {}, **{"proxy-url": "socks5://127.0.0.1:1080"})
    with pytest.raises(KubeError, match="only http and https proxies"):
        await Login(socks).configuration()


async def test_proxy_of_the_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kubeconfig's own proxy-url wins over the environment's."""
    monkeypatch.setenv("HTTP_PROXY", "http://env:1")
    remote = "http://api.example"
    config = await Login(kubeconfig(tmp_path, {}, server=remote)).configuration()
    assert config.proxy == "http://env:1"
    path = kubeconfig(tmp_path, {}, server=remote, **{"proxy-url": "http://own:2"})
    assert (await Login(path).configuration()).proxy == "http://own:2"


def _there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "no_proxy", "expected"),
    [
        ("https://api.example:6443", "", "http://proxy:3128"),
        ("https://127.0.0.1:6443", "", None),
        ("https://127.8.8.8:6443", "", None),
        ("https://[::1]:6443", "", None),
        ("https://localhost:6443", "", None),
        ("https://api.example:6443", "example", None),
        ("https://api.example:6443", "other.example", "http://proxy:3128"),
        ("https://api.example:6443", "*", None),
        ("https://10.96.0.1", "10.0.0.0/8", None),
        ("https://10.96.0.1", "host, 10.96.0.0/12", None),
        ("https://10.96.0.1", "192.168.0.0/16,not/net", "http://proxy:3128"),
        ("https://10.96.0.1", "10.96.0.1", None),
        ("http://api.example", "", None),
    ],
)
def test_proxy_of_the_environment(host: str, no_proxy: str, expected: str | None) -> None:
    """The environment's proxy is used as kubectl does: never for loopback, ranges respected."""
    assert environment_proxy(host, {"https": "proxy:3128", "no": no_proxy}) == expected
