"""A YAML or JSON file as objects whose every field knows its line. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Path = Sequence[int | str]


class Unreadable(ValueError):  # noqa: N818 - what a file is
    """Not YAML; `line` is where it stops to be."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file.

    Attributes:
        content: The object as programs see it.
    """

    content: Any
    node: yaml.Node

    def line(self, path: Path = ()) -> int:
        """Return the line, from 1, of a field, or of the nearest one around it."""
        node, line = self.node, self.node.start_mark.line
        for part in path:
            found = _inner(node, part)
            if found is None:
                break
            line, node = found
        return line + 1

    def twice(self) -> Iterator[tuple[int, str]]:
        """Yield line and name of each key that an object has twice: the last one would count."""
        yield from _twice(self.node)


def _inner(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    """Return the line and the node of a field or item."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _twice(node: yaml.Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if str(key.value) in seen:
            yield key.start_mark.line + 1, str(key.value)
        seen.add(str(key.value))
        yield from _twice(value)


def documents(text: str) -> list[Document]:
    """Return the objects of a file; empty documents are left out.

    Raises:
        Unreadable: it is not YAML.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        contents = list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        raise Unreadable(f"not YAML: {err.problem}", mark.line + 1 if mark else 1) from err
    except yaml.YAMLError as err:
        raise Unreadable(f"not YAML: {err}", 1) from err
    return [
        Document(content, node)
        for content, node in zip(contents, nodes, strict=True)
        if node.tag != "tag:yaml.org,2002:null"
    ]
