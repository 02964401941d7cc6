"""The Protocol of an API server; the real one and the simulated one pass one contract suite."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from rampway.kube.kinds import Kind

Obj = dict[str, Any]
"""An object as the API server's JSON gives it."""
Labels = Mapping[str, str | tuple[str, ...]]
"""A value that an object's label must have, or several of which it must have one."""
JsonPatch = list[dict[str, Any]]
"""RFC 6902 operations."""

DEADLINE_S = 10.0
"""Seconds a call may take in all, its one retry after a new login included."""
PAGE = 500
"""Objects per page of a list."""


class Lister(Protocol):
    """What lists objects."""

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Labels | None = None,
    ) -> list[Obj]:
        """Return all objects with these labels, of all namespaces when none is given.

        Read in pages of `PAGE`; `apiVersion` and `kind`, which lists leave out, are filled in.

        Raises:
            NotFound: the server does not serve this kind.
        """
        ...

    def walk(
        self, kind: Kind, namespace: str | None = None, labels: Labels | None = None
    ) -> AsyncIterator[Obj]:
        """Yield one by one what `list` returns, as it was at one instant.

        Only a page is held at a time: of a kind that there may be thousands of, and that is not
        asked for by one owner. The deadline counts for each page.

        Raises:
            NotFound: the server does not serve this kind.
        """
        ...


class KubeApi(Lister, Protocol):
    """The verbs the operator uses; each either does its work or raises a `KubeError`.

    Every call ends within a total deadline (`DEADLINE_S` unless told otherwise) and may raise
    `Transient`, `Forbidden` or `Invalid`. A read may be sent again within it, a write is not,
    except after a 401, once, with a new login.
    """

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
        """Return one object.

        Raises:
            NotFound: there is none of that name.
        """
        ...

    async def create(self, kind: Kind, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Create an object in its `metadata.namespace` and return it as stored.

        With `dry_run`, everything is checked and nothing stored.

        Raises:
            AlreadyExists: the name is taken.
            NotFound: its namespace is not there, or the server does not serve this kind.
            Conflict: a quota was written in between.
        """
        ...

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Obj | JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Obj:
        """Change an object and return it as stored.

        A dict is a JSON merge patch (RFC 7386): its `metadata.resourceVersion` and
        `metadata.uid`, when there, must be the object's. A list is a JSON patch (RFC 6902).
        Without `subresource="status"` (the only one used) a change of `status` is ignored; with
        it, put nothing else into the patch.

        Raises:
            NotFound: there is none of that name.
            Conflict: stale resourceVersion, another uid, or a JSON patch with a `test` that does
                not apply: the server does not say which of its operations failed.
            Invalid: the object would be refused, or a JSON patch without a `test` does not apply.
        """
        ...

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete an object, its dependants in the background.

        With `uid`, only that very object; with `version`, only at this resourceVersion.

        Raises:
            NotFound: there is none of that name.
            Conflict: the object has another uid or resourceVersion than the one given.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
