"""An S3 store that pods can reach: versitygw on the node's address, in the cluster's network."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster.bench import Bench, until
from cluster.between import node_address
from contract.stores_place import program

from demo.cluster import LOCAL, ROOT, is_current

PORT = 17070
READER = "reader"
_LISTENS = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"


@contextmanager
def storehouse(bench: Bench, folder: Path, secret: str) -> Iterator[dict[str, str]]:
    """Serve a folder, whose subfolders are buckets, to whoever signs with the secret.

    Gives the variables by which a model server finds the store and is let in.
    """
    if is_current():
        pytest.fail("pods of a cluster elsewhere cannot reach a store on this machine")
    address, log = f"{node_address(bench)}:{PORT}", folder.with_suffix(".log")
    words = [*LOCAL, "enter", str(program("versitygw")), "--port", address, "posix", str(folder)]
    root = {"ROOT_ACCESS_KEY": READER, "ROOT_SECRET_KEY": secret}
    with log.open("w") as output:
        process = subprocess.Popen(
            words, env={**bench.kube.env, **root}, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip

    def listens() -> bool:
        assert process.poll() is None, f"versitygw ended with {process.returncode}: {_said(log)}"
        look = (sys.executable, "-c", _LISTENS, *address.split(":"))
        return bench.kube.run(*LOCAL, "enter", *look).returncode == 0

    try:
        until(listens, f"versitygw listening on {address}", lambda: _said(log))
        yield {
            "AWS_ACCESS_KEY_ID": READER,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{address}",
        }
    finally:
        process.terminate()
        process.wait()


def _said(log: Path) -> str:
    return log.read_text(errors="replace")
