"""The styles of a page stand in it, and of the theme's only those that some page may need.

A browser paints nothing before it has the styles, and asks for them only once it has begun to read the page: on a slow
line that is a third of the time until there is something to read. The theme's are for every site that there may be.
What they say of parts that are on no page here, a quarter of them, is left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import tinycss2
from mkdocs.config.defaults import MkDocsConfig

_STYLESHEET = re.compile(r'<link rel="stylesheet" href="([^":]*?)(assets/[^"]*\.css)">')
_URL = re.compile(r"url\((['\"]?)(?!data:|['\"])")
_OF_THEME = "assets/stylesheets/"
_NAMES = re.compile(r'\b(?:class|id|data-md-color-[a-z]+)="([^"]*)"')
_STRINGS = re.compile(r'"[^"\n]*"|\'[^\'\n]*\'|`[^`]*`')
_WORD = re.compile(r"[\w-]+")
_NOT = re.compile(r":not\([^()]*(?:\([^()]*\)[^()]*)*\)")
_NAMED = re.compile(r'[.#](-?[A-Za-z_][\w-]*)|\[data-md-color-[a-z]+="?([\w-]+)')
_BEGINNING = re.compile(r"(?<=\w--)[^-].*")
_IN_BRACKETS = re.compile(r'\[(?!data-md-color-)[^\]]*\]|"[^"]*"')
_PROPERTY = re.compile(r"(--[\w-]+):(?:url\(\"[^\"]*\"\)|[^;{}\"])*(?:;|(?=\}))")
_COSTLY = {".md-typeset table:not([class])+*", ".md-typeset h2+h3"}
"""They are for spaces, and have Chromium style all of the text anew whenever a script puts an element into it."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def on_post_build(config: MkDocsConfig) -> None:
    """Put the styles into all pages."""
    site = Path(config.site_dir)
    pages = {file: file.read_text("utf-8") for file in site.rglob("*.html")}
    scripts = [file.read_text("utf-8") for file in site.glob("assets/**/*.js")]
    styles = {file: _COMMENT.sub("", file.read_text("utf-8")) for file in site.glob("assets/**/*.css")}
    theme = {file: css for file, css in styles.items() if file.is_relative_to(site / _OF_THEME)}
    smaller = dict(zip(theme, needed(list(theme.values()), list(pages.values()), scripts), strict=True))
    others = [css for file, css in styles.items() if file not in theme]
    styles |= dict(zip(smaller, _without_unused_properties(list(smaller.values()), [*others, *scripts]), strict=True))
    for file, html in pages.items():
        file.write_text(_STYLESHEET.sub(lambda link: _style(styles[site / link[2]], link[1], link[2]), html), "utf-8")


def needed(styles: list[str], pages: list[str], scripts: list[str]) -> list[str]:
    """Stylesheets without rules for classes, identifiers and colours that are in no page, and in no string of a script.

    A script may have the beginning of a name alone, as in `tabbed-control--${side}`.

    Where they ask for the class `focus-visible`, which a script of the theme gives, they ask the browser instead, which
    knows by itself, and at once.
    """
    names = {name for page in pages for found in _NAMES.finditer(page) for name in found[1].split()}
    names |= {word for script in scripts for string in _STRINGS.findall(script) for word in _WORD.findall(string)}
    return [_needed(css.replace(".focus-visible", ":focus-visible"), names) for css in styles]


def _needed(css: str, names: set[str]) -> str:
    kept = []
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            selectors = [each for each in _selectors(rule.prelude) if each not in _COSTLY and _may_match(each, names)]
            if selectors:
                kept.append(f"{','.join(selectors)}{{{tinycss2.serialize(rule.content)}}}")
        elif rule.type == "at-rule" and rule.at_keyword in ("media", "supports"):
            if inner := _needed(tinycss2.serialize(rule.content), names):
                kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}")
        else:
            kept.append(rule.serialize())
    return "".join(kept)


def _selectors(prelude: list[tinycss2.ast.Node]) -> Iterator[str]:
    """The selectors of a rule, which stand there with commas between them."""
    selector: list[tinycss2.ast.Node] = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield tinycss2.serialize(selector)
            selector = []
        else:
            selector.append(token)
    yield tinycss2.serialize(selector)


def _may_match(selector: str, names: set[str]) -> bool:
    plain = _IN_BRACKETS.sub("", _NOT.sub("", selector))
    found = [name or value for name, value in _NAMED.findall(plain)]
    return all(name in names or _BEGINNING.sub("", name) in names for name in found)


def _without_unused_properties(styles: list[str], others: list[str]) -> list[str]:
    """The same without the values, pictures most of all, that are given a name and are not used by it anywhere."""
    used = {name for css in styles for name in re.findall(r"var\(\s*(--[\w-]+)", css)}
    used |= {name for text in others for name in re.findall(r"--[\w-]+", text)}
    return [_PROPERTY.sub(lambda found: found[0] if found[1] in used else "", css) for css in styles]


def _style(css: str, top: str, path: str) -> str:
    """A stylesheet as an element, with the addresses in it as they are from the page; `top` leads to the site's top."""
    folder = f"{top}{path.rpartition('/')[0]}/"
    return f"<style>{_URL.sub(lambda url: f'url({url[1]}{folder}', css)}</style>"
