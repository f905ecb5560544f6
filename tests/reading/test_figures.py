"""Each figure in a browser: by keyboard, in both colour schemes, without motion, on paper, on a phone, as text."""

from pathlib import Path
from typing import Any

import pytest

from figures import places, recordings
from reading import node

DOCS = Path(__file__).parents[2] / "docs"
SMALLEST_LETTERS = 10
"""In pixels of a screen, on a phone that is 320 of them wide."""

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def used(site: str) -> dict[str, Any]:
    """What came of using each figure where it is first, by its name."""
    found: dict[str, str] = {}
    for page in sorted(DOCS.rglob("*.md")):
        for figure in places.placed(page.read_text("utf-8")):
            found.setdefault(figure.name, f"{page.relative_to(DOCS).with_suffix('')}/#{figure.identifier}")
    done = {each["place"]: each for each in node.run("figures.mjs", node.chromium(), site, *found.values())}
    return {name: done[place] for name, place in found.items()}


@pytest.fixture(params=recordings.names())
def done(request: pytest.FixtureRequest, used: dict[str, Any]) -> Any:
    return used[request.param]


def test_a_reader_predicts_first_then_goes_through_all_steps_by_keyboard(done: Any) -> None:
    assert not done["playsBefore"], "it can be played before anything was predicted"
    assert done["focus"] == "figure-play"
    last = len(done["said"]) - 1
    assert last > 1
    for step, said in enumerate(done["said"][:-1], 1):
        assert said.startswith(f"Step {step} of {last}. "), "what a screen reader is told"
    assert done["said"][-1].startswith("Your prediction. ")
    assert done["said"][0].endswith("Press Play to see.")
    assert sum("s you predicted: " in said for said in done["said"][:-1]) == 1, "one step says whether it was right"
    assert len(set(done["drawn"])) > 2, "the drawing changes"
    assert done["atHome"] == done["back"] == done["said"][0]


def test_it_plays_and_pauses(done: Any) -> None:
    assert (done["whilePlaying"], done["paused"]) == ("Pause", "Play")


def test_each_choice_can_be_predicted_and_drawn(done: Any) -> None:
    assert done["choices"]
    assert [each for each in done["choices"] if not all(each.values())] == []


def test_axe_finds_nothing_in_any_state_or_colour_scheme(done: Any) -> None:
    assert done["axe"] == []


def test_no_script_fails(done: Any) -> None:
    assert done["errors"] == []


def test_nothing_moves_for_those_who_want_it_so(done: Any) -> None:
    assert (done["moves"] > 0, done["movesWhenCalm"]) == (True, 0)


def test_what_is_below_never_moves(done: Any) -> None:
    assert len(set(done["height"])) == 1
    for width in ("390", "1280"):
        before, after = done[f"heights{width}"]
        assert before == after > 400


def test_it_fits_a_small_phone_and_can_be_read_there(done: Any) -> None:
    assert done["tooWide"] == []
    assert done["smallest"] >= SMALLEST_LETTERS


@pytest.mark.parametrize("where", ["onPaper", "withoutScripts"])
def test_without_a_screen_or_scripts_there_are_still_and_words(done: Any, where: str) -> None:
    shown = {name for each in done[where] for name in each.split() if name.startswith("figure") or name == "li"}
    assert {"figure-still", "li"} <= shown
    assert not shown & {"figure-now", "figure-panel", "figure-choices"}
