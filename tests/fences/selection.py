"""Which pages the tests run: those that are named on pytest's command line, else all."""

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_PAGES = pytest.StashKey[list[Path]]()


def take_pages(config: pytest.Config) -> None:
    """Take Markdown files out of pytest's arguments, which it could not collect, for `selected_pages`.

    Raises `pytest.UsageError` for one that does not exist.
    """
    pages = [argument for argument in config.args if argument.endswith(".md")]
    config.args[:] = [argument for argument in config.args if argument not in pages]
    config.stash[_PAGES] = [config.invocation_params.dir / page for page in pages]
    for page in config.stash[_PAGES]:
        if not page.is_file():
            raise pytest.UsageError(f"there is no page {page}")


def selected_pages(config: pytest.Config) -> list[Path]:
    """The pages named on the command line, in that order; without any, all of docs/ by name."""
    return config.stash[_PAGES] or sorted(DOCS.rglob("*.md"))
