"""ONNX models, through onnxruntime: their tensors are what the file declares."""

import math
import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from rampway_server.errors import StartError
from rampway_server.model import Model
from rampway_server.tensors import TEXT, TensorSpec

PLATFORM = "onnxruntime_onnx"
_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": TEXT,
}
_DATATYPES |= {f"tensor(int{bits})": f"INT{bits}" for bits in (8, 16, 32, 64)}
_DATATYPES |= {f"tensor(uint{bits})": f"UINT{bits}" for bits in (8, 16, 32, 64)}
_PROBABILITIES = "probabilities"  # as skl2onnx names them
_MATRIX = 2


class Session:
    """Runs a model's graph."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[TensorSpec]) -> list[Any]:
        """Return the outputs."""
        given = dict(zip(self._names, inputs, strict=True))
        found: list[Any] = self._session.run([spec.name for spec in outputs], given)
        return found


def load(data: bytes, sha256: str) -> Model:
    """Return the model in an ONNX file's bytes.

    Raises:
        StartError: it is none, takes what is no tensor, or onnxruntime is not installed.
    """
    # Else it reports to its makers, from version 1.31 on; whoever wants that sets 0.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort
    except ImportError:
        raise StartError(
            "the model file looks like ONNX, and onnxruntime is not installed; use the image "
            "model-server-full, or install rampway[server-full]"
        ) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as many as --workers in all
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StartError(f"the model file cannot be loaded as ONNX: {error}") from error
    takes = [_spec(one, missing=True) for one in session.get_inputs()]
    if None in takes:
        raise StartError("the ONNX model takes an input that is no tensor; expected tensors only")
    # Sequences and maps (skl2onnx' ZipMap) are no tensors of the protocol.
    offers = tuple(spec for one in session.get_outputs() if (spec := _spec(one)) is not None)
    if not offers:
        raise StartError("the ONNX model offers no output that is a tensor")
    return Model(
        predictor=Session(session),
        platform=PLATFORM,
        sha256=sha256,
        takes=tuple(spec for spec in takes if spec is not None),
        offers=offers,
        probabilities=next((spec for spec in offers if _is_probabilities(spec)), None),
        batches=all(spec.shape[0] == -1 for spec in (*takes, *offers) if spec is not None),
    )


def _spec(declared: Any, *, missing: bool = False) -> TensorSpec | None:
    datatype = _DATATYPES.get(declared.type)
    shape = tuple(size if isinstance(size, int) else -1 for size in declared.shape)
    if datatype is None or math.prod(shape or (0,)) == 0:
        return None
    return TensorSpec(declared.name, datatype, shape, missing)


def _is_probabilities(spec: TensorSpec) -> bool:
    return spec.name == _PROBABILITIES and len(spec.shape) == _MATRIX and spec.datatype[:2] == "FP"
