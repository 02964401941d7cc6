"""Rampway's model server: scikit-learn models over the Open Inference Protocol V2."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rampway_server.reference import Profile, profile
    from rampway_server.testing import serving

__version__ = "0.1.0"
__all__ = ["Profile", "profile", "serving"]


def __getattr__(name: str) -> Any:
    """Import what is for training and tests only when it is used: a server sets threads first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "testing" if name == "serving" else "reference"
    return getattr(importlib.import_module(f"rampway_server.{module}"), name)
