"""A pytest plugin: whether the broken source still imports, and by what kind of error a test fails.

It is loaded in the process that runs the tests of one break, and writes what it saw as JSON.
"""

import importlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

MODULE, REPORT = "RAMPWAY_BREAK_MODULE", "RAMPWAY_BREAK_REPORT"
_seen: dict[str, Any] = {"refused": "", "failed": None}


def pytest_sessionstart() -> None:
    """Import the broken module, and make sure that it is the copy's."""
    name = os.environ.get(MODULE, "")
    if not name:
        return
    try:
        found = Path(str(importlib.import_module(name).__file__))
    except Exception as error:  # noqa: BLE001 - any failure to import makes it no break of behaviour
        _seen["refused"] = f"{name} does not import any more: {type(error).__name__}: {error}"
    else:
        if not found.is_relative_to(Path.cwd()):
            _seen["refused"] = f"{name} was imported from {found}, expected from {Path.cwd()}"
    if _seen["refused"]:
        pytest.exit(_seen["refused"], returncode=3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the first failure: of which test, when, and by what error."""
    report = yield
    if report.failed and _seen["failed"] is None and call.excinfo is not None:
        error = call.excinfo.value
        _seen["failed"] = {
            "test": item.nodeid,
            "when": call.when,
            "error": f"{type(error).__name__}: {error}".split("\n", 1)[0][:200],
            "asserted": _is_assertion(error),
        }
    return report


def _is_assertion(error: BaseException) -> bool:
    """Whether a test said no: an assertion, or `pytest.raises` that saw nothing raised."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_assertion(one) for one in error.exceptions)
    return isinstance(error, AssertionError | pytest.fail.Exception)


def pytest_sessionfinish() -> None:
    """Write what was seen."""
    Path(os.environ[REPORT]).write_text(json.dumps(_seen))
