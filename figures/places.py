"""Where pages have figures: lines such as `<packet-journey policy="Local">What it shows.</packet-journey>`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^<([a-z]+(?:-[a-z]+)+)((?: [a-z]+=\"[^\"]*\")*)>(.*)</\1>$", re.MULTILINE)
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')


@dataclass(frozen=True)
class Placed:
    """A figure in a page."""

    name: str
    """The figure's name, which is that of its element."""
    chosen: Mapping[str, str]
    """What is chosen in it at first; the rest is its own first choice."""
    caption: str
    """What stands below it."""
    line: str
    """All of the line."""
    identifier: str
    """The element's id, another for each figure of a page."""


def placed(markdown: str) -> list[Placed]:
    """The figures of a page, in order."""
    return [
        Placed(found[1], dict(_ATTRIBUTE.findall(found[2])), found[3], found[0], f"{found[1]}-{number}")
        for number, found in enumerate(_LINE.finditer(markdown), start=1)
    ]


def linked(markdown: str, page: str) -> str:
    """A page's Markdown for readers elsewhere: in place of each figure a link to it, if the page's address is known."""
    for figure in placed(markdown):
        words = f"[Figure]({page}#{figure.identifier})" if page else "Figure on the site"
        markdown = markdown.replace(figure.line, f"{words}: {figure.caption}", 1)
    return markdown
