"""What MkDocs does beyond its plugins: output looks like output, and claims say how they were proved."""

import os
import re
import sys
from html import escape, unescape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import BashLexer  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from claims import KUBECTL_SAYS, render, results  # noqa: E402
from claims.find import ClaimError, Proof, claims_and_proofs  # noqa: E402
from live import SITE_PORT, runnable  # noqa: E402
from live.shell import split  # noqa: E402
from mutate import render as mutations  # noqa: E402
from mutate import results as mutation_results  # noqa: E402

_PRINTED = re.compile(r'<span class="c1">(?=#&gt; )')
_OUTPUT = re.compile(r'<span class="go">(.*?)</span>')
_PLACEHOLDER = re.compile(rf"&lt;(?!(?:{'|'.join(KUBECTL_SAYS)})&gt;)[a-z][a-z0-9-]*&gt;")
_CONSOLE_BLOCK = r'<div(?: id="[^"]*")? class="language-console\b[^>]*>.*?<code>'
_CONSOLE = re.compile(rf"({_CONSOLE_BLOCK})(.*?)(?=</code>)", re.DOTALL)
_LINE = re.compile(r'(<span id="__span[^>]*>)(.*?)(?=\n</span>)', re.DOTALL)
_PLAIN = re.compile(rf'({_CONSOLE_BLOCK}.*?</code>)|<span class="[nw]">([^<]*)</span>', re.DOTALL)
"""Console blocks, which are kept: commands are wrapped at the elements of their spaces. And names and spaces of other
code, which look like its plain text: a long page has hundreds."""
_LIST_OF_PROOFS = "<!-- proofs -->"
_MUTATIONS = "<!-- mutations -->"

_standings: dict[str, render.Standing] = {}


def on_pre_build(config: MkDocsConfig) -> None:
    """Read claims, proofs and results anew for each build, which ends with one line where they do not fit."""
    try:
        claims, proofs = claims_and_proofs(ROOT)
    except ClaimError as error:
        raise PluginError(str(error)) from None
    _standings.clear()
    _standings.update(
        {each.claim.id: each for each in render.standings(claims, proofs, results.read(ROOT / results.FILE))}
    )


def on_serve(server: Any, **_: Any) -> Any:
    """Build anew when proofs change, too."""
    for folder in ("claims", "tests/proofs", "mutate", "benchmarks"):
        server.watch(str(ROOT / folder))
    if port := os.environ.get(SITE_PORT):  # its address in pages stays that of the server in front of it
        server.server_address = ("127.0.0.1", int(port))
    return server


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put all proofs into the page that lists them, and give fences that are proofs a place to be linked to."""
    if _MUTATIONS in markdown:
        return markdown.replace(_MUTATIONS, mutations.page(mutation_results.read(ROOT / mutation_results.FILE)))
    if _LIST_OF_PROOFS not in markdown:
        return render.with_places(runnable.marked(markdown))
    top = "../" * page.url.count("/")
    parts = [render.summary(list(_standings.values()))]
    here = ""
    shown: set[Proof] = set()
    for standing in _standings.values():
        if standing.claim.page != here:
            here = standing.claim.page
            parts.append(f"## {_title(here)}")
        parts.append(render.listed(standing, top, shown))
    return markdown.replace(_LIST_OF_PROOFS, "\n\n".join(parts))


def _title(page: str) -> str:
    return next(line[2:] for line in (ROOT / page).read_text().splitlines() if line.startswith("# "))


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Mark what snippets printed, and how claims stand.

    A `#> …` line gets the class `printed`; a line of console output that has columns, and so must not be
    wrapped, `columns`; a placeholder in it, `varies`. Names of tabs are not searched.
    """
    html = _CONSOLE.sub(lambda block: block[1] + _with_whole_commands(block[2]), html)
    html = html.replace('<div class="tabbed-labels">', '<div class="tabbed-labels" data-search-exclude>')
    html = _PLAIN.sub(lambda found: found[1] or found[2], html)
    marked = render.marks(html, _standings, "../" * page.url.count("/"))
    return _OUTPUT.sub(_mark_output, _PRINTED.sub('<span class="c1 printed">', marked))


def _with_whole_commands(code: str) -> str:
    """Console code in which all lines of a command are of it: to Pygments those are that stand behind a backslash."""
    lines = [found[2] for found in _LINE.finditer(code)]
    text = unescape(re.sub(r"<[^>]*>", "", "\n".join(lines)))
    for command in split(text) if text.startswith("$ ") else []:
        typed = highlight(command.text, BashLexer(stripnl=False), HtmlFormatter(nowrap=True)).split("\n")
        for number, (source, line) in enumerate(zip(command.source, typed, strict=False), start=command.line - 1):
            lines[number] = f'<span class="gp">{escape(source[:2])}</span>{line}'
    left = iter(lines)
    return _LINE.sub(lambda found: found[1] + next(left), code)


def _mark_output(output: re.Match[str]) -> str:
    text = _PLACEHOLDER.sub(r'<span class="varies">\g<0></span>', output[1])
    return f'<span class="go{" columns" if "  " in text.strip() else ""}">{text}</span>'
