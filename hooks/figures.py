"""Figures from recorded traffic: a line such as `<packet-journey>What it shows.</packet-journey>` becomes the figure.

Its recording is put into the page, since a page that is read from a disk may not fetch anything, and so are its styles:
nothing moves when they come. Its script is asked for by docs/assets/figures.js on pages that have one.
"""

import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from figures import drawing, places  # noqa: E402
from figures.recordings import RecordingError  # noqa: E402


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Keep the place of each figure, which Markdown is to leave as it is."""
    for number, figure in enumerate(places.placed(markdown)):
        markdown = markdown.replace(figure.line, _place(number), 1)
    return markdown


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put the figures there."""
    styles = f"{'../' * page.url.count('/')}assets/figures"
    styled: set[str] = set()
    for number, figure in enumerate(places.placed(page.file.content_string)):
        try:
            drawn = drawing.html(figure)
        except RecordingError as error:
            raise PluginError(f"{page.file.src_uri}: {figure.line}: {error}") from None
        for name in (figure.name, "figure"):  # in this order, since each goes in front
            if name not in styled and (ROOT / drawing.SCRIPTS / f"{name}.css").exists():
                styled.add(name)
                drawn = f'<link rel="stylesheet" href="{styles}/{name}.css">{drawn}'  # see hooks/styles.py
        html = html.replace(_place(number), drawn)
    return html


def on_serve(server: Any, **_: Any) -> Any:
    """Build anew when how figures are drawn changes, too."""
    server.watch(str(ROOT / "figures"))
    return server


def _place(number: int) -> str:
    return f'<div data-figure="{number}"></div>'
