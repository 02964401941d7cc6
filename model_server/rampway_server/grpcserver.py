"""The protocol over gRPC: the same models, batches and counters as over HTTP."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

import grpc
import numpy as np
from numpy.typing import NDArray

from rampway_server import http, rawtensors
from rampway_server import inference_pb2 as pb
from rampway_server.app import SERVER_METADATA, App, Limits
from rampway_server.automation import Verdict
from rampway_server.batching import Batcher
from rampway_server.errors import ClientFaultError, LateError, ModelError, UnavailableError
from rampway_server.infer import Answered
from rampway_server.logs import logger
from rampway_server.metrics import Outcome
from rampway_server.model import Model
from rampway_server.repository import Ready, Repository
from rampway_server.request import InferRequest, Tensor, Wish, request
from rampway_server.tensors import (
    NUMPY_TYPES,
    TEXT,
    check_count,
    check_datatype,
    check_shape,
    fit,
    most_values,
)
from rampway_server.tracing import Tracer

SERVICE = "inference.GRPCInferenceService"
_SMALL = dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents")
_SMALL |= dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents")
_CONTENTS = _SMALL | {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    TEXT: "bytes_contents",
}
_NOT_FOUND = 404
_SERVER: Mapping[str, Any] = SERVER_METADATA


@dataclass(frozen=True)
class GrpcCall:
    """An inference request over gRPC."""

    asked: pb.ModelInferRequest
    version: str
    most_values: int

    @property
    def size(self) -> int:
        """How many bytes came."""
        size: int = self.asked.ByteSize()
        return size

    def read(self, model: Model) -> InferRequest:
        """Return what is asked; raises ClientFaultError."""
        inputs, raws = self.asked.inputs, self.asked.raw_input_contents
        if raws and len(raws) != len(inputs):
            raise ClientFaultError(
                f"{len(raws)} raw_input_contents for {len(inputs)} inputs; expected one for each"
            )
        most = self.most_values
        tensors = [
            _tensor(tensor, raws[at] if raws else None, model, most)
            for at, tensor in enumerate(inputs)
            if not model.input(tensor.name).unused
        ]
        wishes = [Wish(output.name, binary=True) for output in self.asked.outputs]
        return request(self.asked.id or None, tensors, wishes, model, most, binary=True)

    def write(
        self, asked: InferRequest, arrays: Sequence[NDArray[Any]], verdict: Verdict
    ) -> pb.ModelInferResponse:
        """Return the answer, with raw contents."""
        answer = pb.ModelInferResponse(
            model_name=self.asked.model_name, model_version=self.version, id=self.asked.id
        )
        for name, value in verdict.parameters.items():
            answer.parameters[name].string_param = value
        for spec, array in zip(asked.specs, arrays, strict=True):
            answer.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            answer.raw_output_contents.append(rawtensors.write(array))
        return answer


def _tensor(
    sent: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, model: Model, most: int
) -> Tensor:
    spec = model.input(sent.name)
    where = f'input "{sent.name}"'
    check_datatype(sent.datatype, spec, where)
    shape = check_shape(list(sent.shape), spec, where, most)
    if raw is not None:
        values = rawtensors.read(memoryview(raw), sent.datatype, shape, where)
    else:
        values = _contents(sent, shape, where)
    return Tensor(spec, fit(values, sent.datatype, shape, spec, where))


def _contents(
    sent: pb.ModelInferRequest.InferInputTensor, shape: tuple[int, ...], where: str
) -> NDArray[Any]:
    field = _CONTENTS.get(sent.datatype)
    if field is None:
        raise ClientFaultError(f"{where} in {sent.datatype} has no contents; use raw contents")
    values = getattr(sent.contents, field)
    if not values:
        raise ClientFaultError(f"{where} in {sent.datatype} has no {field}")
    check_count(shape, len(values), where)
    if sent.datatype == TEXT:
        return np.array([rawtensors.decode(value, where) for value in values], dtype=object)
    dtype = NUMPY_TYPES[sent.datatype]
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        raise ClientFaultError(
            f"{where} has a value outside the range of datatype {sent.datatype}"
        ) from None


class Servicer:
    """Answers gRPC for the models of a repository."""

    def __init__(
        self,
        app: App,
        repository: Repository,
        batcher: Batcher,
        limits: Limits,
        tracer: Tracer | None = None,
    ) -> None:
        self._app = app
        self._tracer = tracer
        self._repository = repository
        self._batcher = batcher
        self._limits = limits

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # gRPC's name
        """Say that the server is there."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # as above
        """Say whether all models are served."""
        return pb.ServerReadyResponse(ready=self._app.ready)

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # as above
        """Describe the server."""
        return pb.ServerMetadataResponse(**_SERVER)

    async def ModelReady(self, asked: Any, context: Any) -> Any:  # noqa: N802  # as above
        """Say whether a model is served."""
        try:
            found = self._repository.find(asked.name, asked.version)
        except ClientFaultError as fault:
            await _end(context, fault)
        return pb.ModelReadyResponse(ready=isinstance(found, Ready))

    async def ModelMetadata(self, asked: Any, context: Any) -> Any:  # noqa: N802  # as above
        """Describe a model."""
        try:
            found = self._repository.metadata(asked.name, asked.version)
        except (ClientFaultError, UnavailableError) as fault:
            await _end(context, fault)
        found.pop("parameters")
        return pb.ModelMetadataResponse(**found)

    async def ModelInfer(  # noqa: N802  # as above
        self, asked: pb.ModelInferRequest, context: Any
    ) -> pb.ModelInferResponse:
        """Predict."""
        started_s = time.perf_counter()
        meters = self._repository.meters(_path(asked))
        meters.begun()
        headers = {name.encode(): str(value).encode() for name, value in _metadata(context)}
        outcome: Outcome = "server_error"
        fault: Exception | None = None
        try:
            answered = await self._answered(asked, context)
            meters.told(answered.verdict)
            outcome = "ok"
        except Exception as error:  # noqa: BLE001  # each kind has its status
            outcome, fault = _outcome(error), error
        finally:  # counted before the answer leaves, or the status
            duration_s = time.perf_counter() - started_s
            code = _status(fault).name if fault else "OK"
            meters.answered(outcome, http.attempt(headers), duration_s, code)
            meters.ended()
            if self._tracer is not None:
                self._tracer.tell(meters.labels, outcome, headers, duration_s)
        if fault is not None:
            await _end(context, fault)
        answer: pb.ModelInferResponse = answered.payload
        return answer

    async def _answered(self, asked: pb.ModelInferRequest, context: Any) -> Answered:
        ready = self._repository.get(asked.model_name, asked.model_version)
        remaining_s = context.time_remaining()
        wait_s = self._limits.timeout_s
        wait_s = wait_s if remaining_s is None else min(wait_s, max(0.001, remaining_s))
        call = GrpcCall(asked, ready.version, most_values(self._limits.body_bytes))
        return await self._batcher.run(ready.inferrer, call, wait_s)


def _path(asked: pb.ModelInferRequest) -> tuple[str, ...]:
    return ("v2", "models", asked.model_name, "versions", asked.model_version)


def _metadata(context: Any) -> Any:
    return context.invocation_metadata() or ()


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, ClientFaultError):
        return "client_error"
    return "model_error" if isinstance(error, ModelError) else "server_error"


async def _end(context: Any, error: Exception) -> Never:
    """End a call with the status that the error has in gRPC; internals stay in the log."""
    message = str(error)
    if isinstance(error, ModelError):
        message = error.told
    elif not isinstance(error, ClientFaultError | UnavailableError | LateError):
        logger().error("internal error", exc_info=error)
        message = "internal error of the model server; its log says more"
    await context.abort(_status(error), message)
    raise AssertionError("abort raises")


def _status(error: Exception) -> grpc.StatusCode:
    if isinstance(error, ClientFaultError):
        unknown = error.status == _NOT_FOUND
        return grpc.StatusCode.NOT_FOUND if unknown else grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, UnavailableError):
        return grpc.StatusCode.UNAVAILABLE
    late = isinstance(error, LateError)
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.INTERNAL


async def start(
    servicer: Servicer, address: str, max_bytes: int, credentials: Any, *, shared: bool
) -> grpc.aio.Server:
    """Return a server that listens on an address and port.

    Args:
        servicer: What answers.
        address: Where to listen.
        max_bytes: The largest message taken.
        credentials: For TLS, if it is wanted.
        shared: Whether other processes listen there too.

    Raises:
        RuntimeError: the port cannot be had.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 64 << 10),
            ("grpc.so_reuseport", int(shared)),
        ]
    )
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            request_deserializer=getattr(pb, method.input_type.name).FromString,
            response_serializer=getattr(pb, method.output_type.name).SerializeToString,
        )
        for method in methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if credentials is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, credentials)
    await server.start()
    return server
