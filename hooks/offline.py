"""The copy that is read from a disk (OFFLINE=true): links lead to files, and it asks no host for anything.

The site itself offers that copy for download, as the file OFFLINE_COPY.
"""

import os
import posixpath
import re
import shutil

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_FOLDER = re.compile(r'(?<=href=")((?!https?:)[^"#:]*)/(?=["#])')

_files: set[str] = set()


def on_config(config: MkDocsConfig) -> None:
    """Take our own copy of what the plugin would fetch from elsewhere; a copy has no address of its own."""
    if not config.use_directory_urls:
        config.extra["polyfills"] = ["assets/iframe-worker.js"]
        config.site_url = ""
    config.extra["offline"] = posixpath.basename(os.environ.get("OFFLINE_COPY", ""))


def on_post_build(config: MkDocsConfig) -> None:
    """Put the copy into the site."""
    if copy := os.environ.get("OFFLINE_COPY"):
        shutil.copy(copy, config.site_dir)


def on_files(files: Files, **_: object) -> None:
    """Note what files there will be."""
    _files.clear()
    _files.update(file.dest_uri for file in files)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Lead links that were made for folders, as in `../proofs/#id`, to the files that stand for them here."""
    return output if config.use_directory_urls else with_files(output, posixpath.dirname(page.url))


def with_files(html: str, here: str) -> str:
    """A page's HTML with such links; `here` is the page's folder."""
    return _FOLDER.sub(lambda link: _file(link[1], here), html)


def _file(path: str, here: str) -> str:
    target = posixpath.normpath(posixpath.join(here, path))
    return f"{path}.html" if f"{target}.html" in _files else f"{path}/index.html"
