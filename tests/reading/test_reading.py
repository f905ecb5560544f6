"""The built site in a browser: on each page no request elsewhere, nothing that axe-core finds, nothing too wide.

Lighthouse's scores for performance depend on how busy the machine is: they are the goal of `./dev lighthouse`, not of
a test.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reading import lighthouse, node

PAGE_WITH_ALL = "kubernetes/resources/kube-proxy/"
"""It has marks, tabs and snippets of all kinds."""
MISSING = "there-is-no-such-page/"

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def pages(site: str, built_site: Path) -> dict[str, Any]:
    """What was found on each page, by its path."""
    paths = [str(file.parent.relative_to(built_site)) for file in built_site.rglob("index.html")]
    paths = ["" if path == "." else f"{path}/" for path in sorted(paths)]
    found = {page["path"]: page for page in node.run("survey.mjs", node.chromium(), site, *paths, MISSING)}
    assert len(found) == len(paths) + 1 > 20
    return found


@pytest.fixture(scope="module")
def done(site: str) -> Any:
    """What came of what readers do."""
    return node.run("reader.mjs", node.chromium(), f"{site}/{PAGE_WITH_ALL}")[0]


@pytest.fixture(scope="module")
def offline(site: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of reading the copy for reading offline, from its files."""
    folder = tmp_path_factory.mktemp("offline")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", f"--site-dir={folder}"]
    subprocess.run(command, check=True, env=os.environ | {"OFFLINE": "true"})
    return node.run("offline.mjs", node.chromium(), (folder / "index.html").as_uri())[0]


@pytest.fixture(scope="module")
def scores(site: str) -> list[Any]:
    """What Lighthouse says of the two pages at which most readers arrive."""
    return lighthouse.scores(site, enough=0, seconds=60)  # the first run


def test_no_page_asks_another_host_for_anything(pages: dict[str, Any]) -> None:
    assert {path: page["elsewhere"] for path, page in pages.items() if page["elsewhere"]} == {}


def test_no_page_sets_a_cookie(pages: dict[str, Any]) -> None:
    assert {path: page["cookies"] for path, page in pages.items() if page["cookies"]} == {}


def test_no_script_of_a_page_fails(pages: dict[str, Any]) -> None:
    assert {path: page["errors"] for path, page in pages.items() if page["errors"] and path != MISSING} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(pages: dict[str, Any], scheme: str) -> None:
    assert {path: page[scheme] for path, page in pages.items() if page[scheme]} == {}


@pytest.mark.parametrize("width", ["320", "640"])
def test_no_page_scrolls_sideways_on_a_small_phone_or_enlarged_to_200_percent(
    pages: dict[str, Any], width: str
) -> None:
    assert {path: page["tooWide"][width] for path, page in pages.items() if page["tooWide"][width] > 0} == {}


def test_marks_tabs_and_search_are_used_by_keyboard(done: Any) -> None:
    assert done["tabLeadsToMark"] and done["escapeClosesMark"]
    assert done["tabLeadsToTabs"] and done["arrowChoosesTab"]
    assert done["enterLeadsToResult"]


def test_who_chooses_a_tab_has_chosen_in_all_and_a_link_leads_into_the_other(done: Any) -> None:
    assert len(done["tabsChosen"]) > 10
    assert set(done["tabsChosen"]) == {"kubectl"}
    assert done["otherTabIsHidden"] and done["placeInOtherTab"]


def test_tabs_that_were_chosen_once_are_chosen_on_the_next_page(done: Any) -> None:
    assert done["tabsRemembered"] == done["tabsChosen"]


def test_a_tab_that_is_chosen_before_the_scripts_come_is_chosen_in_all_then(done: Any) -> None:
    assert done["tabsBeforeScripts"].count("kubectl") == 1
    assert done["tabsChosenEarly"] == done["tabsChosen"]


def test_tabs_are_seen_without_scripts_and_all_of_them_on_paper_below_their_names(done: Any) -> None:
    assert done["firstTabWithoutScripts"] == "kubectl"
    expected = ["Python", "what it has", "kubectl", "what it has"]
    assert [tabs for tabs in done["tabsOnPaper"] if tabs != expected] == []
    assert len(done["tabsOnPaper"]) == len(done["tabsChosen"])


def test_annotations_are_reached_by_keyboard_are_seen_on_paper_and_are_not_copied(done: Any) -> None:
    assert (done["annotation"], done["annotationIsSeen"]) == ("Note 2", True)
    assert done["annotationsOnPaper"] == 4
    assert yaml.safe_load(done["copiedAnnotated"])["kind"] == "Service"
    assert not re.search(r"#|\(\d\)| $", done["copiedAnnotated"], re.MULTILINE)


def test_the_copy_button_takes_all_lines_of_a_command(done: Any) -> None:
    assert re.search(r"^for .*; do\n +until .*\ndone\Z", done["copiedLoop"], re.MULTILINE)


def test_the_contents_lead_to_their_headings(done: Any) -> None:
    assert len(done["fromTop"]) == 5
    elsewhere = {place: top for place, top in done["fromTop"].items() if not 40 <= top <= 110}
    assert not elsewhere, "below the header, which is 48 pixels high, and near it"


def test_a_link_to_a_place_on_the_page_leaves_it_as_it_is(done: Any) -> None:
    assert done["staysAsItIs"] == [True] * 3


def test_who_comes_back_to_a_page_finds_what_they_had_before_them(done: Any) -> None:
    assert done["afterComingBack"] == pytest.approx(done["beforeLeaving"], abs=2)


def test_a_long_page_is_soon_laid_out_to_its_end(done: Any) -> None:
    assert done["partsAtFirst"] > 20
    assert done["partsInTheEnd"] == 0


def test_colours_are_the_systems_until_a_reader_chooses_and_then_theirs(done: Any) -> None:
    assert done["coloursOfSystem"] == [["slate", "dark"]] * 2
    assert done["coloursChosen"] == [["default", "light"]] * 2


def test_on_a_phone_the_focus_is_seen_in_the_navigation(done: Any) -> None:
    stops = [stop for stop in done["focusedOnPhone"] if stop["inNavigation"]]
    assert len(stops) > 10
    assert [stop["name"] for stop in stops if not (stop["isSeen"] and stop["hasOutline"])] == []


def test_the_index_of_the_search_is_fetched_once_and_not_before_it_is_wanted(done: Any) -> None:
    assert (done["indexBeforeSearch"], done["indexForSearch"]) == (0, 1)


def test_a_script_that_is_blocked_keeps_nothing_else_from_working(done: Any) -> None:
    assert done["searchWithoutQuizScript"] and done["opensWithoutTheme"]


def test_the_copy_button_leaves_prompts_and_output_out(done: Any) -> None:
    lines = [line for line in done["inBlock"].splitlines() if line]
    commands = [re.sub(r"^[$>] ", "", line) for line in lines if line.startswith(("$ ", "> "))]
    assert 0 < len(commands) < len(lines)
    assert done["copied"].splitlines() == commands


def test_on_paper_there_is_the_text_and_nothing_to_press(done: Any) -> None:
    shown = {selector for selector, is_shown in done["onPaper"].items() if is_shown}
    assert shown == {"article h1", "article pre"}
    assert done["cutOnPaper"] == []


def test_the_offline_copy_is_searched_and_walked_through_without_any_host(offline: Any) -> None:
    assert re.match(r"file:///.*\.html\b", offline["searchLeadsTo"]["url"])
    assert "hairpin" in offline["searchLeadsTo"]["says"].lower()
    assert offline["navigationLeadsTo"] == "NodePort Services"
    assert offline["markLeadsTo"] == "Proofs"
    assert offline["logoLeadsTo"].startswith("Kubernetes Services")
    assert (offline["elsewhere"], offline["errors"]) == ([], [])


@pytest.mark.parametrize("number", [0, 1], ids=["start", "nodeport"])
def test_lighthouse_finds_nothing_to_mend(scores: list[Any], number: int) -> None:
    page = scores[number]
    full = {"accessibility": 100, "best-practices": 100, "seo": 100}
    assert {name: page["scores"][name] for name in full} == full, page["lost"]
    assert page["kilobytes"] <= 250, page["requests"]
