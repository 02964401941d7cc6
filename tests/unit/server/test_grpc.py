"""The protocol over gRPC, by NVIDIA's Triton client against the real server.

This process must not import the server's own messages: both sides call them `inference.…`.
"""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2
from sklearn.linear_model import LogisticRegression
from tritonclient.grpc import service_pb2 as published
from tritonclient.utils import InferenceServerException, triton_to_np_dtype
from unit.server.conftest import Process
from unit.server.waiting import DEADLINE_S

ROWS = np.arange(128.0).reshape(2, 64) % 17


@pytest.fixture(scope="module")
def client(digits_server: Process) -> Iterator[triton.InferenceServerClient]:
    """A Triton client of a server that serves the digits classifier."""
    found = triton.InferenceServerClient(f"127.0.0.1:{digits_server.grpc_port}")
    yield found
    found.close()


def tensor(rows: Any, datatype: str = "FP64") -> triton.InferInput:
    """Return an input as Triton's client makes it: raw contents."""
    made = triton.InferInput("input-0", list(rows.shape), datatype)
    made.set_data_from_numpy(rows)
    return made


def test_messages_are_the_published_ones() -> None:
    """Every field of ours has the name, number and type that Triton's client knows."""
    from pathlib import Path

    source = Path("model_server/rampway_server/inference_pb2.py").read_text(encoding="utf-8")
    serialized = eval(source.partition("AddSerializedFile(")[2].partition(")\n")[0])  # noqa: S307
    ours = descriptor_pb2.FileDescriptorProto.FromString(serialized)

    def check(message: descriptor_pb2.DescriptorProto, theirs: Any) -> int:
        for field in message.field:
            known = theirs.fields_by_name[field.name]
            assert (known.number, known.type) == (field.number, field.type), field.name
        nested = [check(one, theirs.nested_types_by_name[one.name]) for one in message.nested_type]
        return len(message.field) + sum(nested)

    known = published.DESCRIPTOR.message_types_by_name
    assert sum(check(message, known[message.name]) for message in ours.message_type) > 60
    theirs = published.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in ours.service[0].method:
        assert theirs[method.name].input_type.full_name == method.input_type[1:]


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Live, ready, model ready, server and model metadata."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.get_server_metadata().name == "rampway"
    metadata = client.get_model_metadata("digits", "1")
    (taken,) = metadata.inputs
    assert (taken.name, taken.datatype, list(taken.shape)) == ("input-0", "FP64", [-1, 64])
    assert [offered.name for offered in metadata.outputs] == ["predict", "predict_proba"]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT16", "BOOL"])
def test_raw_contents(
    client: triton.InferenceServerClient, classifier: LogisticRegression, datatype: str
) -> None:
    """Every kind of number as bytes; id, version, outputs and what to do with them come back."""
    rows = ROWS.astype(triton_to_np_dtype(datatype))
    wanted = [triton.InferRequestedOutput(name) for name in ("predict_proba", "predict")]
    result = client.infer(
        "digits", [tensor(rows, datatype)], outputs=wanted, request_id="a-1", model_version="1"
    )
    answer = result.get_response()
    assert (answer.id, answer.model_version) == ("a-1", "1")
    assert answer.parameters["automation"].string_param == "use"
    rows = rows.astype(float)
    assert result.as_numpy("predict").tolist() == classifier.predict(rows).tolist()
    assert result.as_numpy("predict_proba") == pytest.approx(classifier.predict_proba(rows))


def typed(server: Process, datatype: str, values: list[Any], **contents: Any) -> Any:
    """Infer with typed contents, which Triton's client never sends."""
    asked = published.ModelInferRequest(model_name="digits")
    sent = asked.inputs.add(name="input-0", datatype=datatype, shape=[1, 64])
    for name, given in (contents or {"fp64_contents": values}).items():
        getattr(sent.contents, name).extend(given)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=published.ModelInferRequest.SerializeToString,
            response_deserializer=published.ModelInferResponse.FromString,
        )
        return call(asked, timeout=DEADLINE_S)


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("FP64", "fp64_contents", 2.5),
        ("FP32", "fp32_contents", 2.5),
        ("INT8", "int_contents", 3),
        ("INT64", "int64_contents", 3),
        ("UINT32", "uint_contents", 3),
        ("UINT64", "uint64_contents", 3),
        ("BOOL", "bool_contents", True),
    ],
)
def test_typed_contents(
    digits_server: Process, classifier: LogisticRegression, datatype: str, field: str, value: Any
) -> None:
    """Each datatype has its own field."""
    answer = typed(digits_server, datatype, [], **{field: [value] * 64})
    (label,) = np.frombuffer(answer.raw_output_contents[0], "<i8")
    assert label == classifier.predict([[float(value)] * 64])[0]


@pytest.mark.parametrize(
    ("datatype", "contents", "sentence"),
    [
        ("FP16", {}, "has no contents; use raw contents"),
        ("FP64", {}, "has no fp64_contents"),
        ("FP64", {"fp64_contents": [1.0]}, "which is 64 values, but its data hold 1"),
        ("FP64", {"fp64_contents": [float("nan")] * 64}, "nan at position 0"),
        ("INT8", {"int_contents": [300] * 64}, "outside the range of datatype INT8"),
        ("BYTES", {"bytes_contents": [b"x"] * 64}, "this model takes numbers"),
        ("", {}, "has datatype ''"),
    ],
)
def test_client_faults(
    digits_server: Process, datatype: str, contents: dict[str, Any], sentence: str
) -> None:
    """INVALID_ARGUMENT with the same sentences as over HTTP."""
    with pytest.raises(grpc.RpcError, match=sentence) as caught:
        typed(digits_server, datatype, [], **(contents or {"bool_contents": []}))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_unknown_models_are_not_found(client: triton.InferenceServerClient) -> None:
    """NOT_FOUND for metadata, readiness and inference."""
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.infer("other", [tensor(ROWS)])
    with pytest.raises(InferenceServerException, match="unknown model 'other'"):
        client.get_model_metadata("other")
    with pytest.raises(InferenceServerException, match="unknown version '9'"):
        client.is_model_ready("digits", "9")


def test_it_is_counted_as_over_http(
    client: triton.InferenceServerClient, digits_server: Process
) -> None:
    """The same counters by outcome, and by gRPC's own codes; a retry by the gateway's metadata."""
    series = [
        'requests_total{attempt="first",model="digits",outcome="ok"',
        'requests_total{attempt="retry",model="digits",outcome="ok"',
        'requests_total{attempt="first",model="digits",outcome="client_error"',
        'responses_total{code="OK",model="digits"',
        'responses_total{code="INVALID_ARGUMENT",model="digits"',
        'responses_total{code="NOT_FOUND",model="digits"',
    ]

    def counts() -> list[float]:
        lines = digits_server.get("/metrics")[1].decode().splitlines()
        found = [[x for x in lines if x.startswith(f"rampway_{one}")] for one in series]
        return [float(line.split()[-1]) for (line,) in found]

    before = counts()
    client.infer("digits", [tensor(ROWS)])
    client.infer("digits", [tensor(ROWS)], headers={"x-envoy-attempt-count": "2"})
    with pytest.raises(InferenceServerException):
        client.infer("digits", [tensor(ROWS[:, :2])])
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [1, 1, 1, 2, 1, 0]
