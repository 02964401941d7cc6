"""KServe's own InferenceRESTClient against a running server; run by KServe's Python, not ours.

    python kserve_rest.py URL < facts.json

`facts.json` has the rows, labels and probabilities of the model `iris`, and the words and answers
of `colours`. Each line that is printed was asserted; the first that does not hold ends the program.
"""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def asked(model: str, array: Any, datatype: str, *, binary: bool, outputs: list[str]) -> Any:
    """Return a request as KServe's client makes it, with binary tensors both ways or none."""
    tensor = InferInput("input-0", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = [RequestedOutput(name, {"binary_data": binary}) for name in outputs]
    return InferRequest(model, [tensor], request_id="a-1", request_outputs=wanted)


async def health(client: Any, url: str) -> None:
    """Live, ready, and models that are and are not."""
    assert await client.is_server_live(url) is True
    assert await client.is_server_ready(url) is True
    assert await client.is_model_ready(url, "iris") is True
    assert await client.is_model_ready(url, "other") is False
    told("health: live, ready, model ready, unknown model not ready")


async def numbers(client: Any, url: str, facts: Any, *, binary: bool) -> None:
    """Labels and probabilities of a classifier, with the id that was sent."""
    for datatype, kind in (("FP64", np.float64), ("FP32", np.float32)):
        rows = np.array(facts["rows"], dtype=kind)
        outputs = ["predict_proba", "predict"]
        request = asked("iris", rows, datatype, binary=binary, outputs=outputs)
        headers: dict[str, str] = {}
        answer = await client.infer(url, request, model_name="iris", response_headers=headers)
        assert (answer.id, answer.model_name) == ("a-1", "iris")  # it reads no version
        assert [output.name for output in answer.outputs] == outputs
        proba, labels = (output.as_numpy() for output in answer.outputs)
        assert labels.tolist() == facts["labels"]
        assert np.allclose(proba, facts["probabilities"], atol=1e-5)
        assert ("inference-header-content-length" in headers) is binary
        assert answer.parameters == {"automation": "use"}
        told(f"infer: {datatype} in {'bytes' if binary else 'JSON'}, {len(labels)} rows, id echoed")


async def text(client: Any, url: str, facts: Any, *, binary: bool) -> None:
    """Strings both ways."""
    words = np.array(facts["words"], dtype=np.object_)
    request = asked("colours", words, "BYTES", binary=binary, outputs=["predict"])
    (output,) = (await client.infer(url, request, model_name="colours")).outputs
    found = [one.decode() if isinstance(one, bytes) else one for one in output.as_numpy().tolist()]
    assert found == facts["answers"], found
    told(f"infer: BYTES in {'bytes' if binary else 'JSON'}, {len(found)} rows")


async def faults(client: Any, url: str) -> None:
    """Its errors have our sentences."""
    for model, shape, status, sentence in (
        ("iris", (1, 3), 400, "expected [-1, 4]"),
        ("other", (1, 4), 404, "unknown model 'other'"),
    ):
        request = asked(model, np.zeros(shape), "FP64", binary=False, outputs=["predict"])
        seen: tuple[int, str] = (200, "")
        try:
            await client.infer(url, request, model_name=model)
        except httpx.HTTPStatusError as error:
            seen = error.response.status_code, str(error)
        assert (seen[0], sentence in seen[1]) == (status, True), seen
        told(f"fault: {status}, {sentence}")


async def main(url: str, facts: Any) -> None:
    """Ask everything that the client can ask: it has no call for metadata."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
        await health(client, url)
        for binary in (False, True):
            await numbers(client, url, facts, binary=binary)
            await text(client, url, facts, binary=binary)
        await faults(client, url)


def told(text: str) -> None:
    """Say what held."""
    print(f"kserve: {text}", flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
