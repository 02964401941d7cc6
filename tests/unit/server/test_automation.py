"""Degrees of automation: what a client is told to do with an answer, and how that changes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from structlog.testing import capture_logs
from unit.server.asgi import call, infer_body
from unit.server.conftest import MakeApp
from unit.server.waiting import until

from rampway_server import automation, followed
from rampway_server.automation import Automation, Dial, parse
from rampway_server.metrics import Metrics

INFER = "/v2/models/digits/infer"


def counted(metrics: Metrics, use: str) -> float:
    """Return how many rows' answers were told to be used so."""
    line = f'rampway_answers_total{{automation="{use}",'
    found = [row for row in metrics.render().decode().splitlines() if row.startswith(line)]
    return float(found[0].split()[-1])


def set_to(folder: Path, degree: str) -> Dial:
    """Return a dial that stands at this degree."""
    path = folder / "automation"
    path.write_text(degree)
    return Dial(str(path))


def pair() -> LogisticRegression:
    """Return a classifier of one feature that is sure far from zero and torn at zero."""
    column = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    return LogisticRegression().fit(column, [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Full", Automation("Full")),
        ("Off\n", Automation("Off")),
        ("Assist", Automation("Assist")),
        ("Partial 0.9", Automation("Partial", 0.9)),
        ("Partial", Automation("Partial", 1.0)),
    ],
)
def test_a_degree_is_read(text: str, expected: Automation) -> None:
    """A level, and for Partial the confidence that is asked for."""
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "full", "Partial 1.1", "Partial -1", "Partial x", "Maybe 1"])
def test_what_is_no_degree_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"expected|could not convert"):
        parse(text)


@pytest.mark.parametrize(
    ("level", "use"), [("Off", "defer"), ("Assist", "suggest"), ("Full", "use")]
)
async def test_b42_each_answer_says_what_to_do_with_it(
    level: automation.Level, use: str, make_app: MakeApp, tmp_path: Path
) -> None:
    """B42: header and body say the same, and the server counts rows."""
    app, metrics = make_app(pair(), dial=set_to(tmp_path, level))
    reply = await call(app, INFER, json.dumps(infer_body([[3.0], [0.0]])).encode())
    assert reply.headers["rampway-automation"] == use
    assert reply.document["parameters"] == {"automation": use}
    assert counted(metrics, use) == 2


@pytest.mark.parametrize("outputs", [["predict"], ["predict", "predict_proba"]])
async def test_b42_partial_hands_over_what_is_not_sure(
    outputs: list[str], make_app: MakeApp, tmp_path: Path
) -> None:
    """B42: rows above the confidence are used, others deferred, whichever output was asked for."""
    app, metrics = make_app(pair(), dial=set_to(tmp_path, "Partial 0.8"))
    body = infer_body([[3.0], [0.0], [-3.0]]) | {"outputs": [{"name": o} for o in outputs]}
    reply = await call(app, INFER, json.dumps(body).encode())
    told = reply.document["parameters"]
    assert told == {"automation": "defer", "automation_rows": "use,defer,use"}
    assert reply.headers["rampway-automation"] == "defer"
    assert counted(metrics, "use") == 2
    sure = await call(app, INFER, json.dumps(infer_body([[3.0]])).encode())
    assert sure.document["parameters"] == {"automation": "use"}


@pytest.mark.parametrize("outputs", [["predict"], ["predict", "predict_proba"]])
async def test_b42_confidence_is_that_of_the_answer(
    outputs: list[str], make_app: MakeApp, tmp_path: Path
) -> None:
    """B42: not that of the most probable class, where a threshold has another answered."""
    column = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    careful = FixedThresholdClassifier(LogisticRegression(), threshold=0.1)
    careful.fit(column, ["no", "no", "no", "yes", "yes", "yes"])
    app, metrics = make_app(careful, dial=set_to(tmp_path, "Partial 0.6"))
    rows = [[3.0], [-1.0], [-3.0]]
    assert careful.predict(rows).tolist() == ["yes", "yes", "no"]
    probabilities = careful.predict_proba(rows)
    assert probabilities[1, 0] > 0.6
    body = infer_body(rows) | {"outputs": [{"name": o} for o in outputs]}
    reply = await call(app, INFER, json.dumps(body).encode())
    told = {"automation": "defer", "automation_rows": "use,defer,use"}
    assert reply.document["parameters"] == told
    summed = probabilities[0, 1] + probabilities[1, 1] + probabilities[2, 0]
    (line,) = (x for x in metrics.render().decode().splitlines() if "confidence_sum{" in x)
    assert float(line.split()[-1]) == pytest.approx(summed)


async def test_b42_partial_without_a_confidence_hands_over(
    make_app: MakeApp, tmp_path: Path
) -> None:
    """B42: a model that does not say how sure it is, is not sure."""
    regressor: Any = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    app, _ = make_app(regressor, dial=set_to(tmp_path, "Partial 0.1"))
    reply = await call(app, INFER, json.dumps(infer_body([[0.5]])).encode())
    assert reply.document["parameters"] == {"automation": "defer"}


async def test_b42_the_degree_changes_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B42: a new file counts within a poll; a bad or missing one changes nothing and is told."""
    monkeypatch.setattr(followed, "POLL_S", 0.01)
    path = tmp_path / "automation"
    dial = Dial(str(path))
    assert dial.value == Automation("Full")
    polls: list[Automation] = []
    read = dial.read

    def counted() -> None:
        read()
        polls.append(dial.value)

    monkeypatch.setattr(dial, "read", counted)
    following = asyncio.create_task(dial.follow())

    async def polled(times: int = 3) -> None:
        seen = len(polls)
        await until(lambda: len(polls) >= seen + times)

    path.write_text("Off")
    await polled()
    assert polls[-1] == Automation("Off")
    with capture_logs() as logs:
        path.write_text("On")
        await polled()
    assert [log["event"] for log in logs] == ["cannot read the degree of automation"]
    path.unlink()
    await polled()
    assert polls[-1] == Automation("Off"), "a slip raised the degree"
    path.write_text("Partial 0.5")
    await polled()
    assert polls[-1] == Automation("Partial", 0.5)
    following.cancel()
