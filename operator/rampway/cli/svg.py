"""A plain SVG writer: lines, boxes, words on axes. Pure.

Pictures of this size need no library: matplotlib and its dependencies would make the plugin ten
times as large.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

INK, FAINT, PAPER = "#222222", "#cccccc", "#ffffff"
COLOURS = ("#3366aa", "#cc4433", "#449955", "#aa7722", "#775599", "#228899")
FONT = "font-family='sans-serif' font-size='12'"


@dataclass(slots=True)
class Drawing:
    """A picture under construction; places in pixels from the upper left corner."""

    width: float
    height: float
    _parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False,
        colour: str = INK,
    ) -> None:  # fmt: skip
        """Write words; `anchor` is start, middle or end."""
        weight = " font-weight='bold'" if bold else ""
        place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{colour}'"
        self._parts.append(f"<text {place}{weight}>{escape(words)}</text>")

    def line(
        self, points: Sequence[tuple[float, float]], *, colour: str = INK, width: float = 1,
        dashed: bool = False,
    ) -> None:  # fmt: skip
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = " stroke-dasharray='4 3'" if dashed else ""
        style = f"fill='none' stroke='{colour}' stroke-width='{width:g}'{dashes}"
        self._parts.append(f"<polyline points='{path}' {style}/>")

    def box(
        self, x: float, y: float, width: float, height: float, *, colour: str, opacity: float = 1
    ) -> None:
        """Draw a filled rectangle."""
        size = f"width='{max(0.5, width):.1f}' height='{height:.1f}'"
        self._parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' {size} fill='{colour}' opacity='{opacity:g}'/>"
        )

    def svg(self, title: str) -> str:
        """Return the file's content; the title is for who cannot see it."""
        size = f"width='{self.width:g}' height='{self.height:g}'"
        view = f"viewBox='0 0 {self.width:g} {self.height:g}'"
        head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {view} {FONT} role='img'"
        paper = f"<rect width='100%' height='100%' fill='{PAPER}'/>"
        lines = [f"{head} aria-label={quoteattr(title)}>", f"<title>{escape(title)}</title>", paper]
        return "\n".join([*lines, *self._parts, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values are on one axis.

    Attributes:
        low: Value at `start`, and `high` at `end`, both in pixels.
        logarithmic: Equal ratios are equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value; of those beyond its ends, the end."""
        inside = min(self.high, max(self.low, value))
        if self.logarithmic:
            part = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            part = (inside - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def decades(low: float, high: float, steps: Sequence[float] = (1, 2, 5)) -> list[float]:
    """Return round values between two, in decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [value for value in found if low <= value <= high]
