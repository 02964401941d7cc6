"""What trials of a policy came to, drawn: when harm is found, and what it costs. Pure."""

import math
from collections.abc import Mapping, Sequence

from rampway.cli.simulating import Outcome
from rampway.cli.svg import COLOURS, FAINT, INK, Axis, Drawing
from rampway.core.instants import brief
from rampway.sim.trials import Range

LETTER = 7
"""About as wide as one is, in pixels."""
LEFT, TOP, ROW, WIDTH, GAP = 150, 62, 30, 900, 60
TIMES_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 43200, 86400, 172800)
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000)


def picture(outcomes: Sequence[Outcome], title: str) -> str:
    """Return an SVG: a line for each candidate, its time on the left, its bad answers right."""
    height = TOP + ROW * len(outcomes) + 50
    drawing = Drawing(WIDTH, height)
    drawing.text(10, 20, title, bold=True)
    middle = LEFT + (WIDTH - LEFT) * 0.58
    bottom = TOP + ROW * len(outcomes)
    times = _axis([_time(one) for one in outcomes], TIMES_S, LEFT, middle - GAP)
    counts = _axis([one.failed for one in outcomes], COUNTS, middle, WIDTH - 20)
    drawing.text(LEFT, 44, "from its first request until it is stopped (no harm: until promoted)")
    drawing.text(middle, 44, "bad answers until then")
    _marks(drawing, times, {mark: brief(mark) for mark in TIMES_S}, bottom)
    _marks(drawing, counts, {mark: f"{mark:,}".replace(",", " ") for mark in COUNTS}, bottom)
    for number, one in enumerate(outcomes):
        y = TOP + ROW * number + ROW / 2
        colour = COLOURS[2] if not number else COLOURS[1]
        drawing.text(LEFT - 10, y + 4, one.harm.name, anchor="end")
        _bar(drawing, times, _time(one), y, colour)
        _bar(drawing, counts, one.failed, y, colour)
    drawing.text(10, height - 10, "Bars: where 98 % of the trials lie; line: half of them.")
    return drawing.svg(title)


def _time(one: Outcome) -> Range:
    return one.took if one.harm.error_rate is None and one.harm.slowdown == 1 else one.exposed


def _axis(ranges: Sequence[Range], marks: Sequence[float], start: float, end: float) -> Axis:
    known = [r for r in ranges if not math.isnan(r.median)]
    low = min((max(1.0, r.low) for r in known), default=1.0)
    high = max((max(1.0, r.high) for r in known), default=10.0)
    first = max((m for m in marks if m <= low), default=marks[0])
    last = min((m for m in marks if m >= high and m > first), default=max(high, 2 * first))
    return Axis(first, last, start, end, logarithmic=True)


def _marks(drawing: Drawing, axis: Axis, words: Mapping[int, str], bottom: float) -> None:
    """Draw a line at each value within the axis, and its words where they touch no others."""
    free_from = 0.0
    for value, said in words.items():
        if axis.low <= value <= axis.high:
            x, half = axis.at(value), LETTER * len(said) / 2
            drawing.line([(x, TOP), (x, bottom)], colour=FAINT)
            if x - half >= free_from:
                drawing.text(x, bottom + 16, said, anchor="middle")
                free_from = x + half + LETTER


def _bar(drawing: Drawing, axis: Axis, figures: Range, y: float, colour: str) -> None:
    if math.isnan(figures.median):
        drawing.text(axis.start + 4, y + 4, "never", colour=INK)
        return
    low, middle, high = (axis.at(v) for v in (figures.low, figures.median, figures.high))
    drawing.box(low, y - 8, high - low, 16, colour=colour, opacity=0.5)
    drawing.line([(middle, y - 10), (middle, y + 10)], width=2)
