"""Rampway's model server: scikit-learn models over the Open Inference Protocol V2."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rampway_server.reference import Profile, profile

__version__ = "0.1.0"
__all__ = ["Profile", "profile"]


def __getattr__(name: str) -> Any:
    """Import what belongs to training only when it is used: a server sets numpy's threads first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rampway_server import reference

    return getattr(reference, name)
