"""Real clients of others against the real server: NVIDIA's Triton client over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import tritonclient.http as triton
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tritonclient.utils import InferenceServerException
from unit.server.conftest import Process, StartServer

ROWS = np.arange(128.0).reshape(2, 64) % 17


@pytest.fixture(scope="module")
def client(digits_server: Process) -> Iterator[triton.InferenceServerClient]:
    """A Triton client of a server that serves the digits classifier."""
    found = triton.InferenceServerClient(f"127.0.0.1:{digits_server.port}")
    yield found
    found.close()


def tensor(rows: Any, datatype: str = "FP64", *, binary: bool) -> triton.InferInput:
    """Return an input as Triton's client makes it."""
    made = triton.InferInput("input-0", list(rows.shape), datatype)
    made.set_data_from_numpy(rows, binary_data=binary)
    return made


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """All its questions but inference."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "model_repository"]
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 64]}]


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_inference(
    client: triton.InferenceServerClient,
    classifier: LogisticRegression,
    binary_in: bool,
    binary_out: bool,
    compression: str | None,
) -> None:
    """JSON and binary tensors, each way, compressed or not."""
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary_out)
        for name in ("predict_proba", "predict")
    ]
    result = client.infer(
        "digits",
        [tensor(ROWS, binary=binary_in)],
        model_version="1",
        outputs=wanted,
        request_id="a-1",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
        parameters={"trace": "x"},
    )
    assert result.get_response()["id"] == "a-1"
    assert result.as_numpy("predict").tolist() == classifier.predict(ROWS).tolist()
    assert result.as_numpy("predict_proba") == pytest.approx(classifier.predict_proba(ROWS))


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "INT8", "INT64", "UINT8", "BOOL"])
@pytest.mark.parametrize("binary", [True, False])
def test_datatypes(
    client: triton.InferenceServerClient,
    classifier: LogisticRegression,
    datatype: str,
    binary: bool,
) -> None:
    """Without named outputs it asks for bytes; FP16 it sends as bytes only."""
    if datatype == "FP16" and not binary:
        pytest.xfail("Triton's client writes FP16 as bytes only")
    rows = ROWS.astype(triton.triton_to_np_dtype(datatype))
    result = client.infer("digits", [tensor(rows, datatype, binary=binary)])
    expected = classifier.predict(rows.astype(float)).tolist()
    assert result.as_numpy("predict").tolist() == expected


def test_faults_are_told_in_words(client: triton.InferenceServerClient) -> None:
    """Its exceptions carry the server's sentence and status."""
    with pytest.raises(InferenceServerException, match=r"expected \[-1, 64\]") as caught:
        client.infer("digits", [tensor(ROWS[:, :3], binary=True)])
    assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="unknown version '9'"):
        client.infer("digits", [tensor(ROWS, binary=True)], model_version="9")


@pytest.mark.parametrize("binary", [True, False])
def test_text(start_server: StartServer, tmp_path: Path, binary: bool) -> None:
    """Strings in, strings out, as JSON and as bytes."""
    colours = np.array([["red"], ["blue"], ["grün"]], dtype=object)
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    skops.io.dump(model.fit(colours, ["warm", "cold", "kühl"]), tmp_path / "m.skops")
    server = start_server(f"file://{tmp_path / 'm.skops'}")
    server.wait_ready()
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    wanted = [triton.InferRequestedOutput("predict", binary_data=binary)]
    result = client.infer("digits", [tensor(colours, "BYTES", binary=binary)], outputs=wanted)
    found = [one.decode() if binary else one for one in result.as_numpy("predict").tolist()]
    assert found == ["warm", "cold", "kühl"]
    client.close()
