"""Who changed something of a ModelDeployment, and when, as far as the API server tells."""

from enum import StrEnum

from rampway.api.base import StatusModel, Timestamp, Token


class Told(StrEnum):
    """By what it is known who it was."""

    STAMP = "Stamp"  # the user's name, written by the API server's admission policy
    MANAGER = "Manager"  # the name of the program, by managedFields; nobody knows whose hand it was


class Author(StatusModel):
    """Who changed something, and when."""

    by: Token = ""
    """The user as the API server knows them; where `told` is Manager, the program that wrote it."""
    at: Timestamp = ""
    """When, by the API server's clock; where `told` is Manager, when that program wrote last."""
    told: Token = ""
    """By what it is known: Stamp (an admission policy of the API server wrote it down, over
    whatever the client wrote), Manager (there is no such policy: the field manager in
    managedFields), or empty (nothing tells)."""
