"""Names that are not there, namespaces without any, clusters that know no such kind."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from unit.cli import scenes
from unit.cli.objects import Obj, put, spec

from rampway.cli import cluster
from rampway.cli.app import app
from rampway.kube import kinds
from rampway.kube.base import KubeApi
from rampway.kube.errors import Forbidden
from rampway.sim.api_rules import RULES
from rampway.sim.apiserver import MemoryApi, Store

Ask = Callable[..., Result]
VERBS = (
    ("status",), ("explain",), ("history",), ("history", "1"), ("approve",), ("promote",),
    ("abort",), ("retry",), ("pause",), ("resume",), ("undo",), ("replay",),
)  # fmt: skip
"""Every verb that is about a ModelDeployment, with what follows its name."""


def named(*names: str) -> Store:
    """Return an API server with ModelDeployments of these names."""
    store = scenes.Scene(spec=spec("1"), status={}).store()
    store.delete(kinds.MODEL_DEPLOYMENT, scenes.SPACE, scenes.NAME)
    for name in names:
        head = {"metadata": {"name": name, "namespace": scenes.SPACE}, "spec": spec("1")}
        put(store, kinds.MODEL_DEPLOYMENT, head)
    return store


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Type a command against an API server."""

    def go(api: KubeApi, *words: str) -> Result:
        @asynccontextmanager
        async def connected(_self: cluster.Cluster) -> AsyncIterator[KubeApi]:
            yield api

        monkeypatch.setattr(cluster.Cluster, "namespace", lambda _self, given: given or "ml")
        monkeypatch.setattr(cluster.Cluster, "api", connected)
        return CliRunner().invoke(app, words)

    return go


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_name_that_is_not_there_is_told_with_those_there_are(
    ask: Ask, verb: tuple[str, ...]
) -> None:
    """Exit code 4, and not a word of CRDs, which are installed."""
    word, *rest = verb
    result = ask(MemoryApi(named("digits", "letters")), word, "digts", *rest)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == (
        "error: there is no ModelDeployment digts in namespace ml. Did you mean digits? "
        "There: digits, letters\n"
    )


def test_of_many_names_a_few_are_told(ask: Ask) -> None:
    """Nobody reads a hundred of them; a name like none of them suggests none."""
    result = ask(MemoryApi(named(*"gfedcba")), "status", "nope")
    assert "in namespace ml. There: a, b, c, d, e and 2 more\n" in result.stderr


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_an_empty_namespace_is_told_as_one(ask: Ask, verb: tuple[str, ...]) -> None:
    """Mostly it is the wrong one."""
    word, *rest = verb
    result = ask(MemoryApi(named()), word, "digits", *rest)
    assert result.exit_code == 4
    assert "no ModelDeployment digits in namespace ml, nor any other; `kubectl" in result.stderr
    assert "CRD" not in result.stderr


def test_an_empty_namespace_has_an_empty_list(ask: Ask) -> None:
    """That is no error."""
    result = ask(MemoryApi(named()), "list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "no ModelDeployments in namespace ml; -A: in all\n"


@pytest.mark.parametrize("verb", [*VERBS, ("list", "-A")], ids=" ".join)
def test_crds_that_are_not_there_are_told_only_then(ask: Ask, verb: tuple[str, ...]) -> None:
    """The API server answers 404 to both; only a list tells them apart."""
    served = {kind: rules for kind, rules in RULES.items() if kind != kinds.MODEL_DEPLOYMENT}
    store = Store(named().clock, namespaces=("ml",), rules=served)
    word, *rest = verb
    words = ("list", "-A") if word == "list" else (word, "digits", *rest)
    result = ask(MemoryApi(store), *words)
    assert result.exit_code == 4
    assert "this cluster does not know ModelDeployments: are Rampway's CRDs" in result.stderr
    assert "there is no ModelDeployment" not in result.stderr


def test_who_may_read_one_and_not_list_them_is_told_of_none(ask: Ask) -> None:
    """What cannot be known is not guessed."""

    class Listless(MemoryApi):
        async def list(self, *_args: Any, **_named: Any) -> list[Obj]:
            raise Forbidden("list ModelDeployment ml: 403: no right")

    result = ask(Listless(named("digits")), "status", "digts")
    assert result.exit_code == 4
    assert result.stderr == "error: there is no ModelDeployment digts in namespace ml\n"
