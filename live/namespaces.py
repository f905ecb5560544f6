"""Namespaces of pages and tests that may run at the same time: nobody looks for leftovers in another's."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROOFS = "proof-"
"""How the namespaces of proofs begin."""
GUIDE = "my-page"
"""The namespace of the page that CONTRIBUTING.md makes, see test_contributing.py."""

_MADE = re.compile(
    r'create_namespace\(\s*\{"metadata": \{"name": "([a-z0-9-]+)"'
    r"|kubectl create namespace ([a-z0-9-]+)"
    r'|^NAMESPACE = "([a-z0-9-]+)"'
    r"|throwaway (lab) start ([a-z0-9]+)",
    re.MULTILINE,
)


def made_by(file: Path) -> set[str]:
    """The namespaces that a page, a notebook or a program makes."""
    text = file.read_text("utf-8")
    if file.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return {"-".join(filter(None, found)) for found in _MADE.findall(text)}


def has_lab(page: Path) -> bool:
    """Whether a Markdown file is the page of a lab, whose namespace `throwaway lab` makes."""
    return page.parent == ROOT / "docs/labs" and (ROOT / "labs" / f"{page.stem}.yaml").exists()


def makers() -> list[Path]:
    """All pages, notebooks and programs."""
    docs = ROOT / "docs"
    return [*docs.rglob("*.md"), *docs.rglob("*.ipynb"), *(ROOT / "examples").glob("*.py")]


def of_others(own: Path) -> list[str]:
    """Patterns of the namespaces that all tests but those of one page, notebook or program may make."""
    made = {GUIDE, *(name for file in makers() for name in made_by(file))}
    return [f"{PROOFS}*", *sorted(made - made_by(own))]
