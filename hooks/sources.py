"""Beside each page its Markdown, `llms.txt` which lists them for programs that read, and a feed of new pages.

Markdown stands where its file stands in docs/, so that links from one to the other hold. The plugin for `llms.txt`
makes Markdown out of a page's HTML again, which is longer and less clear than what was written.
"""

import re
import sys
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page
from mkdocs.utils.meta import get_data

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from claims.find import MARK, REFERENCE  # noqa: E402
from figures import places  # noqa: E402
from hooks import dates  # noqa: E402
from notebooks.from_page import ANNOTATION, COMMENT  # noqa: E402

_TAB = re.compile(r'^( *)=== "(.*)"$', re.MULTILINE)
_PICTURE = re.compile(r'^--8<-- "(.*\.svg)"$', re.MULTILINE)
_MADE = re.compile(rf"(?<=\]\()([./]*)({'|'.join(map(re.escape, dates.WRITTEN_BY_MACHINE))})(?=[#)])")
"""A link to a page that has no Markdown."""

_sections: dict[str, list[Page]] = {}


def on_nav(nav: Navigation, **_: object) -> None:
    """Note the pages of each part of the navigation."""
    _sections.clear()
    for item in nav.items:
        _sections.setdefault(item.title if isinstance(item, Section) else "Pages", []).extend(_pages(item))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Tell the theme where the page's Markdown is."""
    if _has_source(page):
        page.meta["source"] = page.file.src_uri
    return markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Write them all."""
    site = Path(config.site_dir)
    for page in _all():
        if _has_source(page):
            file = site / page.file.src_uri
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source(page.file.content_string, page.file.src_uri), "utf-8")
    (site / "llms.txt").write_text(index(config), "utf-8")
    if config.site_url and (known := dates.read(ROOT / "docs")):
        feed(config, known).write(site / "feed.xml", "utf-8", xml_declaration=True)


def source(text: str, path: str) -> str:
    """A page's Markdown for readers elsewhere: without front matter and comments, its marks, pictures and figures
    as links, its tabs as items of a list.
    """
    top = "../" * path.count("/")
    markdown, _ = get_data(text)
    markdown = _MADE.sub(lambda link: f"{link[1]}{PurePosixPath(link[2]).stem}/", markdown)
    for mark in (MARK, REFERENCE):
        markdown = mark.sub(rf"[✓]({top}proofs/#\1)", markdown)
    name = PurePosixPath(path).stem
    markdown = ANNOTATION.sub(r"# (\1)", _TAB.sub(r"\1-   **\2**", COMMENT.sub("", markdown)))
    markdown = places.linked(markdown, "./" if name == "index" else f"{name}/")
    return _PICTURE.sub(rf"![]({top}\1)", markdown)


def index(config: MkDocsConfig) -> str:
    """`llms.txt` (https://llmstxt.org): what the site is, and each page with what it is about."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for section, pages in _sections.items():
        lines += ["", f"## {section}", ""]
        for page in pages:
            path = page.file.src_uri if _has_source(page) else page.url
            about = f": {page.meta['description']}" if "description" in page.meta else ""
            lines.append(f"- [{page.title}]({config.site_url or ''}{path}){about}")
    return "\n".join([*lines, ""])


def feed(config: MkDocsConfig, known: dict[str, dates.Dates]) -> "ElementTree[Element]":
    """RSS 2.0: pages by the date on which they appeared, the newest first."""
    rss = Element("rss", version="2.0")
    channel = SubElement(rss, "channel")
    SubElement(channel, "title").text = config.site_name
    SubElement(channel, "link").text = config.site_url
    SubElement(channel, "description").text = config.site_description
    dated = [(known[page.file.src_uri].appeared, page) for page in _all() if page.file.src_uri in known]
    for appeared, page in sorted(dated, key=lambda each: each[0], reverse=True):
        item = SubElement(channel, "item")
        SubElement(item, "title").text = page.meta.get("title", page.title)
        SubElement(item, "link").text = page.canonical_url
        SubElement(item, "guid").text = page.canonical_url
        SubElement(item, "pubDate").text = format_datetime(appeared)
        SubElement(item, "description").text = page.meta.get("description", "")
    indent(rss)
    return ElementTree(rss)


def _has_source(page: Page) -> bool:
    return page.file.src_uri.endswith(".md") and page.file.src_uri not in dates.WRITTEN_BY_MACHINE


def _all() -> list[Page]:
    return [page for pages in _sections.values() for page in pages]


def _pages(item: object) -> Iterator[Page]:
    if isinstance(item, Page):
        yield item
    elif isinstance(item, Section):
        for child in item.children:
            yield from _pages(child)
