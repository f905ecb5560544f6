"""Notebooks: what is stored comes from the code beside it, and holds on a cluster of today."""

from pathlib import Path

import pytest
from nbformat import NotebookNode

import throwaway
from fences.compare import fail_on_difference, reconcile
from fences.find import FenceError
from fences.placeholders import Placeholders
from live import namespaces
from live.leftovers import Cluster
from notebooks import stored
from notebooks.execute import execute

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(stored.FOLDER.glob("*.ipynb"))
COLUMNS = 88
"""What fits on the site without scrolling."""


def name(file: Path) -> str:
    """A notebook as messages show it."""
    return str(file.relative_to(ROOT))


def marks(file: Path) -> list[pytest.MarkDecorator]:
    """`once: true` in its metadata says that kube-proxy's mode does not matter."""
    return [pytest.mark.once] if stored.read(file).metadata.get("once") else []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=name)
def test_the_stored_outputs_are_those_of_the_stored_code(file: Path) -> None:
    notebook = stored.read(file)
    assert stored.recorded(notebook).digest == stored.digest(notebook), (
        f"{name(file)}: code or outputs were changed since it was executed: ./dev notebooks -- {file.stem}"
    )


@pytest.mark.parametrize("file", NOTEBOOKS, ids=name)
def test_code_fits_on_the_page_and_plots_are_told_in_words(file: Path) -> None:
    for cell in stored.code(stored.read(file)):
        assert max(map(len, cell.source.splitlines())) <= COLUMNS, cell.source
        for picture in stored.pictures(cell):
            assert len(picture.metadata["image/svg+xml"]["alt"].split()) > 10


def test_a_change_of_code_or_output_is_noticed() -> None:
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
    cluster = Cluster(throwaway_cluster.kubeconfig, tmp_path, namespaces.of_others(file))
    before = cluster.at_rest()
    (work := tmp_path / "work").mkdir()
    old, new = stored.read(file), stored.read(file)
    try:
        execute(new, work)
        compare(name(file), old, new)
        assert not cluster.settle(before)
    except FenceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    finally:
        assert not cluster.restore(before)


def compare(what: str, old: NotebookNode, new: NotebookNode) -> None:
    """Raise `FenceError` where a cell shows something else than is stored.

    Addresses and the like may vary, as on pages; so may all that is printed by a cell with the tag `varies`. The
    `assert`s in it say what must hold. Plots have to be there.
    """
    for number, (before, now) in enumerate(zip(stored.code(old), stored.code(new), strict=True), start=1):
        place = f"{what}, cell {number} of code"
        assert [set(each.data) for each in stored.pictures(before)] == [set(each.data) for each in stored.pictures(now)]
        if "varies" in before.metadata.get("tags", ()):
            continue
        placeholders = Placeholders()
        expected = placeholders.insert(stored.printed(before), "")
        lines = reconcile(expected, stored.printed(now), placeholders)
        fail_on_difference("it shows something else (- stored, + now)", place, 1, expected, lines)
