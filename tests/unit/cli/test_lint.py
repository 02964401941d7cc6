"""lint: mistakes with their lines, doubts, and the API server's word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mistakes import MISTAKES, Mistake, full, minimal
from typer.testing import CliRunner, Result
from unit.cli import scenes
from unit.cli.conftest import Connect

from rampway.api.policy import Policy
from rampway.cli import doubts
from rampway.cli.app import app
from rampway.cli.doubts import Level
from rampway.cli.linting import lint
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import Forbidden, Invalid
from rampway.sim.apiserver import MemoryApi

ROOT = Path(__file__).parents[3]
BAD = """\
# two mistakes, and one that YAML hides
apiVersion: rampway.dev/v1alpha1
kind: ModelDeployment
metadata: {name: Digits}
spec:
  model: {uri: "ftp://store/1"}
  replicas: 2
  replicas: 3
  traffic:
    ownedRoute:
      parentRefs: [{name: eg}]
  rollout:
    policy:
      steps:
        - {name: half, weight: 50%}
        - name: tenth
          weight: 10%
---
apiVersion: rampway.dev/v1alpha1
kind: ModelDeploymint
metadata: {name: other}
---
apiVersion: v1
kind: Service
metadata: {name: not-ours}
"""


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., Result]:
    """Type `lint` with a file of this text."""

    def go(text: str, *words: str) -> Result:
        path = tmp_path / "a.yaml"
        path.write_text(text)
        result = CliRunner().invoke(app, ["lint", str(path), *words])
        result.stdout_bytes = result.stdout_bytes.replace(str(path).encode(), b"a.yaml")
        return result

    return go


def test_each_mistake_has_its_line(typed: Callable[..., Result]) -> None:
    """Line, field, what was expected and what was seen; exit code 1."""
    result = typed(BAD)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    starts = [
        "a.yaml:4: error: metadata.name: expected a lower-case letter",
        "a.yaml:6: error: spec.model.uri: expected file:///path",
        "a.yaml:8: error: key replicas is there twice",
        "a.yaml:17: error: spec.rollout.policy.steps[1].weight: expected weights that never fall",
        "a.yaml:17: note: warnings are looked for once the mistakes in the spec are gone",
        "a.yaml:20: error: kind: unknown; seen: 'ModelDeploymint'. Did you mean ModelDeployment?",
        "a.yaml:23: note: Service of v1 is not Rampway's: not checked",
        "5 mistakes, no warnings, 1 object not checked",
    ]
    assert len(lines) == len(starts), result.stdout
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_what_the_crds_refuse_is_refused_offline(mistake: Mistake) -> None:
    """The same mistakes that the API server refuses, in the same words."""
    text = yaml.safe_dump(mistake.made(), sort_keys=False)
    found = [one.text for one in lint("f", text, None).findings if one.level is Level.ERROR]
    assert found
    for words in mistake.words:
        assert any(words in one for one in found), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: 2\n", "a.yaml:2: error: not YAML"),
        ("apiVersion: v1\n", "a.yaml:1: error: kind: required, but missing"),
        (
            "kind: RolloutPolicy\n",
            "a.yaml:1: error: apiVersion: required, but missing; a RolloutPolicy has rampway.dev/",
        ),
        (
            "kind: RolloutPolicy\napiVersion: rampway.io/v1alpha1\n",
            "a.yaml:2: error: apiVersion: expected rampway.dev/v1alpha1 of a RolloutPolicy; seen",
        ),
        ("just words\n", "a.yaml:1: error: expected an object with apiVersion and kind"),
        ("", "a.yaml:1: warning: the file has no object"),
        (
            "apiVersion: rampway.dev/v1alpha1\nkind: ModelDeployment\nspce: {}\n",
            "a.yaml:3: error: spce: unknown field. Did you mean spec?",
        ),
        (
            "apiVersion: rampway.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {name: A_b}\n",
            "a.yaml:3: error: metadata.name: expected the name of a Kubernetes object, in lower",
        ),
        (
            "apiVersion: rampway.dev/v1alpha1\nkind: ModelDeployment\n",
            "a.yaml:1: error: spec: required, but missing",
        ),
        (
            "kind: ModelDeployment\napiVersion: rampway.dev/v2\n",
            "a.yaml:2: error: apiVersion: expected rampway.dev/v1alpha1; seen: 'rampway.dev/v2'",
        ),
        (
            "kind: Model\napiVersion: rampway.dev/v1alpha1\n",
            "a.yaml:1: error: kind: unknown; seen: 'Model'. There are ClusterMetricSource, ",
        ),
    ],
)
def test_what_is_no_object_of_ours_is_named(
    typed: Callable[..., Result], text: str, says: str
) -> None:
    """Broken YAML, other things than objects, nothing at all."""
    assert any(line.startswith(says) for line in typed(text).stdout.splitlines())


def policy(**changes: Any) -> Policy:
    """Return a policy about which nothing is doubtful, but for the changes."""
    sound = {
        "steps": [{"name": "half", "weight": "50%", "hold": "5m"}],
        "checks": [{"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}}],
    }
    return Policy.model_validate(sound | changes)


def said(given: Policy, *, notes: bool = False) -> list[str]:
    """Return the doubts about a policy, or the notes."""
    return [doubt.text for doubt in doubts.about(given) if (doubt.level is Level.NOTE) is notes]


def threshold(query: str) -> list[dict[str, Any]]:
    """Return a check with this query."""
    return [{"name": "q", "threshold": {"query": query, "min": "1"}}]


def sliced(**asked: str) -> list[dict[str, Any]]:
    """Return a check by slices."""
    orders = {"metric": "orders", "labels": [{"name": "kind", "value": "placed"}]}
    counts = {"events": orders, "exposures": {"metric": "visits"}, "slices": asked}
    return [{"name": "orders", "counts": counts}]


QUICK = {"against": "Value", "percentile": "99", "value": "200ms"}
STARS = {"against": "Value", "value": "4", "lower": "1", "upper": "5", "harmWhen": "Less"} | {
    part: {"metric": f"stars_{part}"} for part in ("sum", "count")
}
MIRROR = [{"name": "shadow", "mirror": "50%"}]
LOOK = [{"name": "look", "approval": {}}]
DOUBTS: dict[str, tuple[dict[str, Any], str]] = {
    "no checks": ({"checks": []}, "no checks: every candidate that does not crash is promoted"),
    "mirror, then all": ({"steps": MIRROR}, "after step shadow the candidate goes from answering"),
    "nothing, then all": ({"steps": LOOK}, "after step look the candidate goes from answering"),
    "nobody asked it": ({"steps": LOOK}, "no step sends the candidate a request, so errors cannot"),
    "nothing held back": ({"watch": {"hold": "1h"}}, "after promotion errors are held against"),
    "unknown place": (
        {"checks": threshold('sum(a{r="{{ candidat }}", s="{{ stable }}"})')},
        "{{ candidat }} is not filled in; known are candidate, name, namespace, stable",
    ),
    "about nobody": (
        {"checks": threshold("sum(orders)")},
        "the query does not mention {{ candidate }}",
    ),
    "a bracket open": (
        {"checks": threshold('sum(a{r="{{ candidate }}"}')},
        "the query does not parse: unclosed left parenthesis",
    ),
    "a bracket closed": (
        {"checks": threshold('sum(a{r="{{ candidate }}"}))')},
        "the query does not parse: unexpected right parenthesis ')'",
    ),
    "an operator too many": (
        {"checks": threshold('sum(rate(a{r="{{ candidate }}"}[1m])) +* 3')},
        "the query does not parse: invalid promql query",
    ),
    "a string open": (
        {"checks": threshold('a{r="{{ candidate }}}')},
        "the query does not parse: unterminated quoted string",
    ),
    "one slice": ({"checks": sliced(by="kind")}, "by: kind has one value only in orders{kind="),
    "small slices": (
        {"checks": sliced(by="region", waitFor="1%")},
        "waitFor 1%: a rollout waits for slices as small as one with 1% of the exposures",
    ),
    "all slices": ({"checks": sliced(by="region", waitFor="0%")}, "slices as small as any"),
    "all within the warm-up": (
        {
            "checks": [{"name": "slow", "latency": {"warmUp": {"requests": 500}}}],
            "steps": [{"name": "ten", "weight": "10%", "minRequests": 500}],
        },
        "warmUp leaves out each pod's first 500 requests, and step ten asks for 500 of all its",
    ),
    "detects what is tolerated": (
        {"checks": [{"name": "soon", "latency": QUICK | {"detect": "1.5x"}}]},
        "soon never passes: at most 2 % is no harm, and that of detect 1.5x, 1.5 %, lies within",
    ),
    "detects what is tolerated of less": (
        {"checks": [{"name": "stars", "mean": STARS | {"ignoreBelow": "2"}}]},
        "stars never passes: at least 1.6 is no harm, and that of detect 1.5x, 3, lies within",
    ),
    "detects times nothing": (
        {
            "checks": [
                {
                    "name": "e",
                    "errorRate": {"against": "Value", "value": "0%", "ignoreBelow": "0%"},
                }
            ]
        },
        "many times nothing is nothing: give a larger value, or an ignoreBelow above 0",
    ),
    "detects more than all": (
        {
            "checks": [
                {"name": "e", "errorRate": {"against": "Value", "value": "40%", "detect": "3x"}}
            ]
        },
        "whatever lies between it and the 44.5 % that is no harm; detect less than 2.5x",
    ),
    "detects more than the bounds": (
        {"checks": [{"name": "stars", "mean": STARS | {"harmWhen": "More", "value": "4"}}]},
        "stars: detect 1.5x is 5.5, and there cannot be more than 5: it passes once that is",
    ),
    "compared with nothing": (
        {"checks": threshold("up{{ candidate }}"), "watch": {"hold": "1h", "holdback": "5%"}},
        "holdback 5%: no check compares anything with the old revision",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_a_policy_that_may_not_do_as_it_seems(name: str) -> None:
    """Each is valid, and each is worth a second thought."""
    changes, words = DOUBTS[name]
    assert any(words in one for one in said(policy(**changes))), said(policy(**changes))


def test_b18_a_detect_beyond_what_there_can_be_is_told() -> None:
    """B18: the power is that of the most there can be, which is not what was asked for."""
    asked = {"against": "Value", "value": "40%", "detect": "3x"}
    found = [
        text.split(":")[:2] for text in said(policy(checks=[{"name": "e", "errorRate": asked}]))
    ]
    assert found == [["e", " detect 3x is 120 %, and there cannot be more than 100 %"]]


def test_b18_a_check_that_calls_nothing_harm_is_told_to_tolerate_less() -> None:
    """B18: with all that there can be tolerated, to detect more would not help."""
    asked = {"against": "Value", "value": "95%"}
    (found,) = said(policy(checks=[{"name": "e", "errorRate": asked}]))
    assert "e never passes: at most 100 % is no harm" in found
    assert "it never fails either: tolerate less (" in found
    assert "detect more" not in found


def test_b18_what_can_be_detected_is_no_doubt() -> None:
    """B18: all that there is may be detected, and of less there is always some."""
    for check in (
        {"errorRate": {"against": "Value", "value": "40%", "detect": "2.5x"}},
        {"mean": STARS | {"detect": "40x"}},
    ):
        assert not any(
            "cannot be more" in one for one in said(policy(checks=[{"name": "x"} | check]))
        )


def test_a_sound_policy_raises_no_doubt() -> None:
    """Nor does a switch that is meant, nor a query with brackets in its strings."""
    assert said(policy()) == []
    assert said(policy(strategy="BlueGreen", steps=[*MIRROR, *LOOK])) == []
    query = 'sum(a{r="{{ candidate }}", s=~"[(\\"]"}) # '
    assert said(policy(checks=threshold(query))) == []
    assert said(policy(checks=sliced(by="region"))) == []


def test_who_judges_without_checks_is_named() -> None:
    """A person who has to approve, and hooks before something, judge as well."""
    hook = {"name": "smoke", "when": "BeforePromotion", "http": {"url": "http://a/b"}}
    given = policy(checks=[], steps=[{"name": "ten", "weight": "10%"}, *LOOK], hooks=[hook])
    assert said(given) == []
    (note,) = said(given, notes=True)
    assert note.endswith("is judged by the approval of step look and hook smoke alone")
    after = hook | {"when": "AfterPromotion"}
    assert "promoted, however bad" in said(policy(checks=[], hooks=[after]))[0]


def test_the_same_object_twice_is_a_mistake() -> None:
    """The last one would win, as with a key; another namespace is another object."""
    one, other = minimal(), minimal()
    text = yaml.safe_dump_all([one, other])
    (finding,) = (f for f in lint("f", text, None).findings if f.level is Level.ERROR)
    assert finding.text == "ModelDeployment digits is there twice (line 1): the last would count"
    other["metadata"]["namespace"] = "elsewhere"
    text = yaml.safe_dump_all([one, other])
    assert not [f for f in lint("f", text, None).findings if f.level is Level.ERROR]


def test_exit_codes_and_programs(typed: Callable[..., Result]) -> None:
    """Warnings are 0, with --strict 1; JSON has the same facts; a file that is not there is 4."""
    text = yaml.safe_dump(full())
    assert typed(text).exit_code == 0
    doubtful = full()
    doubtful["spec"]["rollout"]["policy"]["checks"] = []
    text = yaml.safe_dump(doubtful)
    assert typed(text).exit_code == 0
    assert typed(text, "--strict").exit_code == 1
    found = json.loads(typed(text, "-o", "json").stdout)
    (one,) = (finding for finding in found if "no checks" in finding["text"])
    assert (one["level"], one["about"]) == ("warning", "ModelDeployment digits")
    assert text.splitlines()[one["line"] - 1].strip().startswith("checks")
    assert CliRunner().invoke(app, ["lint", "no-such-file"]).exit_code == 4
    assert CliRunner().invoke(app, ["lint"]).exit_code == 2
    assert CliRunner().invoke(app, ["lint", "-"], input=text).exit_code == 0


def test_the_reference_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of examples/digits.yaml, with a mistake and without."""
    page = (ROOT / "docs/reference/cli.md").read_text()
    text = (ROOT / "examples/digits.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    for given in (text, text.replace("http://model-store/v1.skops", "ftp://model-store/v1.skops")):
        Path("digits.yaml").write_text(given)
        shown = CliRunner().invoke(app, ["lint", "digits.yaml", "--rps", "5"]).stdout
        assert f"--rps 5\n{shown}" in page, shown


def test_the_projects_own_examples_are_sound() -> None:
    """What users copy raises no doubt."""
    for path in (*ROOT.glob("examples/*.yaml"), *ROOT.glob("examples/*/*.yaml")):
        found = lint(path.name, path.read_text(), None).findings
        assert [one for one in found if one.level is not Level.NOTE] == [], path


def test_the_api_servers_word(
    connect: Connect, typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--cluster: a dry run of each object; what exists is judged as a new one, nothing is made."""
    store = connect(scenes.healthy)
    new = full()
    new["metadata"] = {"name": "new"}
    text = yaml.safe_dump_all([new, full() | {"metadata": {"name": "digits"}}])
    result = typed(text, "--cluster")
    assert result.exit_code == 0, result.output
    assert "note: the API server accepts it (dry run)" in result.stdout
    assert "accepts it as a new object; it exists (dry run)" in result.stdout
    assert result.stdout.splitlines()[-1] == "no mistakes, no warnings"
    assert len(store.list(kinds.MODEL_DEPLOYMENT)) == 1

    async def refuse(*_: Any, dry_run: bool, **__: Any) -> Obj:
        assert dry_run
        raise Invalid("create ModelDeployment ml/new: 422: four eyes, please")

    monkeypatch.setattr(MemoryApi, "create", refuse)
    result = typed(text, "--cluster")
    assert result.exit_code == 1
    assert "error: the API server: create ModelDeployment ml/new: 422: four eyes" in result.stdout

    async def forbidden(*_: Any, **__: Any) -> Obj:
        raise Forbidden("create: 403: no right")

    monkeypatch.setattr(MemoryApi, "create", forbidden)
    assert typed(text, "--cluster").exit_code == 1


def test_a_cluster_that_is_away_was_not_asked(typed: Callable[..., Result]) -> None:
    """What was found offline is told, and that this is not the API server's word."""
    result = typed(yaml.safe_dump(full()), "--cluster", "--kubeconfig", "no-such-file")
    assert result.exit_code == 4
    assert result.stdout.splitlines()[-1].endswith("in the files; the API server was not asked")
