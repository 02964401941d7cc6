"""Model files to models: which kind a file is, and what is refused."""

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import joblib
import skops.io

from rampway_server import estimators, onnxmodel, reference
from rampway_server.errors import StartError
from rampway_server.model import Model
from rampway_server.reference import Profile

_ONNX = b"\x08"  # the field of a ModelProto that comes first, its IR version
_ZIP = b"PK\x03\x04"
_PICKLES = (b"\x80", b"\x78", b"\x1f\x8b", b"BZ", b"\xfd7zXZ")  # plain, and as joblib packs them
_MOST_BYTES = 2 << 30  # of a zip archive's content: a small file may hold terabytes of zeros


def load(
    data: bytes, sha256: str, trusted: Sequence[str], *, allow_pickle: bool = False
) -> tuple[Model, list[str]]:
    """Return the model in a file's bytes, and the warnings that loading it gave.

    Raises:
        StartError: no model file, a pickle without consent, types not trusted, or no model that
            predicts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = _model(data, sha256, trusted, allow_pickle=allow_pickle)
        except StartError:
            raise
        except (Exception, SystemExit) as error:  # a pickle may raise anything, and so may a class
            raise StartError(
                f"the model file cannot be loaded: {type(error).__name__}: {error}"
            ) from error
    told = {str(one.message) for one in caught}
    try:
        model = replace(model, profile=_profile(data))
    except (ValueError, TypeError, LookupError) as error:
        told.add(f"the file's profile of the training data is left out: {error!r}")
    told.update(model.training.left_out)
    return model, sorted(told)


def _model(data: bytes, sha256: str, trusted: Sequence[str], *, allow_pickle: bool) -> Model:
    if zipfile.is_zipfile(io.BytesIO(data)):
        return estimators.tried(estimators.describe(_skops(data, trusted), sha256))
    if data.startswith(_ONNX):
        return onnxmodel.load(data, sha256)
    if data.startswith(_ZIP):
        raise StartError(
            f"the model file of {len(data)} bytes begins as a skops file does and does not end as "
            "one: it is cut off or damaged; write or copy it again"
        )
    if not data.startswith(_PICKLES):
        raise StartError(
            f"the model file of {len(data)} bytes is not a skops file (nor any zip archive, ONNX "
            "or pickle); write it with skops.io.dump"
        )
    if not allow_pickle:
        raise StartError(
            "the model file is not a skops file but looks like a pickle, which runs code of its "
            "own when it is loaded; write it with skops.io.dump, or consent with --allow-pickle yes"
        )
    return estimators.tried(estimators.describe(_unpickled(data), sha256, "sklearn_pickle"))


def _skops(data: bytes, trusted: Sequence[str]) -> Any:
    _check_unpacked(data)
    try:
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        estimator = None if untrusted else skops.io.loads(data, trusted=list(trusted))
    except Exception as error:
        raise StartError(
            f"the model file cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if untrusted:
        raise StartError(
            f"the model file holds types that are not trusted: {', '.join(untrusted)}; "
            "name those you trust with --trust or RAMPWAY_TRUST"
        )
    return estimator


def _check_unpacked(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return  # whoever reads it says what is wrong with it
    if unpacked > _MOST_BYTES:
        raise StartError(
            f"the model file of {len(data)} bytes has {unpacked} unpacked; at most {_MOST_BYTES} "
            "are accepted"
        )


def _unpickled(data: bytes) -> Any:
    try:
        return joblib.load(io.BytesIO(data))
    except (Exception, SystemExit) as error:
        told = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise StartError(f"the pickle cannot be loaded: {told}") from error


def _profile(data: bytes) -> Profile | None:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if reference.MEMBER not in archive.namelist():
            return None
        return reference.from_json(archive.read(reference.MEMBER))
