"""Model files to models: which kind a file is, and what is refused."""

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import skops.io

from rampway_server import estimators, reference
from rampway_server.errors import StartError
from rampway_server.model import Model
from rampway_server.reference import Profile


def load(data: bytes, sha256: str, trusted: Sequence[str]) -> tuple[Model, list[str]]:
    """Return the model in a skops file's bytes, and the warnings that loading it gave.

    Raises:
        StartError: not a skops file, types not trusted, or no model that predicts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = _estimator(data, trusted)
    told = {str(one.message) for one in caught}
    model = estimators.describe(estimator, sha256)
    try:
        model = replace(model, profile=_profile(data))
    except (ValueError, TypeError, LookupError) as error:
        told.add(f"the file's profile of the training data is left out: {error!r}")
    return model, sorted(told)


def _profile(data: bytes) -> Profile | None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if reference.MEMBER not in archive.namelist():
            return None
        return reference.from_json(archive.read(reference.MEMBER))


def _estimator(data: bytes, trusted: Sequence[str]) -> Any:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise StartError(
            f"the model file of {len(data)} bytes is not a skops file (nor any zip archive); "
            "write it with skops.io.dump"
        )
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
