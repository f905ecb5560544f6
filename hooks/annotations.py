"""Annotations of code: `# (2)!` behind a line becomes a number, which leads to that item of the list below the block.

The list stays where it is, so that all of it can be found, linked to and printed. The theme would put it into the code,
item by item as they are opened: a link to a claim there leads nowhere, and `Run` would take it for code. A number is
drawn by CSS, and so is no part of what is copied or run.
"""

import re
from itertools import count

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

_ANNOTATED = re.compile(
    r"(?P<code><code[^>]*>(?:(?!</code>).)*# \(1\)!</span>(?:(?!</code>).)*</code></pre></div>)\n"
    r"<ol>\n(?P<notes>.*?)</ol>",
    re.DOTALL,
)
_MARKER = re.compile(r'(?:<span class="w"> +</span>| +)?<span class="c1"># \((\d+)\)!</span>')


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Make the numbers and the items' anchors; ends the build with one line where a number has no item."""
    blocks = count(1)
    html = _ANNOTATED.sub(lambda found: _linked(found["code"], found["notes"], next(blocks)), html)
    if left := _MARKER.search(html):
        raise PluginError(
            f"docs/{page.file.src_uri}: the annotation ({left[1]}) has no item: they are numbered from 1 on, and a list"
            " of just as many items follows the block"
        )
    return html


def _linked(code: str, notes: str, block: int) -> str:
    numbers = count(1)
    items = re.sub(r"^<li>", lambda _: f'<li id="note-{block}-{next(numbers)}">', notes, flags=re.MULTILINE)
    made = next(numbers) - 1

    def number(marker: re.Match[str]) -> str:
        note = int(marker[1])
        if note > made:
            return marker[0]
        return f'<a class="code-note" href="#note-{block}-{note}" aria-label="Note {note}" data-note="{note}"></a>'

    return f'{_MARKER.sub(number, code)}\n<ol class="code-notes">\n{items}</ol>'
