"""Every program in examples/ runs on the cluster, prints what stands beside it, and leaves nothing behind."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import throwaway
from fences.compare import fail_on_difference
from fences.find import FenceError
from live import namespaces
from live.leftovers import Cluster

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DEADLINE = 240
"""Seconds that a program may take."""


def needs_of(program: Path) -> tuple[str, ...]:
    """The capabilities of a cluster that a program needs besides those of all; its docstring says "Needs: NAME"."""
    said = ast.get_docstring(ast.parse(program.read_text())) or ""
    return tuple(re.findall(r"^Needs: (\S+)$", said, re.MULTILINE))


@pytest.mark.cluster
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(each, id=str(each.relative_to(ROOT)), marks=pytest.mark.needs_capability(*needs_of(each)))
        for each in EXAMPLES
    ],
)
@pytest.mark.needs_capability("node-network", "ipv4", nodes=3)
def test_example(program: Path, throwaway_cluster: throwaway.Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    expected = program.with_suffix(".expected.txt")
    assert expected.exists(), f"{expected.relative_to(ROOT)} is missing; it holds what {program.name} prints"
    scratch = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(throwaway_cluster.kubeconfig, scratch, namespaces.of_others(program))
    before = cluster.at_rest()
    try:
        folder = tmp_path_factory.mktemp(program.stem)
        ran = subprocess.run([sys.executable, program], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
        what = "the program prints something else (- file, + now)"
        page = str(expected.relative_to(ROOT))
        fail_on_difference(what, page, 1, expected.read_text().splitlines(), ran.stdout.splitlines())
        assert not cluster.settle(before)
        assert not list(folder.iterdir())
    except FenceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    finally:
        assert not cluster.restore(before)
