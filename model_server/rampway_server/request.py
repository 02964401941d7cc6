"""An inference request as the model needs it, whatever it came by: HTTP or gRPC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError
from rampway_server.model import Model
from rampway_server.tensors import TensorSpec, shown


@dataclass(frozen=True)
class Tensor:
    """An input as the model takes it."""

    spec: TensorSpec
    values: NDArray[Any]


@dataclass(frozen=True)
class Wish:
    """An output that a client names, and whether it wants it as bytes."""

    name: str
    binary: bool = False


@dataclass(frozen=True)
class Output:
    """An output to be given, and whether as bytes."""

    spec: TensorSpec
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """One request.

    Attributes:
        inputs: The model's inputs in its order, each with `rows` as its first length.
        outputs: What was asked for, in that order.
    """

    request_id: str | None
    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[Output, ...]

    @property
    def rows(self) -> int:
        """How many answers are wanted."""
        return len(self.inputs[0])

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The outputs' specs."""
        return tuple(output.spec for output in self.outputs)


def request(
    request_id: str | None,
    tensors: Sequence[Tensor],
    wishes: Sequence[Wish],
    model: Model,
    most: int,
    *,
    binary: bool = False,
) -> InferRequest:
    """Return the request that these tensors and wishes make.

    Without wishes the first output is meant, as bytes if `binary`. No output may have more than
    `most` values, asked for or not: a class comes from as many probabilities.

    Raises:
        ClientFaultError: inputs are missing, twice there or of different lengths, there are too
            many rows, or an output is not offered.
    """
    found: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        if tensor.spec.name in found:
            raise ClientFaultError(f"input {shown(tensor.spec.name)} is there twice")
        found[tensor.spec.name] = tensor.values
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise ClientFaultError(f"the inputs differ in rows: {shown(lengths)}")
    _check_rows(next(iter(lengths.values()), 0), model.width, most)
    return InferRequest(request_id, model.arrange(found), _outputs(wishes, model, binary=binary))


def _check_rows(rows: int, width: int, most: int) -> None:
    if rows * width > most:
        raise ClientFaultError(
            f"{rows} rows are too many for one request: a row has up to {width} values here; "
            f"expected at most {most} in all, a quarter of --max-body-bytes"
        )


def _outputs(wishes: Sequence[Wish], model: Model, *, binary: bool) -> tuple[Output, ...]:
    if not wishes:
        return (Output(model.offers[0], binary),)
    offered = {spec.name: spec for spec in model.offers}
    chosen: dict[str, Output] = {}
    for wish in wishes:
        if wish.name not in offered:
            raise ClientFaultError(
                f"unknown output {shown(wish.name)}; this model offers {', '.join(offered)}"
            )
        if wish.name in chosen:
            raise ClientFaultError(f"output {shown(wish.name)} is requested twice")
        chosen[wish.name] = Output(offered[wish.name], wish.binary)
    return tuple(chosen.values())
