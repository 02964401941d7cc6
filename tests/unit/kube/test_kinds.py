"""Kinds, paths, and what the two API servers ask of an object first."""

import pytest

from rampway.kube import kinds
from rampway.kube.errors import Invalid
from rampway.kube.objects import describe, has_test, named, typed


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (kinds.CONFIG_MAP.path("ml", "one"), "/api/v1/namespaces/ml/configmaps/one"),
        (kinds.CONFIG_MAP.path("ml"), "/api/v1/namespaces/ml/configmaps"),
        (kinds.CONFIG_MAP.path(), "/api/v1/configmaps"),
        (kinds.NODE.path(None, "node-0"), "/api/v1/nodes/node-0"),
        (
            kinds.MODEL_ROLLOUT.path("ml", "digits-1", "status"),
            "/apis/rampway.dev/v1alpha1/namespaces/ml/modelrollouts/digits-1/status",
        ),
        (
            kinds.HTTP_ROUTE.path("ml", "digits"),
            "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/digits",
        ),
        (kinds.POD.path("ml", "a?b#c%2e"), "/api/v1/namespaces/ml/pods/a%3Fb%23c%252e"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    """Core kinds live below /api, all others below /apis; odd characters are escaped."""
    assert path == expected


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (kinds.POD, (None, "one")),
        (kinds.NODE, ("ml", "one")),
        (kinds.POD, ("ml", "", "status")),
        (kinds.POD, ("ml", "../x")),
        (kinds.POD, ("..", "x")),
    ],
)
def test_paths_that_cannot_be(kind: kinds.Kind, parts: tuple[str | None, ...]) -> None:
    """A path to another place than meant is refused before it is sent."""
    with pytest.raises(ValueError, match=r"pods|nodes"):
        kind.path(parts[0], *(part or "" for part in parts[1:]))


def test_every_kind_is_of_its_own() -> None:
    """No two kinds share a path."""
    every = [one for one in vars(kinds).values() if isinstance(one, kinds.Kind)]
    assert len(every) > 15
    assert len({one.path() for one in every}) == len(every)


def test_named() -> None:
    """Namespace and name of an object to create, with or without its type written out."""
    obj = {"metadata": {"name": "one", "namespace": "ml"}}
    assert named(kinds.POD, obj) == ("ml", "one")
    assert named(kinds.POD, typed(kinds.POD, obj)) == ("ml", "one")
    with pytest.raises(Invalid, match=r"apiVersion is 'v2', expected 'v1'"):
        named(kinds.POD, obj | {"apiVersion": "v2"})
    with pytest.raises(Invalid, match=r"metadata\.name is missing"):
        named(kinds.POD, {})


def test_describe() -> None:
    """Messages name an object as people do."""
    assert describe(kinds.POD, "ml", "one") == "Pod ml/one"
    assert describe(kinds.NODE, None, "one") == "Node one"
    assert describe(kinds.POD, None, "") == "Pod"


def test_has_test() -> None:
    """Only a JSON patch with a `test` guards against a lost race."""
    assert has_test([{"op": "add"}, {"op": "test"}])
    assert not has_test([{"op": "add"}])
