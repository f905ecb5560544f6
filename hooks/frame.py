"""What stands around a page: where it is edited, its styles, and what screen readers need."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

_MENDED = {
    'data-md-component="search" role="dialog"': 'data-md-component="search" role="dialog" aria-label="Search"',
    'class="md-search__scrollwrap" tabindex="0"': 'class="md-search__scrollwrap" tabindex="0" aria-label="Results"',
    'class="md-path" aria-label="Navigation"': 'class="md-path" aria-label="Where this page is"',
    'data-md-component="progress" role="progressbar"': 'data-md-component="progress" aria-hidden="true"',
}
"""What the theme writes → the same as screen readers can use it: parts have names, and no two the same."""
_SECTIONS = re.compile(r'<nav class="md-nav" aria-label="(?=[^"])')
"""The table of contents below a heading, which has the heading's name, as a part of the navigation may have."""
_NAMELESS_BUTTONS = 'x("nav",{class:"md-code__nav"})'
"""What the theme's script puts the copy button of each block of code into: a part of the page without a name."""
_EMPTY_HEAD = re.compile(r"<th((?: [^>]*)?)></th>")
_STYLESHEET = re.compile(r'<link rel="stylesheet" href="([^":]*?)(assets/[^"]*\.css)">')
_URL = re.compile(r"url\((['\"]?)(?!data:|['\"])")


def on_config(config: MkDocsConfig) -> None:
    """Pages are edited on the branch main, if the repository's address is known."""
    config.edit_uri = "edit/main/docs/" if config.repo_url else ""


def on_page_content(html: str, **_: object) -> str:
    """Have a table's empty corner be no heading, which would be read out as one."""
    return _EMPTY_HEAD.sub(r"<td\1></td>", html)


def on_post_page(output: str, config: MkDocsConfig, **_: object) -> str:
    """Put the styles into the page, and mend what the theme says to screen readers.

    A browser paints nothing before it has the styles, and asks for them only once it has begun to read the page: on a
    slow line that is a third of the time until there is something to read.
    """
    for written, mended in _MENDED.items():
        output = output.replace(written, mended)
    output = _SECTIONS.sub(r"\g<0>Sections of ", output)
    return _STYLESHEET.sub(lambda link: _style(Path(config.site_dir), link[1], link[2]), output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for the page of what is not there."""
    return on_post_page(output_content, config) if template_name.endswith(".html") else output_content


def on_post_build(config: MkDocsConfig) -> None:
    """Mend the theme's script. Raises `ValueError` if a new version of it has not what is mended."""
    (script,) = Path(config.site_dir).glob("assets/javascripts/bundle.*.min.js")
    text = script.read_text("utf-8")
    if text.count(_NAMELESS_BUTTONS) != 1:
        raise ValueError(f"{script.name}: {_NAMELESS_BUTTONS} is not in it once; see hooks/frame.py")
    script.write_text(text.replace(_NAMELESS_BUTTONS, _NAMELESS_BUTTONS.replace("nav", "div", 1)), "utf-8")


def _style(site: Path, top: str, path: str) -> str:
    """A stylesheet as an element, with the addresses in it as they are from the page; `top` leads to the site's top."""
    css = re.sub(r"/\*.*?\*/", "", (site / path).read_text("utf-8"), flags=re.DOTALL)
    folder = f"{top}{path.rpartition('/')[0]}/"
    return f"<style>{_URL.sub(lambda url: f'url({url[1]}{folder}', css)}</style>"
