"""What the protocol's published OpenAPI descriptions say of an answer."""

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, validators
from unit.server.asgi import Reply

FOLDER = Path(__file__).with_name("openapi")
# The description has a type of its own for tensors that are no JSON.
_TYPES: TypeChecker = Draft202012Validator.TYPE_CHECKER.redefine("bytes", lambda *_: False)
_Validator = validators.extend(Draft202012Validator, type_checker=_TYPES)
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "minLength": 1}},
    "required": ["error"],
    "additionalProperties": False,
}


def _documents() -> list[dict[str, Any]]:
    names = ("dataplane.json", "model_repository.json")
    return [json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in names]


DOCUMENTS = _documents()
# MLServer's own paths beyond the protocol.
OTHERS = re.compile(r"/(generate|generate_stream|infer_stream)$")


def operations() -> list[tuple[str, str]]:
    """Return method and path of each operation of the protocol, as the descriptions write them."""
    return [
        (method.upper(), path)
        for document in DOCUMENTS
        for path, found in document["paths"].items()
        for method in ("get", "post")
        if method in found and not OTHERS.search(path)
    ]


def check(method: str, path: str, reply: Reply) -> None:
    """Hold an answer against the description of its path; an error has one sentence, no more.

    Raises:
        jsonschema.ValidationError: it is another.
    """
    if reply.status >= 400:
        assert reply.headers["content-type"] == "application/json"
        _Validator(_ERROR).validate(reply.document)
        return
    document, described = _described(method, path)
    content = described["responses"][str(reply.status)].get("content", {})
    if content:
        assert reply.headers["content-type"] in content
        schema = content[reply.headers["content-type"]]["schema"]
        _Validator({**document, **schema}).validate(reply.document)


def _described(method: str, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for document in DOCUMENTS:
        for template, found in document["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if method.lower() in found and re.fullmatch(pattern, path):
                return document, found[method.lower()]
    raise LookupError(f"{method} {path} is not in the protocol, and was answered all the same")
