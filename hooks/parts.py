"""Parts of a page that are laid out when they come near the screen, or when a browser has nothing else to do.

Each gets an attribute, of which theme/main.html and docs/assets/site.css make use. Selectors that count children would
do without, but have a browser look at all of them again whenever one is added.
"""

import re

_PART = re.compile(r"^(?:<link[^>]*>)*<(?:p|ul|ol|dl|table|details|figure|div|[a-z]+-[a-z-]+)(?=[ >])", re.MULTILINE)


def on_page_content(html: str, **_: object) -> str:
    """Mark what stands below the first of a page's second headings, but for headings: those are led to."""
    top, heading, rest = html.partition("<h2")
    return top + heading + _PART.sub(r"\g<0> data-part", rest)
