"""The Open Inference Protocol V2 in JSON: bytes to request, outputs to bytes; no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from rampway_server.automation import Use, most_cautious
from rampway_server.errors import ClientFaultError
from rampway_server.tensors import TensorSpec, field, read_rows, shown, write_tensor

EXTENSIONS: list[str] = []


@dataclass(frozen=True)
class InferRequest:
    """One request: rows of shape [rows, features], and the outputs asked for, in order."""

    request_id: str | None
    rows: NDArray[np.float64]
    outputs: tuple[TensorSpec, ...]


def parse(body: bytes, taken: TensorSpec, offered: Sequence[TensorSpec]) -> InferRequest:
    """Return the request in `body`, for a model that takes one input and offers some outputs.

    Without requested outputs the first offered one is meant.

    Raises:
        ClientFaultError: with what was seen and what was expected.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ClientFaultError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ClientFaultError('the body is not a JSON object; expected {"inputs": […]}')
    where = "the request"
    request_id = field(document, "id", str, where) if "id" in document else None
    if "parameters" in document:
        field(document, "parameters", dict, where)
    tensor = _only_input(field(document, "inputs", list, where), taken)
    outputs = field(document, "outputs", list, where) if "outputs" in document else []
    return InferRequest(request_id, read_rows(tensor, taken), _requested(outputs, offered))


def _only_input(inputs: list[Any], taken: TensorSpec) -> dict[str, Any]:
    if len(inputs) != 1:
        raise ClientFaultError(
            f'"inputs" has {len(inputs)} tensors; this model takes one, named "{taken.name}"'
        )
    tensor = inputs[0]
    if not isinstance(tensor, dict):
        raise ClientFaultError(f'"inputs" holds {shown(tensor)}; expected a tensor object')
    name = field(tensor, "name", str, "the input")
    if name != taken.name:
        raise ClientFaultError(f'unknown input {shown(name)}; this model takes "{taken.name}"')
    parameters = tensor.get("parameters")
    if isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise ClientFaultError(
            'binary tensors are not supported here; send the values as JSON in "data"'
        )
    return tensor


def _requested(outputs: list[Any], offered: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    if not outputs:
        return (offered[0],)
    by_name = {spec.name: spec for spec in offered}
    chosen: dict[str, TensorSpec] = {}
    for output in outputs:
        if not isinstance(output, dict):
            raise ClientFaultError(f'"outputs" holds {shown(output)}; expected {{"name": …}}')
        name = field(output, "name", str, "a requested output")
        if name not in by_name:
            raise ClientFaultError(
                f"unknown output {shown(name)}; this model offers {', '.join(by_name)}"
            )
        if name in chosen:
            raise ClientFaultError(f"output {shown(name)} is requested twice")
        chosen[name] = by_name[name]
    return tuple(chosen.values())


@dataclass(frozen=True)
class Told:
    """What an answer says beside its tensors.

    Attributes:
        uses: What to do with each row's answer.
    """

    model: str
    version: str
    uses: Sequence[Use]

    @property
    def parameters(self) -> dict[str, str]:
        """The same as parameters of the protocol: the most cautious, and each where they differ."""
        found: dict[str, str] = {"automation": most_cautious(self.uses)}
        if len(set(self.uses)) > 1:
            found["automation_rows"] = ",".join(self.uses)
        return found


def infer_answer(told: Told, request: InferRequest, arrays: Sequence[NDArray[Any]]) -> bytes:
    """Return the answer's body; `arrays` are the requested outputs in order."""
    document: dict[str, Any] = {"model_name": told.model, "model_version": told.version}
    document["parameters"] = told.parameters
    if request.request_id is not None:
        document["id"] = request.request_id
    document["outputs"] = [
        write_tensor(spec, array) for spec, array in zip(request.outputs, arrays, strict=True)
    ]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def error_body(message: str) -> bytes:
    """Return the protocol's error object."""
    return orjson.dumps({"error": message})
