"""The API servers that the contract holds for: the simulation's, and the real one."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator

import pytest
from contract.kube_place import Place, place_in_memory

from rampway.kube.client import connect
from rampway.kube.kinds import NAMESPACE


@pytest.fixture(params=["memory", "kube-apiserver"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Give a server and a namespace of its own on it; without a real one the test fails."""
    if request.param == "memory":
        yield await place_in_memory()
        return
    if "KUBECONFIG" not in os.environ:
        pytest.fail('no KUBECONFIG; run `eval "$(python3 -m tools.localcluster env)"` first')
    name = f"rampway-contract-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as stack:
        api = await connect()
        stack.push_async_callback(api.close)
        await api.create(NAMESPACE, {"metadata": {"name": name}})
        yield Place(api, name, lambda: asyncio.sleep(0.2))
        await api.delete(NAMESPACE, None, name)
