"""Finds the fences of a page by the very code that renders them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markdown import Markdown
from pymdownx.superfences import SuperFencesBlockPreprocessor  # type: ignore[import-untyped]

RUNNABLE = ("python", "yaml", "console")
"""Languages that are run."""
KUBECTL = "kubectl"
"""The reader who prefers kubectl, the value of `client` at fences for that reader; the other reader is ""."""
PYTHON_TAB = "Python"
"""The title of a tab for the other reader; that of a tab for the reader of kubectl is `KUBECTL`."""


def is_run(language: str, settings: Mapping[str, str]) -> bool:
    """Whether the tests run a fence, and readers can: a language that is run, and not marked `test="skip"`."""
    return language in RUNNABLE and "test" not in settings


def is_for(reader: str, language: str, settings: Mapping[str, str]) -> bool:
    """Whether a fence belongs to what one of the two readers of a page does."""
    return language != "python" if reader == KUBECTL else "client" not in settings


@dataclass(frozen=True)
class Rendered:
    """A fence as the renderer found it."""

    start: int
    """Index of the opening line."""
    end: int
    """Index of the line after the closing one."""
    indent: int
    """Columns before the backticks."""
    quoted: bool
    """Whether it stands in a blockquote."""
    language: str
    """The language, '' if there is none."""
    settings: dict[str, str]
    """The attributes."""

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return is_run(self.language, self.settings)


class _Recorder(SuperFencesBlockPreprocessor):  # type: ignore[misc]  # pymdownx has no types
    """The renderer's search for fences, which notes what it finds instead of rendering it."""

    found: list[Rendered]

    def process_nested_block(self, ws: str, content: str, start: int, end: int) -> None:
        """Note one."""
        settings = {key: str(value) for key, value in {**self.options, **self.attrs}.items()}
        self.found.append(Rendered(start, end, len(ws), ">" in self.ws, self.lang or "", settings))
        self.clear()


def rendered(lines: list[str]) -> Iterator[Rendered]:
    """The fences in the lines of a page, in its order, also those inside tabs, admonitions and lists."""
    markdown = Markdown(extensions=["attr_list", "pymdownx.superfences"])
    renderer: Any = markdown.preprocessors["fenced_code_block"]
    recorder = _Recorder(markdown)
    recorder.config, recorder.extension, recorder.found = renderer.config, renderer.extension, []
    recorder.run(list(lines))
    yield from sorted(recorder.found, key=lambda fence: fence.start)
