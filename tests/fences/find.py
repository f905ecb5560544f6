"""Finds the fences of a page by the very code that renders them: what a reader sees is what is run."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from mkdocs.utils.meta import get_data
from pytest_examples import CodeExample

from claims.find import MODES
from live.fences import KUBECTL, PYTHON_TAB, RUNNABLE, is_for, is_run, rendered
from throwaway.capabilities import check_names
from throwaway.errors import ThrowawayError

_PICTURES = ("mermaid",)
_SHOWN_BY_MATERIAL = {"title", "linenums", "hl_lines", "title_mode"}
_TAB = re.compile(r'(?P<indent> *)===[!+]* +"(?P<title>.*)"\s*')
_LOOKS_LIKE_A_FENCE = re.compile(r"[>\s]*(`{3,}|~{3,})[^`]*")


class FenceError(Exception):
    """Something on a page is wrong. The message starts with its place, as in `docs/page.md:12: …`."""


@dataclass
class Fence(CodeExample):
    """One fenced block of a page; as a `CodeExample` it goes to pytest-examples unchanged."""

    page: str = ""
    """The page's path as messages show it, relative to the current folder where possible."""
    language: str = ""
    """The word after the backticks, such as `python`."""
    settings: dict[str, str] = field(default_factory=dict)
    """Key and value of each attribute on the fence's line, such as `title`."""
    tab: str = ""
    """The title of the tab in which it stands, "" if in none."""
    tabs: int = 0
    """The line at which that tab and those beside it begin."""
    is_rewritten: bool = field(default=False, compare=False)
    """Whether it is written into the page when the tests end, see `update.rewrite`."""
    check: Callable[[str], None] | None = field(default=None, compare=False)
    """Compares what the fence printed when it was run with another source; raises `FenceError` if they differ."""

    def __str__(self) -> str:
        return f"{self.page}:{self.start_line}-{self.end_line}"

    def place(self, line: int = 0) -> str:
        """`page:line` of a line of the fence; 0 is the one with the opening backticks, 1 the first inside."""
        return f"{self.page}:{self.start_line + line}"

    @property
    def is_picture(self) -> bool:
        """Whether it is a drawing rather than code."""
        return self.language in _PICTURES

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return is_run(self.language, self.settings)

    @property
    def own_tab(self) -> str:
        """The title of the tab in which it has to stand on a page for two readers; "" if it is for both."""
        return KUBECTL if "client" in self.settings else PYTHON_TAB if self.language == "python" and self.is_run else ""

    def is_for(self, reader: str) -> bool:
        """Whether a reader, `KUBECTL` or "", comes to it."""
        return is_for(reader, self.language, self.settings)

    def id_for(self, reader: str) -> str:
        """The id of the test that runs it for a reader, as in `docs/page.md:12-19 kubectl`."""
        return f"{self} {reader}".rstrip()

    def why_not_run(self, proxy_mode: str) -> str:
        """Why the tests do not run it on a cluster whose kube-proxy is in this mode; "" if they do."""
        if mode := self.settings.get("mode", ""):
            return "" if mode == proxy_mode else f"for kube-proxy's mode {mode}"
        return self.settings.get("reason", "")


def find_fences(page: Path) -> list[Fence]:
    """The fences of a page in the order of the page, also those inside tabs, admonitions and lists.

    Raises `FenceError` for a line that looks like a fence but is not rendered as one: it would be neither
    shown as code nor run.
    """
    path = page.resolve()
    name = _shown(path)
    lines = path.read_text("utf-8").split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    group = uuid4()
    fences = []
    for found in rendered(lines):
        if found.quoted:
            raise FenceError(f"{name}:{found.start + 1}: fences in blockquotes are not run; use an admonition")
        inside = lines[found.start + 1 : found.end - 1]
        tab, tabs = _tab(lines[: found.start], found.indent)
        fences.append(
            Fence(
                source="".join(line[found.indent :] + "\n" for line in inside),
                path=path,
                start_line=found.start + 1,
                end_line=found.end,
                start_index=offsets[found.start + 1],
                end_index=offsets[found.end - 1],
                prefix=lines[found.start].strip().lstrip("`~"),
                indent=found.indent,
                group=group,
                page=name,
                language=found.language,
                settings=found.settings,
                tab=tab,
                tabs=tabs,
            )
        )
    inside_fences = {number for fence in fences for number in range(fence.start_line, fence.end_line + 1)}
    for number, line in enumerate(lines, start=1):
        if number not in inside_fences and _LOOKS_LIKE_A_FENCE.fullmatch(line):
            raise FenceError(
                f"{name}:{number}: the site does not render this as a fence. It must be closed, at the same "
                'indentation; attributes but for title go in braces: ``` { .console test="skip" reason="…" }'
            )
    return fences


def _tab(above: list[str], indent: int) -> tuple[str, int]:
    """The title of the tab in which a fence stands directly, below these lines, and the line where its tabs begin."""
    title, first = "", 0
    for number, line in reversed(list(enumerate(above, start=1))):
        tab = _TAB.fullmatch(line)
        if tab and len(tab["indent"]) == indent - 4:
            title, first = title or tab["title"], number
        elif line.strip() and not line.startswith(" " * indent):
            break
    return title, first


def readers_of(fences: list[Fence]) -> tuple[str, ...]:
    """The readers of a page: "", and `KUBECTL` if it has fences for that one. Each runs it from top to bottom."""
    return ("", KUBECTL) if any("client" in fence.settings for fence in fences) else ("",)


def check_tabs(fences: list[Fence]) -> None:
    """Raise `FenceError` where one of the two readers of a page would miss a step."""
    if KUBECTL not in readers_of(fences):
        return
    there = {(fence.tabs, fence.tab) for fence in fences if fence.tab == fence.own_tab}
    for fence in fences:
        own = fence.own_tab
        other = KUBECTL if own == PYTHON_TAB else PYTHON_TAB
        if own and (fence.tab != own or (fence.tabs, other) not in there):
            raise FenceError(
                f'{fence.place()}: it stands in no tab "{own}" with a tab "{other}" beside it that has a fence for the '
                "other reader, who would miss this step; put both in such tabs"
            )
        if not own and fence.tab in (PYTHON_TAB, KUBECTL):
            what = "Python fences" if fence.tab == PYTHON_TAB else f'fences with client="{KUBECTL}"'
            raise FenceError(f'{fence.place()}: on a page for two readers a tab "{fence.tab}" has {what} only')


def needs_of(page: Path) -> tuple[str, ...]:
    """The capabilities of a cluster that a page needs besides those of all pages, from its front matter.

    They stand there as in `needs: dual-stack`, several with spaces between them. Raises `FenceError` for one that
    there is not (`throwaway.capabilities`).
    """
    needs = tuple(str(_front_matter(page).get("needs") or "").split())
    try:
        check_names(needs)
    except ThrowawayError as error:
        raise FenceError(f"{_shown(page)}:1: needs: {error}") from None
    return needs


def is_run_once(page: Path) -> bool:
    """Whether a page has nothing to do with kube-proxy's mode, as its front matter says: `once: true`."""
    return bool(_front_matter(page).get("once"))


def _front_matter(page: Path) -> dict[str, Any]:
    return dict(get_data(page.read_text("utf-8"))[1])


def check_settings(fence: Fence) -> None:
    """Raise `FenceError` where the fence's own line breaks the rules for pages (see CONTRIBUTING.md)."""
    unknown = sorted(fence.settings.keys() - _SHOWN_BY_MATERIAL - {"test", "reason", "proves", "mode", "client"})
    if unknown:
        raise FenceError(f"{fence.place()}: a fence has no attribute {unknown[0]!r}")
    if fence.settings.get("test", "skip") != "skip":
        raise FenceError(f'{fence.place()}: test={fence.settings["test"]!r} means nothing; only test="skip" does')
    if ("test" in fence.settings) != bool(fence.settings.get("reason", "").strip()):
        raise FenceError(f'{fence.place()}: a fence that is not run says why: test="skip" reason="…"; both or none')
    if fence.settings.get("mode", MODES[0]) not in MODES:
        raise FenceError(
            f"{fence.place()}: kube-proxy has no mode {fence.settings['mode']!r} here; there are {', '.join(MODES)}"
        )
    if fence.settings.get("client", KUBECTL) != KUBECTL or ("client" in fence.settings and fence.language == "python"):
        raise FenceError(f'{fence.place()}: a fence that is not for all readers is Python, or has client="{KUBECTL}"')
    if "mode" in fence.settings and not fence.is_run:
        raise FenceError(f"{fence.place()}: a fence that is not run is run in no mode")
    if fence.language not in RUNNABLE and not fence.is_picture and "test" not in fence.settings:
        raise FenceError(
            f"{fence.place()}: a fence is {', '.join(RUNNABLE)} or a picture ({', '.join(_PICTURES)}), not "
            f"{fence.language or 'without language'}, unless it says why it is only shown: "
            'test="skip" reason="…"'
        )
    title = fence.settings.get("title", "")
    if fence.language == "yaml" and fence.is_run and not re.fullmatch(r"[\w.-]+\.yaml", title):
        raise FenceError(f'{fence.place()}: a yaml fence needs the name of its file, as in title="service.yaml"')


def _shown(path: Path) -> str:
    """A path as messages show it, relative to the current folder where possible."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
