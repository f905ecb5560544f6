"""A page of snippets as a notebook: each block that is run becomes a cell, with the output that the page shows.

Text stays Markdown; what only this site's renderer knows, such as boxes and tabs, becomes plain paragraphs. Of tabs for
readers of Python and of kubectl it has those of Python: a notebook is run by one reader.
"""

import posixpath
import re
from pathlib import PurePosixPath

from nbformat import NotebookNode, v4

from claims.find import MARK, REFERENCE
from figures import places
from live.fences import KUBECTL, PYTHON_TAB, Rendered, is_for, rendered
from live.shell import split

PREPARATIONS = '''\
# Commands stand in cells that begin with %%console. They share one bash:
# what one of them sets, the next one knows.
import contextlib
import shlex
import subprocess

from IPython.core.magic import register_cell_magic

_pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
_bash = subprocess.Popen(["bash"], **_pipes, stderr=subprocess.STDOUT, text=True)
_ASK_MODE = "throwaway exec worker1 -- curl -s http://127.0.0.1:10249/proxyMode"


def _run(commands):
    """What commands print."""
    with contextlib.suppress(BrokenPipeError):
        _bash.stdin.write(f"eval {shlex.quote(commands)} </dev/null; echo; echo _end_\\n")
        _bash.stdin.flush()
    lines = []
    for line in iter(_bash.stdout.readline, "_end_\\n"):
        if not line:
            raise RuntimeError("bash has ended; run the first cell again")
        lines.append(line)
    return "".join(lines).rstrip("\\n")


@register_cell_magic
def console(mode, commands):
    """Run commands; with a mode, only where kube-proxy is in it."""
    if mode and _run(_ASK_MODE) != mode:
        print(f"left out: it is for kube-proxy's mode {mode}")
    elif printed := _run(commands):
        print(printed)
'''
"""The first cell of code."""

COMMENT = re.compile(r"^<!--.*?-->\n", re.DOTALL | re.MULTILINE)
"""What only writers of a page are told."""
ANNOTATION = re.compile(r"# \((\d+)\)!$", re.MULTILINE)
"""The number of an annotation in code; elsewhere it stays a comment, `# (1)`."""
_CONTAINER = re.compile(r'(?P<indent> *)(?:!!!|\?\?\?\+?|===) *(?P<kind>\w*) *"(?P<title>.*)"\s*')
_FIGURE = re.compile(r"^<figure.*?^</figure>\n", re.DOTALL | re.MULTILINE)
_PREDICT = re.compile(r"^## Predict\b.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_ATTRIBUTES = re.compile(r" ?\{ [#.][^}\n]* \}")
_LINK = re.compile(r"(!?)\[([^]]*)\]\((?!https?:)([^)\s]+)\)")
_LEFT_OUT = ("Before you start", KUBECTL)
"""Titles of what is for others: how to try a page at Python's prompt, for which `_note` stands here; other tabs."""
_PLACE = re.compile(r"\s*\0(\d+)")
"""Where a fence was."""


def from_page(markdown: str, path: str, site: str) -> NotebookNode:
    """The notebook of a page; `path` is its file's in docs/, `site` the address of the site, if it has one."""
    lines = markdown.split("\n")
    fences = [fence for fence in rendered(lines) if fence.is_run and is_for("", fence.language, fence.settings)]
    for number, fence in reversed(list(enumerate(fences))):
        lines[fence.start : fence.end] = [f"{' ' * fence.indent}\0{number}"]
    text = places.linked("\n".join(lines), address("", path, site) if site else "")
    text = COMMENT.sub("", _FIGURE.sub("", _PREDICT.sub("", text)))
    source = markdown.split("\n")
    cells: list[NotebookNode] = []
    rest: list[str] = []
    for line in [*_flattened(text.split("\n")), "\0"]:
        if not line.startswith("\0") and not _PLACE.fullmatch(line):
            rest.append(line)
            continue
        if words := _plain("\n".join(rest), path, site).strip():
            cells.append(v4.new_markdown_cell(words))
        rest = []
        if place := _PLACE.fullmatch(line):
            fence = fences[int(place[1])]
            cells.append(_cell(fence, [each[fence.indent :] for each in source[fence.start + 1 : fence.end - 1]]))
    first = next((number for number, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    cells[first:first] = [v4.new_markdown_cell(_note(path, site)), v4.new_code_cell(PREPARATIONS.rstrip("\n"))]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook: NotebookNode = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    return notebook


def _cell(fence: Rendered, lines: list[str]) -> NotebookNode:
    """A fence's cell, with what the page says that it prints."""
    lines = [ANNOTATION.sub(r"# (\1)", line) for line in lines]
    if fence.language == "yaml":
        code, printed = [f"%%writefile {fence.settings['title']}", *lines], []
    elif fence.language == "python":
        code = [line for line in lines if not line.lstrip().startswith("#>")]
        printed = [line.lstrip()[2:].removeprefix(" ") for line in lines if line.lstrip().startswith("#>")]
    else:
        commands = split("\n".join(lines))
        mode = fence.settings.get("mode", "")
        code = [f"%%console {mode}".rstrip(), *(command.text.rstrip("\n") for command in commands)]
        printed = [line for command in commands for line in command.output]
    cell: NotebookNode = v4.new_code_cell("\n".join(code).strip("\n"))
    if printed:
        cell.outputs = [v4.new_output("stream", name="stdout", text="\n".join(printed) + "\n")]
    return cell


def _flattened(lines: list[str]) -> list[str]:
    """Lines without boxes and tabs: the title of each in bold type, and what is in it no longer indented."""
    flat: list[str] = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        container = _CONTAINER.fullmatch(line)
        if not container:
            flat.append(line)
            continue
        inside = []
        while rest and (not rest[0].strip() or rest[0].startswith(f"{container['indent']}    ")):
            inside.append(rest.pop(0)[4:])
        if container["title"] not in _LEFT_OUT:
            title = f"**{container['title']}**" if container["title"] != PYTHON_TAB else ""
            flat += ["", f"{container['indent']}{title}", "", *_flattened(inside)]
    return flat


def _plain(text: str, path: str, site: str) -> str:
    """Markdown as all renderers know it, with links that hold elsewhere."""
    text = re.sub(r"^</?p\b.*>\n?", "", text, flags=re.MULTILINE)
    for mark in (MARK, REFERENCE):
        text = mark.sub(rf"[✓]({site}proofs/#\1)" if site else "", text)
    text = re.sub(r"\n{3,}", "\n\n", _ATTRIBUTES.sub("", text))
    return _LINK.sub(lambda link: _link(link, path, site), text)


def _link(link: re.Match[str], path: str, site: str) -> str:
    if not site:
        return link[2]
    return f"{link[1]}[{link[2]}]({address(link[3], path, site)})"


def address(link: str, path: str, site: str) -> str:
    """Where a link of a page leads, from anywhere."""
    file, _, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
    place = PurePosixPath(target)
    if place.suffix in (".md", ".ipynb"):
        folder = place.parent if place.stem == "index" else place.with_suffix("")
        target = "" if str(folder) == "." else f"{folder}/"
    return f"{site}{target}{'#' if anchor else ''}{anchor}"


def _note(path: str, site: str) -> str:
    """What a reader has to know before running it."""
    page = f"[a page]({address('', path, site)})" if site else "a page"
    return (
        f"This notebook is {page} on Kubernetes Services. It runs from top to bottom on a `throwaway` cluster, in"
        " `throwaway shell`. Until then it shows the outputs that stand on the page. There, what differs from run to"
        " run stands in angle brackets, as in `<cluster-ip>`."
    )
