"""The picture of what trials came to can be read."""

import itertools
import xml.etree.ElementTree as ET

from rampway.cli.picture import COUNTS, TIMES_S, _axis, _marks
from rampway.cli.svg import Drawing
from rampway.core.instants import brief
from rampway.sim.trials import Range

SVG = "{http://www.w3.org/2000/svg}"
WIDEST_LETTER = 7.0


def test_words_at_an_axis_do_not_touch() -> None:
    """Narrow axes name fewer values; each still has its line."""
    for marks, words in ((TIMES_S, brief), (COUNTS, str)):
        for width in (100, 300, 600):
            drawing = Drawing(900, 200)
            axis = _axis([Range(1, 10, marks[-2], 10)], marks, 10, 10 + width)
            _marks(drawing, axis, {mark: words(mark) for mark in marks}, 100)
            root = ET.fromstring(drawing.svg("one"))  # noqa: S314 - we wrote it
            spans = [
                (float(text.attrib["x"]), len(text.text or "") * WIDEST_LETTER / 2)
                for text in root.iter(f"{SVG}text")
            ]
            assert len(spans) >= 2
            for (left, half), (right, other) in itertools.pairwise(spans):
                assert left + half < right - other
            assert len(list(root.iter(f"{SVG}polyline"))) == len(marks) - 1
