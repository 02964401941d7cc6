"""Draw the pictures of docs/guides/judging.md with the very code that judges: `make pictures`.

The seed is fixed, so the same code draws the same pictures; a test holds the first one to that.
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from rampway.cli.svg import COLOURS, FAINT, Axis, Drawing, decades
from rampway.core.evidence import EProcess, PairCount, Tolerance, update
from rampway.sim.traffic import binomial
from rampway.sim.trials import spread

FOLDER = Path(__file__).resolve().parents[1] / "docs/guides/judging"
SEED = 1
ALPHA = 0.01
BASE = 0.01
"""Part of stable's answers that fail."""
TOLERANCE = Tolerance(1.1, 0.0)
LOOK_N = 100
"""Requests of both revisions in one look."""
WIDTH, HEIGHT = 720.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 570.0, 30.0, 270.0


def look(rng: Random, share: float, ratio: float) -> PairCount:
    """Draw what one look counts where the candidate fails so many times as often as stable."""
    mine = binomial(rng, LOOK_N, share)
    other = LOOK_N - mine
    bad = binomial(rng, mine, min(1.0, ratio * BASE))
    return PairCount(mine, bad, other, binomial(rng, other, BASE))


def course(rng: Random, share: float, ratio: float, looks: int) -> list[tuple[float, float]]:
    """Return requests so far and log E after each look, up to the bar."""
    process, found = EProcess(), [(0.0, 0.0)]
    for number in range(1, looks + 1):
        process = update(process, look(rng, share, ratio), TOLERANCE, log_bound=-math.log(ALPHA))
        found.append((number * LOOK_N, process.log_e()))
        if process.log_e() >= -math.log(ALPHA):
            break
    return found


def axes(drawing: Drawing, *names: str) -> None:
    """Draw both axes with their names."""
    drawing.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)])
    drawing.text((LEFT + RIGHT) / 2, HEIGHT - 8, names[0], anchor="middle")
    drawing.text(LEFT, TOP - 12, names[1])


def mark_x(drawing: Drawing, x: Axis, values: Sequence[float]) -> None:
    """Name some values below."""
    for value in values:
        drawing.line([(x.at(value), BOTTOM), (x.at(value), BOTTOM + 4)])
        drawing.text(x.at(value), BOTTOM + 18, f"{value:,.10g}".replace(",", " "), anchor="middle")


def mark_y(drawing: Drawing, y: Axis, values: Sequence[tuple[float, str]]) -> None:
    """Name some values on the left, with a faint line across."""
    for value, words in values:
        drawing.line([(LEFT, y.at(value)), (RIGHT, y.at(value))], colour=FAINT)
        drawing.text(LEFT - 6, y.at(value) + 4, words, anchor="end")


def evidence() -> str:
    """Draw how evidence grows with requests, for three candidates."""
    drawing = Drawing(WIDTH, HEIGHT)
    x = Axis(0, 10_000, LEFT, RIGHT)
    y = Axis(math.log(0.05), math.log(200), BOTTOM, TOP)
    mark_y(drawing, y, [(math.log(v), f"{v:g}") for v in (0.1, 1, 10, 100)])
    axes(drawing, "requests of both revisions", "evidence of harm (e-value)")
    mark_x(drawing, x, (0, 2000, 4000, 6000, 8000, 10_000))
    for number, (name, ratio) in enumerate((("as stable", 1.0), ("2 x", 2.0), ("5 x", 5.0))):
        for path in range(3):
            rng = Random(f"{SEED}/evidence/{ratio}/{path}")  # noqa: S311
            points = course(rng, 0.2, ratio, 100)
            places = [(x.at(n), y.at(log)) for n, log in points]
            drawing.line(places, colour=COLOURS[(2, 0, 1)[number]], width=1.5)
        drawing.text(RIGHT + 10, TOP + 40 + 20 * number, name, colour=COLOURS[(2, 0, 1)[number]])
    drawing.line([(LEFT, y.at(-math.log(ALPHA))), (RIGHT, y.at(-math.log(ALPHA)))], dashed=True)
    drawing.text(RIGHT + 10, y.at(-math.log(ALPHA)) + 4, "bar: rolled back")
    return drawing.svg("Evidence of harm over requests, for candidates as good and worse")


def peeking() -> str:
    """Draw how often a harmless candidate is called harmful, by the number of looks so far."""
    looks, runs = 60, 400
    ours, plain = [0] * looks, [0] * looks
    for run in range(runs):
        for which, first in ((ours, _first(run, looks, _by_evidence)),
                             (plain, _first(run, looks, _by_plain_test))):  # fmt: skip
            for number in range(first, looks):
                which[number] += 1
    drawing = Drawing(WIDTH, HEIGHT)
    x, y = Axis(1, looks, LEFT, RIGHT), Axis(0, 0.4, BOTTOM, TOP)
    mark_y(drawing, y, [(v, f"{100 * v:.0f} %") for v in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)])
    axes(drawing, "looks", "good candidates called harmful by then")
    mark_x(drawing, x, (1, 10, 20, 30, 40, 50, 60))
    for counts, colour, name in ((plain, COLOURS[1], "plain test at 5 %"),
                                 (ours, COLOURS[0], "Rampway at 5 %")):  # fmt: skip
        points = [(x.at(n + 1), y.at(count / runs)) for n, count in enumerate(counts)]
        drawing.line(points, colour=colour, width=2)
        drawing.text(RIGHT + 10, points[-1][1] + 4, name, colour=colour)
    return drawing.svg("False alarms of a plain test and of Rampway, by the number of looks")


Judge = Callable[[Sequence[PairCount]], bool]


def _first(run: int, looks: int, rule: Callable[[], Judge]) -> int:
    """Return at which look a rule calls a harmless candidate harmful; `looks` if never."""
    rng, judge = Random(f"{SEED}/peeking/{run}"), rule()  # noqa: S311
    seen: list[PairCount] = []
    for number in range(looks):
        seen.append(look(rng, 0.5, 1.0))
        if judge(seen):
            return number
    return looks


def _by_evidence() -> Judge:
    process = [EProcess()]

    def judge(seen: Sequence[PairCount]) -> bool:
        bound = -math.log(0.05)
        process[0] = update(process[0], seen[-1], Tolerance(1.0, 0.0), log_bound=bound)
        return process[0].log_e() >= bound

    return judge


def _by_plain_test() -> Judge:
    """Compare two proportions at one-sided 5 %, as if each look were the only one."""

    def judge(seen: Sequence[PairCount]) -> bool:
        n, m = sum(s.candidate_n for s in seen), sum(s.stable_n for s in seen)
        a, b = sum(s.candidate_events for s in seen), sum(s.stable_events for s in seen)
        p = (a + b) / (n + m)
        sd = math.sqrt(p * (1 - p) * (1 / n + 1 / m))
        return sd > 0 and (a / n - b / m) / sd > 1.645  # noqa: PLR2004 - its 95 % quantile

    return judge


def detection() -> str:
    """Draw after how many failures of the candidate harm is called, by its size and the share."""
    ratios = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
    drawing = Drawing(WIDTH, HEIGHT)
    x = Axis(1.4, 22, LEFT, RIGHT, logarithmic=True)
    y = Axis(3, 1000, BOTTOM, TOP, logarithmic=True)
    mark_y(drawing, y, [(v, f"{v:g}") for v in decades(3, 1000)])
    axes(drawing, "times as many failures as stable", "failures until it is called")
    mark_x(drawing, x, ratios)
    for number, share in enumerate((0.05, 0.2, 0.5)):
        medians = [(ratio, spread(_failures(share, ratio)).median) for ratio in ratios]
        points = [(x.at(ratio), y.at(count)) for ratio, count in medians]
        drawing.line(points, colour=COLOURS[number], width=2)
        place = points[-1][1] + 4 + 12 * (number - 1)
        drawing.text(RIGHT + 10, place, f"share {100 * share:.0f} %", colour=COLOURS[number])
    return drawing.svg("Failures of the candidate until harm is called, by its size and the share")


def _failures(share: float, ratio: float) -> list[float]:
    """Return how many answers of the candidate failed before its harm was called, of some runs."""
    found: list[float] = []
    for run in range(30):
        rng, process = Random(f"{SEED}/detection/{share}/{ratio}/{run}"), EProcess()  # noqa: S311
        bound = -math.log(ALPHA)
        while process.log_e() < bound:
            process = update(process, look(rng, share, ratio), TOLERANCE, log_bound=bound)
        found.append(process.total.candidate_events)
    return found


PICTURES: dict[str, Callable[[], str]] = {
    "evidence": evidence,
    "peeking": peeking,
    "detection": detection,
}


def main(folder: Path = FOLDER) -> None:
    """Draw all of them into the folder."""
    for name, draw in PICTURES.items():
        (folder / f"{name}.svg").write_text(draw(), encoding="utf-8")
        sys.stdout.write(f"{folder.name}/{name}.svg\n")


if __name__ == "__main__":
    main()
