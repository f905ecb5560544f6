"""What GitHub runs: the workflows' own small parts, which would otherwise be tried on a release only."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mkdocs.config.defaults import MkDocsConfig

from hooks import releases
from throwaway import bundle, requirements

ROOT = Path(__file__).parents[1]
MADE = ("dist/", "public/", "site/", "site-screenshots/")
"""Folders that steps of a workflow make for those after them."""


def test_a_fresh_machine_is_given_all_packages_that_the_cluster_asks_for() -> None:
    script = (ROOT / ".devcontainer/prepare.sh").read_text()
    listed = re.search(r'^packages="\n(.*?)^"', script, re.MULTILINE | re.DOTALL)
    assert listed
    programs = requirements._PROGRAMS + requirements._PROGRAMS_OF_AN_ACCOUNT + requirements._OPTIONAL_PROGRAMS
    assert set(listed[1].split()) == {program.packages[0] for program in programs} | {"python3-venv"}


def test_a_release_pins_its_bundles_where_they_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pins", ROOT / ".github/pins.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    printed = [
        json.dumps({key: {"url": f"https://…/throwaway-{key}.tar.gz", "sha256": "0" * 64, "bytes": 7}})
        for key in ("amd64-1", "arm64-2")
    ]
    file = tmp_path / "bundles.json"
    file.write_text(json.dumps(module.pins(printed, "https://example.com/v1")))
    monkeypatch.setattr(bundle, "PINS", file)
    pinned = bundle.pinned("arm64-2")
    assert pinned == bundle.Bundle("https://example.com/v1/throwaway-arm64-2.tar.gz", "0" * 64, 7)
    assert bundle.pinned("amd64-1")


def test_only_a_published_site_asks_for_the_list_of_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIKE_DOCS_VERSION", raising=False)
    config = MkDocsConfig()
    config.load_dict({"extra": {}})
    releases.on_config(config)
    assert "version" not in config.extra
    monkeypatch.setenv("MIKE_DOCS_VERSION", "1.37")
    releases.on_config(config)
    assert config.extra["version"] == {"provider": "mike", "default": "latest", "here": "1.37"}


def test_a_published_release_leads_to_the_newest(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True, text=True).stdout

    if not (ROOT / ".git").exists():
        pytest.skip("a site is published from a clone, and this is none")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    programs = Path(sys.executable).parent
    who = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    settings = {
        **os.environ,
        **who,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SITE_URL": "https://example.org/services/",
    }
    for command in (["deploy", "--update-aliases", "1.1", "latest"], ["set-default", "latest"]):
        subprocess.run([programs / "mike", *command], cwd=clone, env=settings, check=True, capture_output=True)
    assert git("ls-tree", "gh-pages", "latest").startswith("120000 ") and git("show", "gh-pages:latest") == "1.1"
    assert json.loads(git("show", "gh-pages:versions.json"))[0]["aliases"] == ["latest"]
    assert '<a href="latest/">' in git("show", "gh-pages:index.html")
    assert '"base": "/services/latest/"' in git("show", "gh-pages:1.1/404.html")
    page = git("show", "gh-pages:1.1/labs/ready/index.html")
    assert '<link rel="canonical" href="https://example.org/services/latest/labs/ready/">' in page
    assert re.search(r'about Kubernetes 1\.1, .*?<a href="\.\./\.\./\.\./latest/labs/ready/">', page, re.DOTALL)


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.stem)
def test_a_workflow_names_commands_and_files_that_there_are(file: Path) -> None:
    text = file.read_text()
    sessions = re.findall(r"^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    assert set(re.findall(r"\./dev (\w+)", text)) <= {*sessions}
    workflow = yaml.safe_load(text)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    runs = "\n".join(step.get("run", "") for step in steps)
    named = re.findall(r"(?<![\w$./-])[\w./-]+\.(?:py|sh|toml|json|md)\b", runs)
    named += [step["with"]["go-version-file"] for step in steps if "go-version-file" in step.get("with", {})]
    named += [step["working-directory"] for step in steps if "working-directory" in step]
    assert [path for path in named if not f"{path}/".startswith(MADE) and not (ROOT / path).exists()] == []
    patterns = re.findall(r"'(.*?)'", "".join(re.findall(r"hashFiles\((.*?)\)", text)))
    patterns += (workflow[True].get("pull_request") or {}).get("paths", [])  # `on` is true in YAML
    assert [each for each in patterns if next(ROOT.glob(each), None) is None] == []


def test_the_folders_of_the_map_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    cells = re.findall(r"^\| (`[^|]+`) \| ", text, re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert all((ROOT / name).exists() for name in named)
