"""Makes a page that passes its test and `./dev check` at once, for its author to go on from.

./dev new page NAME
"""

import re
import sys
from pathlib import Path
from string import Template

from live import namespaces

ROOT = Path(__file__).parents[1]
FOLDER = Path("docs/kubernetes/resources")
TEMPLATE = Path(__file__).with_name("page.md")
_SECTION = re.compile(r"^( *)- How it works:\n(?:\1 +- .*\n)+", re.MULTILINE)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_USAGE = "it is './dev new page NAME', where NAME is as in 'session-affinity'"


class NewPageError(Exception):
    """No page was made; the message is one line that says why, and what to do."""


def new_page(name: str, root: Path) -> Path:
    """Make a page and its entry in the navigation; returns its path in the repository."""
    if not _NAME.fullmatch(name):
        raise NewPageError(f"{name!r} is no name of a page; {_USAGE}")
    page = FOLDER / f"{name}.md"
    if (root / page).exists():
        raise NewPageError(f"there is {page} already; take another name, or change that page")
    if taken := [file for file in namespaces.makers() if name in namespaces.made_by(file)]:
        raise NewPageError(f"{taken[0].name} makes a namespace {name}, which the page would too; take another name")
    title = name.replace("-", " ").capitalize()
    configuration = root / "mkdocs.yml"
    changed = with_page(configuration.read_text("utf-8"), title, page)
    (root / page).write_text(Template(TEMPLATE.read_text("utf-8")).safe_substitute(name=name, title=title), "utf-8")
    configuration.write_text(changed, "utf-8")
    return page


def with_page(configuration: str, title: str, page: Path) -> str:
    """The text of mkdocs.yml with a page at the end of the section `How it works`."""
    section = _SECTION.search(configuration)
    if not section:
        raise NewPageError("mkdocs.yml: the navigation has no section 'How it works' to put the page in")
    indent = re.findall(r"^ *", section[0], re.MULTILINE)[1]
    entry = f"{indent}- {title}: {page.relative_to('docs')}\n"
    return configuration[: section.end()] + entry + configuration[section.end() :]


def main() -> None:
    """Do what the command line says; a slip ends it with one line."""
    try:
        if len(sys.argv) != 3 or sys.argv[1] != "page":
            raise NewPageError(_USAGE)
        page = new_page(sys.argv[2], ROOT)
    except NewPageError as error:
        sys.exit(f"new page: {error}")
    print(f"""
Made {page}, and its entry in mkdocs.yml.
Its title and its place in the navigation are yours to change. Then:

    ./dev test -- {page}
    ./dev check
""")


if __name__ == "__main__":
    main()
