"""The diagram of a rollout's phases is the table that the code runs."""

import pytest

from rampway.api.conditions import RolloutPhase
from rampway.core.rollout.phases import TRANSITIONS
from tools import transitions


def test_the_page_shows_every_change_of_phase_and_no_other() -> None:
    """As many arrows as there are transitions, a begin, and an arrow from each end."""
    arrows = {
        line.strip() for line in transitions.diagram(TRANSITIONS).splitlines() if "-->" in line
    }
    ends = {f"{phase} --> [*]" for phase, after in TRANSITIONS.items() if not after}
    changes = {f"{a} --> {b}" for a, after in TRANSITIONS.items() for b in after}
    assert arrows == changes | ends | {"[*] --> Starting"}
    assert transitions.drawn(transitions.PAGE.read_text(), TRANSITIONS) == (
        transitions.PAGE.read_text()
    )


def test_another_table_is_noticed() -> None:
    """A table that the page does not show gives another page; marks that are gone are an error."""
    page = transitions.PAGE.read_text()
    other = dict(TRANSITIONS) | {RolloutPhase.PROMOTED: frozenset({RolloutPhase.STARTING})}
    assert "Promoted --> Starting" in transitions.drawn(page, other)
    with pytest.raises(ValueError, match="each once"):
        transitions.drawn(page.replace(transitions.END, ""), TRANSITIONS)
