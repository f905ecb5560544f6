"""What MkDocs does beyond its plugins: output is marked, so that it looks like output."""

import re
from typing import Any

_PRINTED = re.compile(r'<span class="c1">(?=#&gt; )')
_OUTPUT = re.compile(r'<span class="go">(.*?)</span>')
_PLACEHOLDER = re.compile(r"&lt;(?!none|pending|unset|nil|unknown|invalid)[a-z][a-z0-9-]*&gt;")


def on_page_content(html: str, **_: Any) -> str:
    """Mark what snippets printed.

    A `#> …` line gets the class `printed`; a line of console output that has columns, and so must not be
    wrapped, `columns`; a placeholder in it, `varies`.
    """
    return _OUTPUT.sub(_mark_output, _PRINTED.sub('<span class="c1 printed">', html))


def _mark_output(output: re.Match[str]) -> str:
    text = _PLACEHOLDER.sub(r'<span class="varies">\g<0></span>', output[1])
    return f'<span class="go{" columns" if "  " in text.strip() else ""}">{text}</span>'
