"""A site for each minor release of Kubernetes: all list the others, and older ones lead to the newest.

So readers do, by a note, and so do search engines: a page's address is that which it has in the newest release.
"""

import os
from urllib.parse import urljoin

from mkdocs.config.defaults import MkDocsConfig

NEWEST = "latest"
"""mike's name of the newest release; the site's first page leads to it."""


def on_config(config: MkDocsConfig) -> None:
    """Have the theme ask for the list of releases, where mike builds: elsewhere there is none."""
    if release := os.environ.get("MIKE_DOCS_VERSION"):
        config.extra["version"] = {"provider": "mike", "default": NEWEST, "here": release}
        if config.site_url:
            config.site_url = urljoin(config.site_url, f"{NEWEST}/")  # mike has put the release there
