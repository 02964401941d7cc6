"""The Open Inference Protocol V2 over HTTP: bytes to request, outputs to bytes; no I/O.

A body is JSON, or JSON followed by the bytes of binary tensors (the binary tensor extension).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from rampway_server import jsontensors, rawtensors
from rampway_server.automation import Verdict
from rampway_server.errors import ClientFaultError
from rampway_server.jsontensors import field, kind
from rampway_server.model import Model
from rampway_server.request import InferRequest, Output, Tensor, Wish, request
from rampway_server.tensors import check_datatype, check_shape, fit, shown

EXTENSIONS = ["binary_tensor_data"]
_SIZE = "binary_data_size"
_NO_NUMBER = re.compile(rb"\b(NaN|Infinity)\b")
_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1
# Of a list that is a byte or two of JSON a hundred bytes are made: few are as empty as that.
_VALUES_OF_A_LIST = 4


@dataclass
class _Body:
    """What is known of a body while its tensors are read one after another.

    Attributes:
        binary: Bytes of binary tensors that no tensor has claimed yet; None without the extension.
        truths: Whether the JSON holds true or false anywhere.
        most: How many values a tensor may have.
    """

    binary: memoryview | None
    truths: bool
    most: int

    def claim(self, size: int, where: str) -> memoryview:
        if self.binary is None:
            raise ClientFaultError(
                f'{where} has "{_SIZE}", but the request has no header '
                "Inference-Header-Content-Length that says where its binary data begin"
            )
        if size < 0 or size > len(self.binary):
            raise ClientFaultError(
                f'"{_SIZE}" of {where} is {shown(size)}, but {len(self.binary)} bytes are left'
            )
        claimed, self.binary = self.binary[:size], self.binary[size:]
        return claimed


def parse(content: bytes, json_bytes: int | None, model: Model, most: int) -> InferRequest:
    """Return the request in a body.

    Args:
        content: The body.
        json_bytes: How many of its bytes are JSON, as the binary tensor extension's header says.
        model: What it is for: its tensors say what is expected.
        most: How many values a tensor may have, of the request or its answer.

    Raises:
        ClientFaultError: with what was seen and what was expected.
    """
    text, body = _split(content, json_bytes, most)
    _check_lists(text, most // _VALUES_OF_A_LIST)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ClientFaultError(_no_json(text, error)) from None
    if not isinstance(document, dict):
        raise ClientFaultError('the body is not a JSON object; expected {"inputs": […]}')
    where = "the request"
    request_id = field(document, "id", str, where) if "id" in document else None
    parameters = field(document, "parameters", dict, where) if "parameters" in document else {}
    inputs = field(document, "inputs", list, where)
    read = [_tensor(one, model, body) for one in _objects(inputs, "inputs", "a tensor object")]
    found = [one for one in read if one is not None]
    if body.binary:
        raise ClientFaultError(f"{len(body.binary)} bytes after the JSON belong to no input")
    outputs = field(document, "outputs", list, where) if "outputs" in document else []
    binary = _truth(parameters, "binary_data_output", "the request's parameters")
    wishes = [_wish(output, binary) for output in _objects(outputs, "outputs", '{"name": …}')]
    return request(request_id, found, wishes, model, most, binary=binary)


def _no_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    if text.startswith(_GZIP):
        return "the body is not JSON but looks like gzip; expected a header Content-Encoding: gzip"
    if _NO_NUMBER.search(text):
        return f"the body is not JSON, which has no NaN or Infinity (missing is null): {error}"
    return f"the body is not JSON: {error}"


def _split(content: bytes, json_bytes: int | None, most: int) -> tuple[bytes, _Body]:
    whole = memoryview(content)
    if json_bytes is None:
        return content, _Body(None, _has_truths(content), most)
    if json_bytes > len(whole):
        raise ClientFaultError(
            f"header Inference-Header-Content-Length is {json_bytes}, but the body has "
            f"{len(whole)} bytes"
        )
    text = content[:json_bytes]
    return text, _Body(whole[json_bytes:], _has_truths(text), most)


def _has_truths(text: bytes) -> bool:
    """Whether true or false may be in JSON; a byte that is not there is found out far sooner."""
    return (b"r" in text and b"true" in text) or (b"l" in text and b"false" in text)


def _check_lists(text: bytes, most: int) -> None:
    if len(text) <= most:  # not even if it were nothing else
        return
    lists = text.count(b"[") + text.count(b"{")
    if lists > most:
        raise ClientFaultError(
            f"the JSON has {lists} lists and objects; expected at most {most}, a sixteenth of "
            "--max-body-bytes: send data flat"
        )


def _objects(items: list[Any], key: str, expected: str) -> list[dict[str, Any]]:
    for item in items:
        if not isinstance(item, dict):
            raise ClientFaultError(f'"{key}" holds {shown(item)}; expected {expected}')
    return items


def _tensor(tensor: dict[str, Any], model: Model, body: _Body) -> Tensor | None:
    """Return an input; None: the model does not look at it."""
    name = field(tensor, "name", str, "the input")
    spec = model.input(name)
    where = f'input "{name}"'
    parameters = field(tensor, "parameters", dict, where) if "parameters" in tensor else {}
    size = (
        field(parameters, _SIZE, int, f"the parameters of {where}") if _SIZE in parameters else None
    )
    if spec.unused:
        if size is not None:
            body.claim(size, where)
        return None
    datatype = field(tensor, "datatype", str, where)
    check_datatype(datatype, spec, where)
    shape = check_shape(field(tensor, "shape", list, where), spec, where, body.most)
    if size is not None:
        if "data" in tensor:
            raise ClientFaultError(f'{where} has both "data" and "{_SIZE}"; expected one of them')
        values = rawtensors.read(body.claim(size, where), datatype, shape, where)
    else:
        data = field(tensor, "data", list, where)
        values = jsontensors.read(data, datatype, shape, spec, where, truths=body.truths)
    return Tensor(spec, fit(values, datatype, shape, spec, where))


def _wish(output: dict[str, Any], unless_said: bool) -> Wish:
    name = field(output, "name", str, "a requested output")
    where = f"output {shown(name)}"
    said = field(output, "parameters", dict, where) if "parameters" in output else {}
    return Wish(name, _truth(said, "binary_data", where, unless_said=unless_said))


def _truth(holder: Mapping[str, Any], key: str, where: str, *, unless_said: bool = False) -> bool:
    value = holder.get(key, unless_said)
    if not isinstance(value, bool):
        raise ClientFaultError(f'"{key}" of {where} is {kind(value)}; expected true or false')
    return value


def write(
    name: str, version: str, asked: InferRequest, arrays: Sequence[NDArray[Any]], verdict: Verdict
) -> tuple[bytes, int | None]:
    """Return an answer's body, and how many of its bytes are JSON if binary tensors follow."""
    document: dict[str, Any] = {"model_name": name, "model_version": version}
    document["parameters"] = verdict.parameters
    if asked.request_id is not None:
        document["id"] = asked.request_id
    binaries: list[bytes] = []
    document["outputs"] = [
        _written(output, array, binaries)
        for output, array in zip(asked.outputs, arrays, strict=True)
    ]
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((text, *binaries)), len(text)) if binaries else (text, None)


def _written(output: Output, array: NDArray[Any], binaries: list[bytes]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": output.spec.name, "datatype": output.spec.datatype}
    document["shape"] = list(array.shape)
    if output.binary:
        binaries.append(rawtensors.write(array))
        document["parameters"] = {_SIZE: len(binaries[-1])}
    else:
        document["data"] = jsontensors.writable(array)
    return document


def error_body(message: str) -> bytes:
    """Return the protocol's error object."""
    return orjson.dumps({"error": message})
