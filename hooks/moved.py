"""Addresses stay: a page that was moved, or taken away, leads from where it was to where its story is told now."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from hooks import dates  # noqa: E402

log = logging.getLogger("mkdocs.hooks.moved")


def lost(ever: Iterable[str], now: Iterable[str], leads: Iterable[str]) -> list[str]:
    """The pages that once were and are no more, but for those from which something leads on."""
    return sorted({path for path in ever if path.endswith(".md")} - {*now} - {*leads})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Warn of each, which fails a strict build. Where git knows no history, there is nothing to be found."""
    leads = config.plugins["redirects"].config["redirect_maps"]
    for path in lost(dates.read(ROOT / "docs"), (file.src_uri for file in files), leads):
        log.warning(f"docs/{path} was a page once: have it lead to another, by redirect_maps in mkdocs.yml")
