"""Notebooks as pages in the site's own look, and pages of snippets as notebooks for download.

The plugin mkdocs-jupyter makes pages of notebooks. Rendered by it, each would bring 0.6 MB of styles, colours of its
own, and a script from another host. So a notebook becomes Markdown here, and goes the way of all pages.
"""

import re
import sys
from html import escape
from pathlib import Path
from textwrap import indent

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils.meta import get_data
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from live import namespaces  # noqa: E402
from notebooks import stored  # noqa: E402
from notebooks.from_page import from_page  # noqa: E402

_ID = re.compile(r' id="([^"]*)"')
_USED = re.compile(r'(?:url\(|href=")#([^")]*)')
_BLACK = re.compile(r"#000000\b|\bblack\b")

_downloads: dict[str, str] = {}
"""Notebooks that are offered: path in the site → the file's text."""


def on_files(files: Files, **_: object) -> None:
    """Forget those of an earlier build."""
    _downloads.clear()


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **__: object) -> str:
    """Have MkDocs render a notebook as it renders pages, and make one of each page of snippets."""
    if has_snippets(Path(str(page.file.abs_src_path))):
        text, _ = get_data(page.file.content_string)
        _offer(page, page.file.src_uri.removesuffix(".md"), from_page(text, page.file.src_uri, config.site_url or ""))
    if not page.file.src_uri.endswith(".ipynb"):
        return markdown
    notebook = nbformat.reads(markdown, stored.VERSION)
    if "recorded" not in notebook.metadata:
        name = Path(page.file.src_uri).stem
        raise PluginError(f"docs/{page.file.src_uri} was not executed yet: ./dev notebooks -- {name}")
    try:
        stored.check_shown(notebook, f"docs/{page.file.src_uri}")
    except stored.NotShownError as error:
        raise PluginError(str(error)) from None
    page.meta.update({name: notebook.metadata[name] for name in ("title", "description")})
    _offer(page, page.file.src_uri.removesuffix(".ipynb"), notebook)
    vars(page).pop("render", None)  # the plugin's
    return as_markdown(notebook)


def on_post_build(config: MkDocsConfig) -> None:
    """Write those that are offered."""
    for path, text in _downloads.items():
        file = Path(config.site_dir, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def has_snippets(file: Path) -> bool:
    """Whether a page can be run from top to bottom: it has a namespace of its own. A lab would mend itself."""
    return file.suffix == ".md" and any(not name.startswith("lab-") for name in namespaces.made_by(file))


def _offer(page: Page, name: str, notebook: NotebookNode) -> None:
    page.meta["notebook"] = f"{name}.ipynb"
    _downloads[f"{name}.ipynb"] = f"{nbformat.writes(notebook, stored.VERSION)}\n"


def as_markdown(notebook: NotebookNode) -> str:
    """The notebook as a page; below its title, when and on what its outputs were made."""
    title, *rest = [part for cell in notebook.cells for part in _parts(cell)]
    made = stored.recorded(notebook)
    note = (
        f"*Executed on {made.when} on a cluster with Kubernetes {made.kubernetes}, kube-proxy in {made.mode} mode. The"
        " outputs below are those of that run.*"
    )
    heading, _, text = title.partition("\n")
    return "\n\n".join([heading, text.strip(), note, *rest])


def _parts(cell: NotebookNode) -> list[str]:
    """A cell and its outputs as Markdown."""
    if cell.cell_type == "markdown":
        return [cell.source]
    source = _fence("python", cell.source)
    if "setup" in cell.metadata.get("tags", ()):
        source = '??? abstract "Preparations"\n\n' + indent(source, "    ")
    parts = [source]
    if printed := stored.printed(cell):
        parts.append(_fence("text .output .no-copy", "\n".join(printed)))
    for output in stored.pictures(cell):
        text = output.metadata["image/svg+xml"]["alt"]
        parts.append(f'<figure class="plot">{drawing(output.data["image/svg+xml"], text)}</figure>')
    return parts


def _fence(language: str, text: str) -> str:
    return f"``` {{ .{language} }}\n{text}\n```"


def drawing(svg: str, text: str) -> str:
    """A plot of Matplotlib's for a page of any colour: what is black has the colour of the text, what is white none.

    `text` is for those who do not see it. Names inside are left out, but for those that are used: several plots on a
    page have the same.
    """
    inside = svg[svg.index("<svg") :]
    inside = re.sub(r"<metadata>.*?</metadata>", "", inside, flags=re.DOTALL)
    used = set(_USED.findall(inside))
    inside = _ID.sub(lambda name: name[0] if name[1] in used else "", inside)
    inside = _BLACK.sub("currentColor", inside).replace("#ffffff", "none")
    inside = re.sub(r' (?:width|height)="[^"]*pt"', "", inside)
    inside = re.sub(r"(\.\d\d)\d+", r"\1", inside)  # a hundredth of a point will do
    inside = inside.replace("<svg", f'<svg role="img" aria-label="{escape(text)}" fill="currentColor"', 1)
    return "".join(line.strip() + " " for line in inside.splitlines())
