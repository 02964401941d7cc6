"""The administrator's list: which addresses metric sources may name, for whom, with what login."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from rampway.api.base import ApiModel, Label
from rampway.api.sources import Address
from rampway.api.wording import explain
from rampway.core.checks.sources import Allowed


class BadList(ValueError):  # noqa: N818 - named after what it is
    """The list cannot be understood; the message says where and why."""


class _Entry(ApiModel):
    prefix: Address
    namespaces: tuple[Annotated[str, Field(max_length=63)], ...] = ()
    credentials: tuple[Label, ...] = ()
    open: bool = Field(default=False, strict=True)


_ENTRIES = TypeAdapter(tuple[_Entry, ...])


@dataclass(slots=True)
class AllowList:
    """Reads the list anew whenever its file has changed.

    Attributes:
        path: A YAML file; empty, or no such file: nothing is allowed.
    """

    path: str
    _text: str = ""
    _known: tuple[Allowed, ...] = field(default=())

    def __call__(self) -> tuple[Allowed, ...]:
        """Return the entries as they are now.

        Raises:
            BadList: the file is there and cannot be understood. Then nothing is allowed.
        """
        try:
            text = Path(self.path).read_text(encoding="utf-8") if self.path else ""
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise BadList(f"the list of metric sources {self.path}: {error}") from error
        if text != self._text:
            self._known = self._parsed(text)
            self._text = text
        return self._known

    def _parsed(self, text: str) -> tuple[Allowed, ...]:
        try:
            entries = _ENTRIES.validate_python(yaml.safe_load(text) or ())
        except yaml.YAMLError as error:
            raise BadList(f"the list of metric sources {self.path} is not YAML: {error}") from error
        except ValidationError as error:
            told = explain(error, _Entry)
            raise BadList(f"the list of metric sources {self.path}: {told}") from error
        return tuple(
            Allowed(e.prefix, frozenset(e.namespaces), frozenset(e.credentials), e.open)
            for e in entries
        )
