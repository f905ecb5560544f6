"""What CONTRIBUTING.md tells a new contributor to do is done: a page is made, and its examples are put into it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
import yaml
from kubernetes import config

import sharing
from claims.find import ClaimError, claims_and_proofs
from contribute.new_page import FOLDER, NewPageError, new_page, with_page
from fences.find import find_fences
from figures import drawing, places, recordings
from figures.recordings import Recording
from live import namespaces
from proofs.world import new_namespace
from throwaway import Cluster

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
NAME = namespaces.GUIDE
PROOF = Path("tests/proofs/test_my_page.py")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what a new page is put into."""
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / PROOF.parent).mkdir(parents=True)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def follow(clone: Path) -> Path:
    """Make the page, put the guide's examples into it, and write the proof; returns the page."""
    page = clone / new_page(NAME, clone)
    examples = re.findall(r"^````markdown\n(.*?)^````\n", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 9
    text, heading, rest = page.read_text().partition("## Clean up\n")
    page.write_text("\n".join([text.rstrip() + "\n", *examples, heading + rest]))
    write(clone, PROOF)
    return page


def in_two_ways(clone: Path) -> Path:
    """Make the page, and put the guide's tabs in place of its Python fence, which does the same."""
    page = clone / new_page(NAME, clone)
    (tabs,) = re.findall(r"^`````markdown\n(.*?)^`````\n", GUIDE, re.MULTILINE | re.DOTALL)
    python = re.search(r"^```python\n.*?^```\n", page.read_text(), re.MULTILINE | re.DOTALL)
    assert python and textwrap.indent(python[0], "    ") in tabs
    page.write_text(page.read_text().replace(python[0], tabs))
    return page


def run(clone: Path, page: Path, *tests: Path) -> "subprocess.CompletedProcess[str]":
    """Run a page of a clone, and tests there."""
    # Those stand outside of tests/proofs, so what tests there are given has to be named.
    given = ["--noconftest", "-p", "conftest", "-p", "proofs.conftest", "-c", "pyproject.toml", f"--rootdir={ROOT}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *given, page, "tests/test_pages.py", *tests],
        cwd=ROOT,
        env=os.environ | {sharing.ALONE: "1", "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def write(clone: Path, path: Path) -> Path:
    """Write a file of which the guide has the whole text, the next block behind its name; returns where it is."""
    shown = re.search(rf"`{re.escape(str(path))}`.*?\n\n```[a-z]+\n(.*?)^```\n", GUIDE, re.MULTILINE | re.DOTALL)
    assert shown, path
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(shown[1])
    return clone / path


def test_a_new_page_stands_in_the_navigation_behind_its_neighbours(clone: Path) -> None:
    page = new_page("session-affinity", clone)
    lines = (clone / "mkdocs.yml").read_text().splitlines()
    here = lines.index("          - Session affinity: kubernetes/resources/session-affinity.md")
    assert lines[here - 1].startswith("          - ")
    assert lines[here + 1].startswith("      - ")
    assert "# Session affinity\n" in (clone / page).read_text()
    assert len(find_fences(clone / page)) == 3


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("My Page", "'My Page' is no name of a page; it is './dev new page NAME'"),
        ("there-already", "there is docs/kubernetes/resources/there-already.md already; take another name"),
        ("nodeport", "services-nodeport.md makes a namespace nodeport, which the page would too"),
    ],
)
def test_what_cannot_be_a_page_is_refused_and_nothing_is_changed(clone: Path, name: str, complaint: str) -> None:
    (clone / FOLDER / "there-already.md").write_text("# There\n")
    before = (clone / "mkdocs.yml").read_text()
    with pytest.raises(NewPageError, match=re.escape(complaint)):
        new_page(name, clone)
    assert (clone / "mkdocs.yml").read_text() == before


def test_a_navigation_without_the_section_is_refused() -> None:
    with pytest.raises(NewPageError, match="the navigation has no section 'How it works'"):
        with_page("nav:\n  - Start: index.md\n", "New", FOLDER / "new.md")


def test_the_guides_claims_have_their_proofs(clone: Path) -> None:
    page = follow(clone)
    claims, proofs = claims_and_proofs(clone)
    assert [claim.id for claim in claims] == ["my-page-default-type", "my-page-address-first"]
    assert len(proofs) == 2
    (clone / PROOF).unlink()
    with pytest.raises(
        ClaimError, match=rf"{page.name}:\d+: the claim my-page-address-first has no proof, .* write one"
    ):
        claims_and_proofs(clone)


def test_the_guide_names_commands_that_there_are() -> None:
    sessions = set(re.findall(r"^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE))
    named = set(re.findall(r"\./dev ([a-z]+)", GUIDE))
    assert {"build", "new", "record", "test", "check"} <= named <= sessions


@pytest.mark.cluster
@pytest.mark.once
@pytest.mark.xdist_group(NAME)  # they have the same namespace
def test_the_guides_page_and_its_proof_pass(clone: Path) -> None:
    page = follow(clone)
    ran = run(clone, page, clone / PROOF)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    fences = len([fence for fence in find_fences(page) if fence.is_run])
    assert re.search(rf"\b{fences + 1} passed, 2 skipped", ran.stdout), ran.stdout


@pytest.mark.cluster
@pytest.mark.once
@pytest.mark.xdist_group(NAME)  # they have the same namespace
def test_the_guides_page_in_two_ways_passes_for_each_reader(clone: Path) -> None:
    page = in_two_ways(clone)
    python, kubectl, shared, last = find_fences(page)
    assert [fence.is_for("") for fence in (python, kubectl, shared, last)] == [True, False, True, True]
    ran = run(clone, page)
    assert re.search(r"\b7 passed in", ran.stdout), ran.stdout + ran.stderr


@pytest.mark.cluster
@pytest.mark.once
def test_the_guides_figure_is_recorded_and_drawn(clone: Path, throwaway_cluster: Cluster) -> None:
    scenario = write(clone, Path("figures/scenarios/my_figure.py"))
    for path in ("figures/schemas/my-figure.json", f"{drawing.SCRIPTS}/my-figure.js"):
        write(clone, Path(path))
    shutil.copy(ROOT / drawing.SCRIPTS / "figure.js", clone / drawing.SCRIPTS)
    (clone / "docs/figures").mkdir()
    spec = importlib.util.spec_from_file_location("my_figure", scenario)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config.load_kube_config(str(throwaway_cluster.kubeconfig))
    with new_namespace(f"{namespaces.PROOFS}{uuid.uuid4().hex[:8]}") as own:
        seen = module.record(throwaway_cluster, own)
    recordings.write("my-figure", {"nftables": Recording("v1.37.2", "nftables", "2026-01-02T03:04Z", own, seen)}, clone)
    (placed,) = places.placed(GUIDE)
    assert seen["address"] in drawing.html(placed, clone)


def test_a_broken_link_fails_the_build_and_is_named_with_its_page(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Start\n\n[A](nowhere.md) [B](#no-such-heading)\n")
    mine = {"docs_dir": "docs", "nav": ["index.md"], "hooks": [], "plugins": [], "theme": {"custom_dir": str(tmp_path)}}
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\n{yaml.safe_dump(mine)}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "'index.md' contains a link 'nowhere.md', but the target is not found" in ran.stderr
    assert "'index.md' contains a link '#no-such-heading', but there is no such anchor" in ran.stderr
