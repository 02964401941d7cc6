"""What both API servers do with an object before anything else."""

from typing import Any

from rampway.kube.base import JsonPatch, Obj
from rampway.kube.errors import Invalid, message_of
from rampway.kube.kinds import Kind


def describe(kind: Kind, namespace: str | None, name: str) -> str:
    """Return how messages name an object: `Deployment ml/digits`."""
    return f"{kind.kind} {namespace}/{name}" if namespace else f"{kind.kind} {name}".rstrip()


def named(kind: Kind, obj: Obj) -> tuple[str | None, str]:
    """Return namespace and name of an object about to be created.

    Raises:
        Invalid: it is of another kind, lacks a name or the namespace its kind needs, or was read
            from the server (it has a resourceVersion, which the server answers with a 500).
    """
    meta: dict[str, Any] = obj.get("metadata") or {}
    namespace, name = meta.get("namespace"), meta.get("name") or ""
    target = describe(kind, namespace, name)
    for field, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if obj.get(field, expected) != expected:
            words = f"{field} is {obj[field]!r}, expected {expected!r}"
            raise Invalid(message_of("create", target, "not sent", words))
    if not name:
        raise Invalid(message_of("create", target, "not sent", "metadata.name is missing"))
    if meta.get("resourceVersion"):
        words = "metadata.resourceVersion is set, so the object exists: patch it instead"
        raise Invalid(message_of("create", target, "not sent", words))
    if kind.namespaced != bool(namespace):
        words = "metadata.namespace is missing" if kind.namespaced else "the kind has no namespace"
        raise Invalid(message_of("create", target, "not sent", words))
    return namespace, name


def typed(kind: Kind, obj: Obj) -> Obj:
    """Return the object with `apiVersion` and `kind`, which items of lists leave out."""
    return {"apiVersion": kind.api_version, "kind": kind.kind} | obj


def lightened(obj: Obj) -> None:
    """Drop `managedFields`: half of an object that thousands are kept of; nobody reads it.

    Of a route it is read: it names who else wrote the rules (B14). Of a ModelDeployment too: what
    wrote its spec (B11).
    """
    if obj.get("kind") in {"HTTPRoute", "ModelDeployment"}:
        return
    (obj.get("metadata") or {}).pop("managedFields", None)


def has_test(patch: JsonPatch) -> bool:
    """Whether a JSON patch holds a `test`: then its not applying means a lost race."""
    return any(operation.get("op") == "test" for operation in patch)
