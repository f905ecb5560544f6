"""Notebooks: what is stored comes from the code beside it, and holds on a cluster of today; pages as notebooks, too."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mkdocs.utils.meta import get_data

import throwaway
from fences.compare import fail_on_difference, reconcile
from fences.find import FenceError
from fences.placeholders import Placeholders
from live import namespaces
from live.leftovers import Cluster

if TYPE_CHECKING:  # nbformat takes more than a second, which all who collect tests would lose
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
PAGE = ROOT / "docs/kubernetes/resources/services.md"
"""The page that is executed as a notebook."""
COLUMNS = 88
"""What fits on the site without scrolling."""


def name(file: Path) -> str:
    """A notebook as messages show it."""
    return str(file.relative_to(ROOT))


def marks(file: Path) -> list[pytest.MarkDecorator]:
    """By `once` in its metadata kube-proxy's mode does not matter; by `disturbs` nothing else may run meanwhile."""
    metadata = json.loads(file.read_text("utf-8"))["metadata"]
    return [getattr(pytest.mark, mark) for mark in ("once", "disturbs") if metadata.get(mark)]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=name)
def test_the_stored_outputs_are_those_of_the_stored_code(file: Path) -> None:
    from notebooks import stored

    notebook = stored.read(file)
    assert stored.recorded(notebook).digest == stored.digest(notebook), (
        f"{name(file)}: code or outputs were changed since it was executed: ./dev notebooks -- {file.stem}"
    )


@pytest.mark.parametrize("file", NOTEBOOKS, ids=name)
def test_code_fits_on_the_page_and_plots_are_told_in_words(file: Path) -> None:
    from notebooks import stored

    notebook = stored.read(file)
    stored.check_shown(notebook, name(file))
    for cell in stored.code(notebook):
        assert max(map(len, cell.source.splitlines())) <= COLUMNS, cell.source
        for picture in stored.pictures(cell):
            assert len(picture.metadata["image/svg+xml"]["alt"].split()) > 10


def test_what_a_page_cannot_show_is_named() -> None:
    from nbformat import v4

    from notebooks import stored

    outputs = [v4.new_output("execute_result", {"text/plain": "2"})]
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# X"), v4.new_code_cell("1 + 1", outputs=outputs)])
    with pytest.raises(stored.NotShownError, match=r"^x\.ipynb, cell 2: show it by print\(\)"):
        stored.check_shown(notebook, "x.ipynb")


def test_a_notebook_that_there_is_not_is_named_in_one_line() -> None:
    command = [sys.executable, "-m", "notebooks", "no-such"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "tests"}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("there is no notebook no-such; there are ")


def test_a_change_of_code_or_output_is_noticed() -> None:
    from notebooks import stored

    notebook = stored.read(NOTEBOOKS[0])
    before = stored.digest(notebook)
    notebook.cells[0].source += " More words."
    assert stored.digest(notebook) == before
    cell = next(cell for cell in stored.code(notebook) if stored.printed(cell))
    cell.outputs[0].text += "more"
    changed = stored.digest(notebook)
    cell.source += "\n"
    assert len({before, changed, stored.digest(notebook)}) == 3


@pytest.mark.cluster
@pytest.mark.needs_capability("exec", "node-network", "ipv4", nodes=3)
@pytest.mark.parametrize("file", [pytest.param(each, id=name(each), marks=marks(each)) for each in NOTEBOOKS])
def test_a_notebook_shows_the_same_today(file: Path, throwaway_cluster: throwaway.Cluster, tmp_path: Path) -> None:
    from notebooks import stored

    run_and_compare(file, stored.read(file), throwaway_cluster, tmp_path)


def run_and_compare(file: Path, notebook: "NotebookNode", on: throwaway.Cluster, folder: Path) -> None:
    """Execute a notebook, or a page as a notebook; fail where it shows something else than before, or leaves something.

    `folder` is an empty one.
    """
    from notebooks.execute import execute

    cluster = Cluster(on.kubeconfig, folder, namespaces.of_others(file))
    before = cluster.at_rest()
    (work := folder / "work").mkdir()
    for measured in file.parent.glob("*.json"):
        shutil.copy(measured, work)
    old = copy.deepcopy(notebook)
    try:
        execute(notebook, work)
        compare(name(file), old, notebook)
        assert not cluster.settle(before)
    except FenceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    finally:
        assert not cluster.restore(before)


def compare(what: str, old: "NotebookNode", new: "NotebookNode") -> None:
    """Raise `FenceError` where a cell shows something else than is stored.

    Addresses and the like may vary, as on pages; so may all that is printed by a cell with the tag `varies`. The
    `assert`s in it say what must hold. Plots have to be there.
    """
    from notebooks import stored

    placeholders = Placeholders()
    for number, (before, now) in enumerate(zip(stored.code(old), stored.code(new), strict=True), start=1):
        place = f"{what}, cell {number} of code"
        assert [set(each.data) for each in stored.pictures(before)] == [set(each.data) for each in stored.pictures(now)]
        if "varies" in before.metadata.get("tags", ()):
            continue
        expected = placeholders.insert(stored.printed(before), "")
        lines = reconcile(expected, stored.printed(now), placeholders)
        fail_on_difference("it shows something else (- stored, + now)", place, 1, expected, lines)


def notebook_of(page: Path, site: str = "") -> "NotebookNode":
    """The notebook of a page, as the site offers it."""
    from notebooks.from_page import from_page

    markdown, _ = get_data(page.read_text("utf-8"))
    return from_page(markdown, str(page.relative_to(ROOT / "docs")), site)


def test_the_site_offers_each_page_of_snippets_as_a_notebook(built_site: Path) -> None:
    import nbformat

    from notebooks import stored

    for page in (ROOT / "docs").rglob("*.md"):
        file = (built_site / page.relative_to(ROOT / "docs")).with_suffix(".ipynb")
        names = namespaces.made_by(page)
        assert file.exists() == (bool(names) and not any(each.startswith("lab-") for each in names))
        if file.exists():
            html = built_site / page.relative_to(ROOT / "docs").with_suffix("") / "index.html"
            assert f'href="../{file.name}"' in html.read_text("utf-8")
            nbformat.validate(nbformat.read(file, stored.VERSION))
    assert nbformat.read((built_site / PAGE.relative_to(ROOT / "docs")).with_suffix(".ipynb"), 4) == notebook_of(PAGE)


def test_a_page_becomes_cells_with_the_outputs_it_shows() -> None:
    from notebooks import stored
    from notebooks.from_page import from_page

    page = """# Page

<p class="lead" markdown>
A Service [✓](proof:a-b). See [x](../y.md#z){ .more }.
</p>

```python
print(1)
#> 1
```

=== "nftables"

    So:

    ``` { .console mode="nftables" }
    $ echo a \\
    > b
    a b
    ```

=== "Python"

    In Python:

    ```python
    print(2)
    #> 2
    ```

=== "kubectl"

    With kubectl:

    ``` { .console client="kubectl" }
    $ echo 2
    2
    ```

```yaml title="a.yaml"
kind: X # (1)!
```

1. Its kind.

<a-figure way="back">What it shows.</a-figure>

<!-- written by a test -->
``` { .console test="skip" reason="no" }
$ false
```
"""
    notebook = from_page(page, "a/b.md", "https://x.org/")
    title, _, prepare, python, tab, console, words, chosen, yaml, rest = notebook.cells
    assert title.source == "# Page\n\nA Service [✓](https://x.org/proofs/#a-b). See [x](https://x.org/y/#z)."
    assert "def console" in prepare.source
    assert (python.source, stored.printed(python)) == ("print(1)", ["1"])
    assert tab.source == "**nftables**\n\nSo:"
    assert (console.source, stored.printed(console)) == ("%%console nftables\necho a \\\nb", ["a b"])
    assert words.source == "In Python:", "of two ways of doing the same, a notebook has one"
    assert (chosen.source, stored.printed(chosen)) == ("print(2)", ["2"])
    assert yaml.source == "%%writefile a.yaml\nkind: X # (1)"
    figure = "[Figure](https://x.org/a/b/#a-figure-1): What it shows."
    assert rest.source == f"1. Its kind.\n\n{figure}\n\n```\n$ false\n```"


def test_a_downloaded_notebook_says_so_when_its_bash_has_ended() -> None:
    from notebooks.from_page import PREPARATIONS

    code = f"{PREPARATIONS}\nget_ipython().run_cell_magic('console', '', 'exit 3')"
    done = subprocess.run([sys.executable, "-m", "IPython", "-c", code], capture_output=True, text=True, timeout=120)
    assert "bash has ended; run the first cell again" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("", "a/b/"),
        ("#c", "a/b/#c"),
        ("index.md", "a/"),
        ("../index.md#d", "#d"),
        ("../n/o.ipynb", "n/o/"),
        ("p.json", "a/p.json"),
    ],
)
def test_links_of_a_page_lead_to_the_site(link: str, leads_to: str) -> None:
    from notebooks.from_page import address

    assert address(link, "a/b.md", "https://x.org/") == f"https://x.org/{leads_to}"


@pytest.mark.cluster
@pytest.mark.once
@pytest.mark.needs_capability("exec", "node-network", "ipv4", nodes=3)
@pytest.mark.xdist_group(name(PAGE))  # not while the page itself is run, which has the same namespace
def test_a_page_runs_as_a_notebook(throwaway_cluster: throwaway.Cluster, tmp_path: Path) -> None:
    from notebooks import stored

    notebook = notebook_of(PAGE)
    for cell in stored.code(notebook):
        if cell.source.startswith("%%writefile"):
            cell.metadata["tags"] = ["varies"]  # it says that it writes
    run_and_compare(PAGE, notebook, throwaway_cluster, tmp_path)
