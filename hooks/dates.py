"""When a page appeared and was last changed, by git; the theme shows it, and the feed tells of new pages.

A plugin does this too, but takes the date of a shallow clone's one commit for the date of each page. Here such a clone
has no dates, like a folder that is no clone at all.
"""

import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mkdocs.structure.pages import Page

DOCS = Path(__file__).parents[1] / "docs"
WRITTEN_BY_MACHINE = ("proofs.md", "mutations.md", "examples.md", "topics.md")
"""Pages whose file has little of what they show: it is older or newer than that."""

_dates: dict[str, "Dates"] = {}


@dataclass
class Dates:
    """Of one file."""

    appeared: datetime
    changed: datetime


def read(folder: Path) -> dict[str, Dates]:
    """The dates of all files that ever were in a folder, by their paths in it; none where git knows no history."""
    try:
        if _git(folder, "rev-parse", "--is-shallow-repository").strip() != "false":
            return {}
        log = _git(folder, "log", "--format=%x00%aI", "--name-only", "--relative", "--no-renames", "-z")
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, Dates] = {}
    when = datetime.min
    for word in log.replace("\n", "\0").split("\0"):  # a date stands before the names of what was changed then
        try:
            when = datetime.fromisoformat(word)
        except ValueError:
            if word:
                found.setdefault(word, Dates(when, when)).appeared = when
    return found


def on_pre_build(**_: object) -> None:
    """Read them anew for each build."""
    _dates.clear()
    _dates.update(read(DOCS))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Tell the theme, and search engines, when the page was changed."""
    path = page.file.src_uri
    if path in _dates and path not in WRITTEN_BY_MACHINE:
        changed = _dates[path].changed
        page.meta["revision_date"] = f"{changed.day} {changed:%B %Y}"
        page.update_date = f"{changed:%Y-%m-%d}"  # in the sitemap, where the day of the build would stand
    return markdown


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout
