"""What the site promises where it is published: addresses that stay, ways through it, and what programs read of it."""

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from PIL import Image

from hooks import dates

ROOT = Path(__file__).parents[1]
SITE = "https://example.org/services/"
REPOSITORY = "https://github.com/example/repository"
WAS, IS = "labs/was-here", "labs/ready"
"""A page that was moved."""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built for its address."""
    folder = tmp_path_factory.mktemp("hosted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "0")  # the day of this build, which is that of no page
        config = load_config(str(ROOT / "mkdocs.yml"), site_url=SITE, repo_url=REPOSITORY, site_dir=str(folder))
        config.plugins["redirects"].config["redirect_maps"] = {f"{WAS}.md": f"{IS}.md"}
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    return folder


@pytest.fixture(scope="module")
def pages(hosted: Path) -> dict[str, str]:
    """The HTML of all pages, without styles, by address."""
    folders = {file.parent.relative_to(hosted).as_posix(): file for file in hosted.rglob("index.html")}
    del folders[WAS]
    assert len(folders) > 30
    return {urljoin(SITE, f"{folder}/").replace("/./", "/"): without_styles(file) for folder, file in folders.items()}


def without_styles(file: Path) -> str:
    """The HTML of a file."""
    return re.sub(r"<style>.*?</style>", "", file.read_text("utf-8"), flags=re.DOTALL)


def file_of(hosted: Path, address: str) -> Path:
    """The file that is served at an address of the site."""
    path, _ = urldefrag(address)
    assert path.startswith(SITE)
    file = hosted / path.removeprefix(SITE)
    return file / "index.html" if file.is_dir() else file


def one(pattern: str, html: str) -> str:
    """What a pattern finds, which has to be there once."""
    (found,) = re.findall(pattern, html, re.DOTALL)
    return unescape(str(found))


def test_each_page_names_its_own_address(pages: dict[str, str]) -> None:
    assert [one(r'<link rel="canonical" href="([^"]*)"', html) for html in pages.values()] == list(pages)


def test_a_link_to_a_page_is_shown_with_its_title_and_a_picture(pages: dict[str, str], hosted: Path) -> None:
    for address, html in pages.items():
        card = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[a-z_]+)" content="([^"]*)"', html))
        assert card["og:url"] == address
        assert one("<title>(.*?)</title>", html).startswith(unescape(card["og:title"]))
        assert card["og:description"] and card["twitter:card"] == "summary_large_image"
        assert Image.open(file_of(hosted, card["og:image"])).size == (1200, 630)


def test_the_sitemap_has_each_page_with_the_day_of_its_last_change(pages: dict[str, str], hosted: Path) -> None:
    name = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    urls = ElementTree.parse(hosted / "sitemap.xml").iter(f"{name}url")
    listed = {url.findtext(f"{name}loc", ""): url.findtext(f"{name}lastmod") for url in urls}
    assert set(listed) == set(pages)
    if known := dates.read(ROOT / "docs"):
        assert listed[f"{SITE}versions/"] == f"{known['versions.md'].changed:%Y-%m-%d}"


def test_the_feed_has_each_page_the_newest_first(pages: dict[str, str], hosted: Path) -> None:
    if not (known := dates.read(ROOT / "docs")):
        pytest.skip("this clone does not know when pages appeared")
    feeds = {one(r'<link rel="alternate feed"[^>]*href="([^"]*)"', html) for html in pages.values()}
    assert feeds == {f"{SITE}feed.xml"}
    feed = ElementTree.parse(hosted / "feed.xml").getroot()
    assert (feed.tag, feed.get("version")) == ("rss", "2.0")
    assert all(feed.findtext(f"channel/{name}") for name in ("title", "link", "description"))
    items = list(feed.iter("item"))
    assert all(item.findtext("title") and item.findtext("description") is not None for item in items)
    links = [item.findtext("link", "") for item in items]
    assert links == [item.findtext("guid") for item in items]
    assert set(links) <= set(pages) and len(set(links)) == len(links) >= len(pages) - len(dates.WRITTEN_BY_MACHINE)
    appeared = {
        link: parsedate_to_datetime(item.findtext("pubDate", "")) for link, item in zip(links, items, strict=True)
    }
    assert appeared[f"{SITE}versions/"] == known["versions.md"].appeared
    assert list(appeared.values()) == sorted(appeared.values(), reverse=True)


def test_llms_txt_lists_each_page_and_leads_to_its_markdown_where_it_has_some(
    pages: dict[str, str], hosted: Path
) -> None:
    links = re.findall(r"^- \[[^]]+\]\((\S+)\)(?:: \S|$)", (hosted / "llms.txt").read_text("utf-8"), re.MULTILINE)
    assert [link for link in links if not file_of(hosted, link).is_file()] == []
    assert sorted(re.sub(r"((?<=/)index)?\.md$", "", link).rstrip("/") + "/" for link in links) == sorted(pages)
    assert sum(link.endswith(".md") for link in links) > 30


def test_links_of_the_markdown_beside_a_page_lead_to_what_is_there(hosted: Path) -> None:
    lost = []
    for file in hosted.rglob("*.md"):
        text = re.sub(r"^( *)(`{3,}).*?^\1\2", "", file.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        assert re.search("^# ", text, re.MULTILINE), file
        here = urljoin(SITE, file.relative_to(hosted).as_posix())
        for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text):
            if not file_of(hosted, urljoin(here, link)).is_file():
                lost.append((file.relative_to(hosted).as_posix(), link))
    assert lost == []


def test_a_page_stands_under_each_of_its_topics(pages: dict[str, str]) -> None:
    topics = f"{SITE}topics/"
    parts = re.split(r'<h2 id="(tag:[^"]+)">', one("<article.*?</article>", pages[topics]))
    listed = {
        (urljoin(topics, link), f"{topics}#{topic}")
        for topic, html in zip(parts[1::2], parts[2::2], strict=True)
        for link in re.findall(r'<li>.*?href="([^"]*)"', html, re.DOTALL)
    }
    tagged = {
        (page, urljoin(page, link))
        for page, html in pages.items()
        for link in re.findall(r'<a href="([^"]*)" class="md-tag"', html)
    }
    assert listed == tagged and len(listed) > 20


def sections(items: list[Any], *above: str) -> Iterator[tuple[str, list[str]]]:
    """The pages of a navigation, each with the parts that it stands in."""
    for item in items:
        ((title, inside),) = item.items()
        if isinstance(inside, str):
            yield inside, list(above)
        else:
            yield from sections(inside, *above, title)


def test_each_page_says_in_which_part_it_stands_and_where_it_is_edited(pages: dict[str, str], hosted: Path) -> None:
    of_nav = {
        re.sub(r"((?<=/)index|^index)?\.(md|ipynb)$", "/", path): (path, parts)
        for path, parts in sections(load_config(str(ROOT / "mkdocs.yml")).nav or [])
    }
    assert {urljoin(SITE, address.lstrip("/")) for address in of_nav} == set(pages)
    for address, (path, parts) in of_nav.items():
        page = urljoin(SITE, address.lstrip("/"))
        trail = re.findall(
            r'<a href="([^"]*)" class="md-path__link">\s*<span class="md-ellipsis">\s*(.*?)\s*<', pages[page]
        )
        assert [words for _, words in trail] == (["Home", *parts] if parts else [])
        assert all(file_of(hosted, urljoin(page, link)).is_file() for link, _ in trail)
        assert one(r'<a href="([^"]*)"[^>]* rel="edit"', pages[page]) == f"{REPOSITORY}/edit/main/docs/{path}"
        assert (ROOT / "docs" / path).is_file()


def test_the_link_to_the_repository_has_nobody_ask_its_host(pages: dict[str, str]) -> None:
    for html in pages.values():
        assert f'<a href="{REPOSITORY}" ' in html
        assert 'data-md-component="source"' not in html, "the theme's script asks api.github.com for each"


def test_what_is_not_there_has_a_page_that_works_at_any_depth(pages: dict[str, str], hosted: Path) -> None:
    html = (hosted / "404.html").read_text("utf-8")
    own = [link for link in re.findall(r'(?:href|src)="([^"#]+)"', html) if not re.match("https?:|javascript:", link)]
    own += re.findall(r"url\([\"']?(?!data:)([^\"')]+)", html)
    nested = urljoin(SITE, "no/such/page/")
    assert [link for link in own if urljoin(nested, link) != urljoin(SITE, link)] == []
    assert [link for link in own if not file_of(hosted, urljoin(SITE, link)).is_file()] == []
    assert json.loads(one('<script id="__config"[^>]*>(.*?)</script>', html))["base"] == urlsplit(SITE).path
    article = one("<article.*?</article>", html)
    assert {urljoin(SITE, link).replace("/./", "/") for link in re.findall('href="([^"]*)"', article)} >= set(pages)
    assert 'data-md-component="search-query"' in html
    assert "canonical" not in html and "og:url" not in html


def test_a_page_that_was_moved_leads_to_where_it_is(hosted: Path) -> None:
    html = (hosted / WAS / "index.html").read_text("utf-8")
    leads = one(r'<meta http-equiv="refresh" content="0; url=([^"]*)"', html)
    assert urljoin(f"{SITE}{WAS}/", leads) == f"{SITE}{IS}/"
