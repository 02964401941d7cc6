"""The Open Inference Protocol in JSON: good requests, and every kind of bad one."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from unit.server.asgi import call, infer_body
from unit.server.conftest import ANY_SPEED, MAX_BODY_BYTES, MakeApp

from rampway_server import jsontensors, protocol
from rampway_server.errors import ClientFaultError
from rampway_server.estimators import describe
from rampway_server.tensors import TensorSpec, check_shape, conform, fit

INFER = "/v2/models/digits/infer"
ROW = [float(i % 17) for i in range(64)]
PAIR = describe(LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1]), "")


def _with(**more: Any) -> bytes:
    return json.dumps(infer_body([ROW], **more)).encode()


def _tensor(**more: Any) -> bytes:
    return _with(tensor=more)


def _without(key: str, **more: Any) -> bytes:
    document = infer_body([ROW], tensor=more)
    del document["inputs"][0][key]
    return json.dumps(document).encode()


BAD_BODIES = {
    "no JSON": (b"{", "not JSON"),
    "empty": (b"", "not JSON"),
    "NaN is not JSON": (_with().replace(b"16.0", b"NaN"), "no NaN or Infinity (missing is null)"),
    "not UTF-8": (b'{"inputs": "\xff"}', "not JSON"),
    "nested too deeply": (b"[" * 5000 + b"]" * 5000, "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "no inputs": (b"{}", 'the request has no "inputs"'),
    "inputs no list": (b'{"inputs": {}}', '"inputs" of the request is an object'),
    "no input": (b'{"inputs": []}', "has 0 tensors; this model takes one"),
    "the same input twice": (
        json.dumps({"inputs": infer_body([ROW])["inputs"] * 2}).encode(),
        "input 'input-0' is there twice",
    ),
    "input no object": (b'{"inputs": [1]}', "expected a tensor object"),
    "id no string": (_with(id=3), '"id" of the request is an integer; expected a string'),
    "parameters no object": (_with(parameters=[]), '"parameters" of the request is a list'),
    "no name": (_without("name"), 'the input has no "name"'),
    "no shape": (_without("shape"), 'input "input-0" has no "shape"'),
    "no datatype": (_without("datatype"), 'input "input-0" has no "datatype"'),
    "no data": (_without("data"), 'input "input-0" has no "data"'),
    "wrong name": (_tensor(name="x"), "unknown input 'x'; this model takes one, named \"input-0\""),
    "unknown datatype": (_tensor(datatype="FP128"), "datatype 'FP128'; this model takes numbers"),
    "strings": (_tensor(datatype="BYTES"), "this model takes numbers"),
    "parameters of an input no object": (_tensor(parameters=[]), "is a list; expected an object"),
    "binary without its header": (
        _without("data", parameters={"binary_data_size": 512}),
        "no header Inference-Header-Content-Length",
    ),
    "binary and JSON": (_tensor(parameters={"binary_data_size": 512}), "has both"),
    "binary size no number": (
        _without("data", parameters={"binary_data_size": "8"}),
        '"binary_data_size" of the parameters of input "input-0" is a string',
    ),
    "binary output neither": (
        _with(parameters={"binary_data_output": 1}),
        "expected true or false",
    ),
    "binary of an output neither": (
        _with(outputs=[{"name": "predict", "parameters": {"binary_data": "yes"}}]),
        "\"binary_data\" of output 'predict' is a string",
    ),
    "shape of one dimension": (_tensor(shape=[64]), "1 dimensions; expected [-1, 64]"),
    "shape of text": (_tensor(shape=["1", 64]), "expected positive integers"),
    "shape of true": (_tensor(shape=[True, 64]), "expected positive integers"),
    "negative shape": (_tensor(shape=[-1, 64]), "expected positive integers"),
    "no rows": (_tensor(shape=[0, 64], data=[]), "expected positive integers"),
    "wrong number of features": (_tensor(shape=[1, 63], data=ROW[:63]), "expected [-1, 64]"),
    "data short": (_tensor(data=ROW[:60]), "which is 64 values, but its data hold 60"),
    "data long": (_tensor(data=[ROW, ROW]), "its data hold 128"),
    "no data in data": (_tensor(data=[]), "its data hold 0"),
    "huge shape": (_tensor(shape=[10**18, 64]), "values; expected at most 25000"),
    "nested otherwise": (_tensor(data=[ROW[:32], ROW[32:]]), "nested as [2, 32]"),
    "nested too far": (_tensor(data=[[[v] for v in ROW]]), "nested as [1, 64, 1]"),
    "ragged": (_tensor(data=[ROW, ROW[:3]]), "is ragged"),
    "ragged, list and number": (_tensor(data=[ROW, 1]), "is ragged"),
    "number, then list": (_tensor(data=[1.0, *ROW[:62], [1]]), "a list ([1]) at position 63"),
    "a string in the data": (_tensor(data=[*ROW[:63], "1"]), "a string ('1') at position 63"),
    "null in the data": (_tensor(data=[None, *ROW[:63]]), "null (None) at position 0"),
    "an object in the data": (_tensor(data=[{}, *ROW[:63]]), "an object ({}) at position 0"),
    "true for a number": (_tensor(data=[True, *ROW[:63]]), "true or false (True) at position 0"),
    "fraction for an integer": (
        _tensor(datatype="INT32", data=[0.5, *range(63)]),
        "datatype INT32 takes integers",
    ),
    "too large for its type": (
        _tensor(datatype="UINT8", data=[256, *range(63)]),
        "outside the range of datatype UINT8",
    ),
    "negative unsigned": (_tensor(datatype="UINT64", data=[-1, *range(63)]), "outside the range"),
    "infinite": (_tensor(datatype="FP32", data=[1e300, *ROW[:63]]), "not a finite number"),
    "number for a truth": (_tensor(datatype="BOOL", data=ROW), "takes true and false"),
    "outputs no list": (_with(outputs="predict"), '"outputs" of the request is a string'),
    "output no object": (_with(outputs=["predict"]), "holds 'predict'; expected"),
    "unknown output": (_with(outputs=[{"name": "x"}]), "this model offers predict, predict_proba"),
    "output twice": (_with(outputs=[{"name": "predict"}] * 2), "is requested twice"),
}


@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_bad_body_is_a_client_fault_that_says_why(
    kind: str, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Each malformed body gets 400 and a sentence with what was seen and expected."""
    body, sentence = BAD_BODIES[kind]
    app, metrics = make_app(classifier)
    reply = await call(app, INFER, body)
    assert reply.status == 400
    assert sentence in reply.error
    assert len(reply.error) < 400
    assert b'outcome="client_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_good_request_is_answered_with_id_and_label(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """The answer carries model, version, id and the label as INT64; no probabilities unasked."""
    app, _ = make_app(classifier)
    reply = await call(app, INFER, _with(id="a-1"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["rampway-revision"] == "digits-abc"
    label = int(classifier.predict([ROW])[0])
    assert reply.document == {
        "model_name": "digits",
        "model_version": "2",
        "id": "a-1",
        "parameters": {"automation": "use"},
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [1], "data": [label]}],
    }


async def test_requested_outputs_come_in_the_order_asked(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Probabilities are given when asked for, row by row."""
    app, _ = make_app(classifier)
    rows = [ROW, ROW[::-1]]
    outputs = [{"name": "predict_proba"}, {"name": "predict"}]
    reply = await call(app, INFER, json.dumps(infer_body(rows, outputs=outputs)).encode())
    first, second = reply.document["outputs"]
    assert (first["name"], first["shape"]) == ("predict_proba", [2, 10])
    assert first["data"] == pytest.approx(classifier.predict_proba(rows).ravel())
    assert second["data"] == classifier.predict(rows).tolist()


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("BOOL", True), ("FP16", 2), ("FP32", 2.5), ("FP64", 2.5)]
    + [(f"{kind}{bits}", 3) for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)],
)
def test_each_datatype_is_read_flat_and_nested(datatype: str, value: float) -> None:
    """Every numeric datatype passes, as a flat list and as nested rows."""
    expected = np.full((2, 3), float(value))
    for data in ([value] * 6, [[value] * 3] * 2):
        rows = _read(data, datatype, [2, 3])
        assert rows.dtype == np.float64
        assert np.array_equal(rows, expected)


def _read(data: list[Any], datatype: str, shape: list[int]) -> Any:
    spec = TensorSpec("input-0", "FP64", (-1, shape[-1]))
    sizes = check_shape(shape, spec, "it", 100)
    values = jsontensors.read(data, datatype, sizes, spec, "it", truths=datatype == "BOOL")
    return fit(values, datatype, sizes, spec, "it")


def test_values_pass_through_their_declared_datatype() -> None:
    """0.1 declared FP32 is what FP32 holds, as the client's own arithmetic has it."""
    assert _read([0.1], "FP32", [1, 1])[0, 0] == float(np.float32(0.1))


@pytest.mark.parametrize(
    ("labels", "datatype"),
    [([0, 1], "INT64"), (["no", "yes"], "BYTES"), ([False, True], "BOOL"), ([0.5, 1.5], "FP64")],
)
async def test_labels_come_in_their_own_datatype(
    labels: list[Any], datatype: str, make_app: MakeApp
) -> None:
    """Labels are INT64, BYTES or BOOL, whatever numpy stores them as; metadata says the same."""
    rows = [[0.0, 0.0], [1.0, 1.0]]
    targets = [str(label) for label in labels] if datatype == "FP64" else labels
    if datatype == "FP64":
        estimator: Any = LinearRegression().fit(rows, labels)
    else:
        estimator = DecisionTreeClassifier(random_state=0).fit(rows, targets)
    app, _ = make_app(estimator)
    (output, *_) = (await call(app, INFER, json.dumps(infer_body(rows)).encode())).document[
        "outputs"
    ]
    metadata = (await call(app, "/v2/models/digits")).document["outputs"][0]
    assert (output["datatype"], metadata["datatype"]) == (datatype, datatype)
    if datatype == "FP64":
        assert output["data"] == pytest.approx(labels)
    else:
        assert output["data"] == labels


def test_float32_predictions_are_written_as_the_metadata_says() -> None:
    """An estimator's float32 answers are written as FP64, so that answer and metadata agree."""
    spec = TensorSpec("p", "FP64", (-1,))
    written = jsontensors.writable(conform(spec, np.array([0.5], dtype=np.float32), 1))
    assert written.dtype == np.float64


def test_answers_that_are_not_one_per_row_are_refused() -> None:
    """An estimator that answers once for two rows has failed; nobody may read the answer."""
    with pytest.raises(ValueError, match="to 2 rows"):
        conform(TensorSpec("p", "FP64", (-1,)), [1.0], 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("input-0") | JSON,
        "shape": st.just([1, 2]) | st.lists(st.integers(-2, 2**70), max_size=3) | JSON,
        "datatype": st.sampled_from(["FP64", "FP16", "INT8", "UINT64", "BOOL", "BYTES"]) | JSON,
        "data": st.lists(st.integers() | st.floats(allow_nan=False), min_size=2, max_size=2) | JSON,
        "parameters": JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "inputs": st.lists(TENSOR, min_size=1, max_size=1) | JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": JSON}), max_size=2) | JSON,
    },
)


def _parse_or_fault(body: bytes, json_bytes: int | None = None) -> None:
    fault, rows = None, np.zeros((1, 2))
    try:
        (rows,) = protocol.parse(body, json_bytes, PAIR, 10_000).inputs
    except ClientFaultError as error:
        fault = error
    assert fault is None or (fault.status == 400 and orjson.dumps(fault.message))
    assert rows.shape[1:] == (2,)
    assert np.isfinite(rows).all()


@given(REQUEST)
@settings(ANY_SPEED, max_examples=400)
def test_any_json_is_read_or_refused(document: Any) -> None:
    """Whatever JSON comes, it is a request or a client fault, never another exception."""
    _parse_or_fault(json.dumps(document).encode())


@given(st.binary(max_size=200))
@settings(ANY_SPEED, max_examples=200)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever bytes come, it is a request or a client fault."""
    _parse_or_fault(body)


@given(st.data())
@settings(ANY_SPEED, max_examples=200)
def test_any_mutation_of_a_good_body_is_read_or_refused(data: st.DataObject) -> None:
    """A good body with one piece replaced by random bytes is a request or a client fault."""
    good = json.dumps(infer_body([[1.0, 2.0]], id="x", outputs=[{"name": "predict"}])).encode()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 12)))
    _parse_or_fault(good[:start] + data.draw(st.binary(max_size=8)) + good[end:])


@pytest.mark.parametrize("chunk_bytes", [MAX_BODY_BYTES + 1, 30_000])
async def test_too_large_a_body_is_413(
    chunk_bytes: int, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """A body over the limit is refused whether it comes whole or in chunks of no known sum."""
    app, metrics = make_app(classifier)
    chunks = [b" " * chunk_bytes] * (1 + MAX_BODY_BYTES // chunk_bytes)
    reply = await call(app, INFER, chunks)
    assert reply.status == 413
    assert f"expected at most {MAX_BODY_BYTES}" in reply.error
    assert reply.headers["connection"] == "close"
    assert b'outcome="client_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_too_large_a_body_is_not_read_for_ever(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """An endless body is read on only up to four times the limit."""
    app, _ = make_app(classifier)
    reply = await call(app, INFER, [b" " * MAX_BODY_BYTES] * 1000)
    assert reply.status == 413
    assert "the body has 500000 bytes or more" in reply.error


async def test_announced_too_large_a_body_is_refused_unread(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """A client that waits for 100 Continue is told 413 before it sends anything."""
    app, _ = make_app(classifier)
    headers = {"Content-Length": str(10**9), "Expect": "100-continue"}
    reply = await call(app, INFER, [], headers)
    assert reply.status == 413
