"""What MkDocs does beyond its plugins: output is marked, so that it looks like output."""

import re
from typing import Any

_PRINTED = re.compile(r'<span class="c1">(?=#&gt; )')
_OUTPUT = re.compile(r'<span class="go">.*?</span>')
_PLACEHOLDER = re.compile(r"&lt;(?!none|pending|unset|nil|unknown|invalid)[a-z][a-z0-9-]*&gt;")


def on_page_content(html: str, **_: Any) -> str:
    """Mark what a snippet printed: `#> …` lines by the class `printed`, placeholders in console output by `varies`."""
    html = _PRINTED.sub('<span class="c1 printed">', html)
    return _OUTPUT.sub(lambda output: _PLACEHOLDER.sub(r'<span class="varies">\g<0></span>', output[0]), html)
