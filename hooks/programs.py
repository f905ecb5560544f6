"""The programs in examples/: a page lists them by what they say of themselves, and pages that name one lead there."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

_LIST = "<!-- examples -->"
_NAMED = re.compile(r"<code>examples/([a-z0-9_-]+)\.py</code>(?!</a>)")


@dataclass(frozen=True)
class Program:
    """A program in examples/."""

    name: str
    """The name of its file, without `.py`."""
    title: str
    """The first line of its docstring, without what is the same in all."""
    says: str
    """The second paragraph of its docstring."""
    source: str
    prints: str
    """What it prints, by the file beside it."""
    pages: dict[str, str]
    """The pages that name it, by their path in docs/ → their title."""


def programs(root: Path) -> list[Program]:
    """All programs, by name. Raises `ValueError` for one that says too little of itself, or that no page names."""
    texts = {page.relative_to(root / "docs"): page.read_text("utf-8") for page in (root / "docs").glob("**/*.md")}
    found = []
    for file in sorted((root / "examples").glob("*.py")):
        source = file.read_text("utf-8")
        paragraphs = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")
        if len(paragraphs) < 2:
            raise ValueError(f"examples/{file.name}: its docstring has to say in a line what it is, then what it shows")
        mention = f"examples/{file.name}"
        pages = {
            str(page): next(line[2:] for line in text.splitlines() if line.startswith("# "))
            for page, text in sorted(texts.items())
            if f"`{mention}`" in text
        }
        if not pages:
            raise ValueError(f"{mention}: no page says that its story is told by this program")
        prints = file.with_suffix(".expected.txt").read_text("utf-8")
        title, says = paragraphs[0].rstrip(".").removesuffix(", as one program"), " ".join(paragraphs[1].split())
        found.append(Program(file.stem, title, says, source, prints, pages))
    return found


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put all programs into the page that lists them."""
    if _LIST not in markdown:
        return markdown
    return markdown.replace(_LIST, "\n\n".join(_listed(each) for each in programs(ROOT)))


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Have pages that name a program lead to it."""
    here = f"{'../' * page.url.count('/')}examples/"
    return _NAMED.sub(rf'<a href="{here}#\1">\g<0></a>', html)


def on_serve(server: Any, **_: Any) -> Any:
    """Build anew when a program changes, too."""
    server.watch(str(ROOT / "examples"))
    return server


def _listed(program: Program) -> str:
    pages = ", ".join(f"[{title}]({page})" for page, title in program.pages.items())
    return "\n".join(
        (
            f"## {program.title} {{ #{program.name} }}",
            "",
            program.says,
            "",
            f"Its page: {pages}.",
            "",
            "<div data-search-exclude markdown>",
            "",
            f'??? example "examples/{program.name}.py"',
            "",
            *_fenced("python", program.source),
            "",
            '??? example "What it prints"',
            "",
            *_fenced("text", program.prints),
            "",
            "</div>",
        )
    )


def _fenced(language: str, text: str) -> list[str]:
    """A fence within a box."""
    return [f"    {line}".rstrip() for line in (f"``` {language}", *text.rstrip().splitlines(), "```")]
