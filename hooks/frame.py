"""What stands around a page: where it is edited, and what screen readers need."""

import re
from html import escape, unescape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_MENDED = {
    'data-md-component="search" role="dialog"': 'data-md-component="search" role="dialog" aria-label="Search"',
    'class="md-search__scrollwrap" tabindex="0"': 'class="md-search__scrollwrap" tabindex="0" aria-label="Results"',
    '<nav class="md-tags"': '<nav class="md-tags" aria-label="Topics"',
    'class="md-path" aria-label="Navigation"': 'class="md-path" aria-label="Where this page is"',
    'data-md-component="progress" role="progressbar"': 'data-md-component="progress" aria-hidden="true"',
    # Tabs that a reader has chosen before are known by their text, which innerText has of what is laid out alone.
    "label.innerText.trim()===tab": "label.textContent.trim()===tab",
}
"""What the theme writes → what it should: for screen readers parts have names, and no two the same."""
_SECTIONS = re.compile(r'<nav class="md-nav" aria-label="(?=[^"])')
"""The table of contents below a heading, which has the heading's name, as a part of the navigation may have."""
_MENDED_SCRIPT = {
    # The copy button of each block of code was in a part of the page without a name.
    'x("nav",{class:"md-code__nav"})': 'x("div",{class:"md-code__nav"})',
    # All colours were taken for switched when a page begins, so that each element was styled anew, twice.
    'document.body.setAttribute("data-md-color-switching","")': (
        'document.body.dataset.mdColorMedia&&document.body.setAttribute("data-md-color-switching","")'
    ),
    '__md_set("__palette",s)': 'document.body.dataset.mdColorSwitching===""&&__md_set("__palette",s)',
    # The first link to a place on the same page fetched the page anew: what a reader had done there was lost.
    'let s=t.pipe(ne("pathname"),': 'let s=t.pipe(Q(we()),ne("pathname"),Ie(1),',
    's.pipe(b(()=>t),ne("hash"))': 's.pipe(Q(0),b(()=>t),ne("hash"))',
    # The tabs of a page were measured when it began, one set after the other, also those that are far from the screen.
    "z([a,Le(e),mt(e)]).pipe(W(c),$e(1,ye))": (
        'mt(e).pipe(g(f=>f),b(()=>z([a.pipe(Q({active:j(`label[for="${n.find(f=>f.checked).id}"]`)})),Le(e)])),'
        "W(c),$e(1,ye))"
    ),
    "z([Ge(o),Le(o)]).pipe(W(c))": "mt(e).pipe(g(f=>f),b(()=>z([Ge(o),Le(o)])),W(c))",
    # Of the tabs that are far from the screen none was chosen along.
    "let f=p.innerText.trim()": "let f=p.textContent.trim()",
    "X.innerText.trim()===f": "X.textContent.trim()===f",
    # All was styled anew, too, whenever the browser was told which colours there are, even if they were the same.
    'x("meta",{name:"color-scheme"});document.head.appendChild(o)': 'document.querySelector("meta[name=color-scheme]")',
    "return o.content=a.colorScheme,": "return o.content===a.colorScheme||(o.content=a.colorScheme),",
}
"""What the theme's script says → what it should."""
_EMPTY_HEAD = re.compile(r"<th((?: [^>]*)?)></th>")
_TABS = re.compile(
    r'<div class="tabbed-set tabbed-alternate"(?=[^>]*>(?:<input[^>]*>)+<div class="tabbed-labels"[^>]*>(.*?)</div>)',
    re.DOTALL,
)
_TAB = re.compile(r"<label[^>]*>(.*?)</label>", re.DOTALL)


def on_config(config: MkDocsConfig) -> None:
    """Pages are edited on the branch main, if the repository's address is known."""
    config.edit_uri = "edit/main/docs/" if config.repo_url else ""


def on_page_content(html: str, **_: object) -> str:
    """Give tabs a name, and have a table's empty corner be no heading, which would be read out as one."""
    html = _TABS.sub(_named, html)
    return _EMPTY_HEAD.sub(r"<td\1></td>", html)


def _named(tabs: re.Match[str]) -> str:
    names = (escape(unescape(re.sub("<.*?>", "", name)).strip()) for name in _TAB.findall(tabs[1]))
    return f'{tabs[0]} role="group" aria-label="{" or ".join(names)}"'


def on_post_page(output: str, **_: object) -> str:
    """Mend what the theme writes."""
    for written, mended in _MENDED.items():
        output = output.replace(written, mended)
    return _SECTIONS.sub(r"\g<0>Sections of ", output)


def on_post_template(output_content: str, template_name: str, **_: object) -> str:
    """The same for the page of what is not there."""
    return on_post_page(output_content) if template_name.endswith(".html") else output_content


def on_post_build(config: MkDocsConfig) -> None:
    """Mend the theme's script. Ends the build with one line if a new version of it has not what is mended."""
    (script,) = Path(config.site_dir).glob("assets/javascripts/bundle.*.min.js")
    text = script.read_text("utf-8")
    for said, mended in _MENDED_SCRIPT.items():
        if text.count(said) != 1:
            raise PluginError(f"{script.name}: {said} is not in it once; see hooks/frame.py")
        text = text.replace(said, mended)
    script.write_text(text, "utf-8")
