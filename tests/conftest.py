"""All tests: garbage is looked for rarely."""

import gc

import pytest

LITTER = 20_000
"""Containers that are made beyond those let go of, from one collection to the next."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare what lives as long as the tests do: a tenth of their time went into looking at it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(LITTER, 20, 50)
