"""The contract of an API server, on the real one that KUBECONFIG names (B29, B30)."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator

import pytest
from contract.kube_place import Place
from contract.test_kube import ObjectContract
from contract.test_kube_patch import PatchContract

from rampway.kube.client import connect, current_namespace
from rampway.kube.kinds import NAMESPACE

pytestmark = pytest.mark.cluster


class TestRealServer(ObjectContract, PatchContract):
    """B29, B30: the client keeps the contract on a real API server."""

    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        """Give the cluster's server and a new namespace on it."""
        if "KUBECONFIG" not in os.environ:
            pytest.fail('no KUBECONFIG; run `eval "$(python3 -m tools.localcluster env)"` first')
        api = await connect()
        name = f"rampway-contract-{secrets.token_hex(4)}"
        await api.create(NAMESPACE, {"metadata": {"name": name}})
        yield Place(api, name, lambda: asyncio.sleep(0.2))
        await api.delete(NAMESPACE, None, name)
        await api.close()

    async def test_the_server_says_its_version(self, place: Place) -> None:
        """The client reads the version that `rampway version` shows."""
        api = await connect()
        assert (await api.server_version()).startswith("v1.")
        await api.close()
        assert place.namespace != current_namespace()
