"""Quizzes: each has one right answer with its proof, and in a browser the keyboard alone is enough."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest
from markdown import markdown

import browser_packages
from proofs import browsers
from proofs.browsers import Browser
from proofs.world import wait_for

ROOT = Path(__file__).parents[1]
QUIZ = re.compile(r'^( *)!!! quiz "(.+)"\n\n((?:\1    .*\n|\n)+)', re.MULTILINE)
OPTION = re.compile(r'^\?\?\? (right|wrong) "(.+)"\n\n((?:    .*\n|\n)+)', re.MULTILINE)
QUIZZES = {
    quiz[2]: (page, OPTION.findall(dedent(quiz[3])))
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for quiz in QUIZ.finditer(page.read_text("utf-8"))
}
"""Question → its page, and of each option whether it is right, what it says, and why. Those of labs are indented."""
SHOWS = """<script>
const visit = (sessionStorage.visit = Number(sessionStorage.visit || 0) + 1);
setInterval(() => {
  const said = document.querySelector("[role=status]")?.textContent || "Nothing.";
  document.title = `${said} Kept: ${localStorage.length} Visit: ${visit} Focus: ${document.activeElement.textContent}`;
}, 50);
</script>"""
"""Has the title say what a screen reader is told, what is kept, how often the page was loaded, where the focus is."""


def test_there_are_quizzes_on_most_pages_that_teach() -> None:
    teaching = {*(ROOT / "docs/kubernetes").rglob("*.md"), *(ROOT / "docs/labs").glob("*.md")}
    assert len({page for page, _ in QUIZZES.values()} & teaching) > 0.8 * len(teaching)


def test_a_lab_hides_its_quiz_in_its_solution() -> None:
    """Else it would tell what the lab has one find out."""
    for page in (ROOT / "docs/labs").glob("*.md"):
        assert '\n!!! quiz "' not in page.read_text("utf-8"), page


@pytest.mark.parametrize("question", QUIZZES)
def test_each_option_says_why_and_the_right_one_carries_its_proof(question: str) -> None:
    page, options = QUIZZES[question]
    below = page.read_text("utf-8").split(f'"{question}"')[1]
    assert len(options) == below.split("\n## ")[0].split("!!! quiz")[0].count("??? ")
    assert sorted(kind for kind, _, _ in options)[:2] == ["right", "wrong"], "one is right, others are not"
    assert len({text for _, text, _ in options}) == len(options)
    for kind, text, why in options:
        says = {"right": "Yes. ", "wrong": "No. "}[kind]
        assert why.strip().startswith(says), f"{text}: without JavaScript, too, it has to be told what is right"
        assert len(why.split()) > 5
        assert kind == "wrong" or re.search(r"\[✓\]\((claim|proof):", why), f"{text}: no proof"


def test_a_quiz_by_keyboard(tmp_path: Path) -> None:
    """Answers wrongly, comes back, forgets, and answers rightly."""
    if "chromium" in (missing := browser_packages.missing()) or {"xvfb", "xdotool"} & set(missing):
        pytest.skip(f"not installed: {', '.join(missing)}")
    with served(tmp_path) as url, browsers.running("Chromium", url) as browser:
        wrong = "Your answer is not right. Open the others to see which one is."
        until(browser, "Nothing. Kept: 0 Visit: 1")
        open_by_keys(browser, "This")
        until(browser, f"{wrong} Kept: 1 Visit: 1")
        browser.press("F5")
        until(browser, f"{wrong} Kept: 1 Visit: 2")
        open_by_keys(browser, "That")  # which counts no more
        open_by_keys(browser, "Forget my answer")
        until(browser, "Nothing. Kept: 0 Visit: 2 Focus: This")
        open_by_keys(browser, "That")
        until(browser, "Your answer is right. Kept: 1 Visit: 2")


def open_by_keys(browser: Browser, label: str) -> None:
    """Go on by Tab until an option or button has the focus, and press Enter.

    A page that was loaded a moment ago takes no keys yet, so Tab is pressed again, if need be around all of the window.
    """

    def has_focus() -> bool:
        browser.press("Tab")
        time.sleep(0.3)
        return f"Focus: {label}" in browser.title()

    wait_for(has_focus, f"{label!r} has the focus", 60)
    browser.press("Return")


def until(browser: Browser, title: str) -> None:
    wait_for(lambda: browser.title().startswith(title), f"the title is {title}", 60)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a page with a quiz, as pages have them."""
    quiz = '!!! quiz "Which?"\n\n    ??? wrong "This"\n\n        No.\n\n    ??? right "That"\n\n        Yes.\n'
    html = markdown(quiz, extensions=["admonition", "pymdownx.details"])
    script = (ROOT / "docs/assets/quiz.js").read_text("utf-8")
    (folder / "index.html").write_text(
        f'<!doctype html><link rel="icon" href="data:,">{SHOWS}<body>{html}<script>{script}</script></body>'
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
