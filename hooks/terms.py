"""Terms of the glossary: where a page first uses one, it leads to the glossary, and says there and then what it means.

The glossary's own file is the only place where terms are defined. Those marked `.tip` are explained on all pages.
"""

import re
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.structure.pages import Page

GLOSSARY = Path(__file__).parents[1] / "docs/glossary.md"

_DEFINED = re.compile(r"^(?P<name>.+?) \{ #(?P<id>\S+) \.tip \}\n: +(?P<said>.+)$", re.MULTILINE)
_MARKED = re.compile(r"<abbr title=\"[^\"]*\">(.*?)</abbr>")
_TAG = re.compile(r"<(/?)(a|h[1-6]|summary|svg|button|pre)\b[^>]*>|" + _MARKED.pattern)


def terms(glossary: str) -> dict[str, tuple[str, str]]:
    """The terms that pages explain, as they are written, their plurals too → id and meaning, in plain text."""
    found = {}
    for term in _DEFINED.finditer(glossary):
        said = re.sub(r" See \[.*", "", term["said"])
        said = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", said).replace("`", "")
        for name in (term["name"], f"{term['name']}s"):
            found[name] = (term["id"], said)
    return found


def linked(html: str, known: dict[str, tuple[str, str]], glossary: str) -> str:
    """A page's HTML, in which `<abbr>` marks all terms: the first of each leads to the glossary, the others are text.

    `glossary` is where that is, seen from the page. In headings, titles of boxes, links and pictures a term stays text.
    """
    seen: set[str] = set()
    open_tags: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        closing, tag, name = match.groups()
        if tag:
            if not closing:
                open_tags.append(tag)
            elif tag in open_tags:
                open_tags.remove(tag)
            return match[0]
        anchor, said = known[name]
        if open_tags or anchor in seen:
            return name
        seen.add(anchor)
        return f'<a class="term" href="{glossary}#{anchor}" title="{escape(said)}">{name}</a>'

    return _TAG.sub(replaced, html)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Have the extension `abbr` find the terms, which leaves code alone."""
    if page.file.src_uri == GLOSSARY.name:
        return markdown
    found = terms(GLOSSARY.read_text("utf-8"))
    return markdown + "\n\n" + "".join(f"*[{name}]: x\n" for name in found)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Make the terms that were found into links to the glossary."""
    return linked(html, terms(GLOSSARY.read_text("utf-8")), f"{'../' * page.url.count('/')}glossary/")


def on_serve(server: Any, **_: Any) -> Any:
    """Build anew when this file changes, too."""
    server.watch(__file__)
    return server
