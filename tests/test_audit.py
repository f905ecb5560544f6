"""What ./dev audit makes of the answers of its tools; they themselves need hosts that are not to be had everywhere."""

import json
import os
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from audit import accepted, licences, scan
from audit.accepted import Accepted, Finding

ROOT = Path(__file__).parents[1]
TODAY = date(2026, 12, 1)
FOUND = Finding("GO-2026-0001", ("CVE-2026-1",), "go.mod: example.com/m v1", "Something")


def entry(until: date, id: str = "CVE-2026-1") -> Accepted:
    return Accepted(id, "nothing here calls it", until)


def test_a_finding_fails_unless_it_is_accepted_by_one_of_its_ids() -> None:
    (line,) = accepted.problems([FOUND], [], TODAY, is_whole=True)
    assert line.startswith(
        "go.mod: example.com/m v1: GO-2026-0001: Something; raise the version, or accept it in audit/"
    )
    for id in ("GO-2026-0001", "CVE-2026-1"):
        assert accepted.problems([FOUND], [entry(TODAY, id)], TODAY, is_whole=True) == []


def test_an_entry_past_its_end_date_fails_and_so_does_one_without_an_end_in_sight() -> None:
    (line,) = accepted.problems([FOUND], [entry(date(2026, 11, 30))], TODAY, is_whole=True)
    assert line == "audit/accepted.toml: CVE-2026-1 was accepted until 2026-11-30; look at it again"
    (line,) = accepted.problems([FOUND], [entry(date(2029, 1, 1))], TODAY, is_whole=True)
    assert "for more than a year" in line


def test_an_entry_that_is_found_no_more_fails_once_everything_was_asked() -> None:
    (line,) = accepted.problems([], [entry(TODAY)], TODAY, is_whole=True)
    assert line.endswith("CVE-2026-1 is found no more; take it out")
    assert accepted.problems([], [entry(TODAY)], TODAY, is_whole=False) == []


def test_the_file_of_accepted_findings_is_of_its_form(tmp_path: Path) -> None:
    accepted.read()
    file = tmp_path / "accepted.toml"
    file.write_text('[[accepted]]\nid = "A-1"\nreason = "none of ours"\nuntil = 2027-01-01\n')
    assert accepted.read(file) == [Accepted("A-1", "none of ours", date(2027, 1, 1))]
    for wrong in ('id = "A-1"\nuntil = 2027-01-01', 'id = "A-1"\nreason = ""\nuntil = 2027-01-01', 'id = "A-1"'):
        file.write_text(f"[[accepted]]\n{wrong}\n")
        with pytest.raises(accepted.AcceptedError, match=r"accepted\.toml: A-1 has to have id, reason, until"):
            accepted.read(file)


def test_a_package_that_pypi_does_not_answer_for_is_not_taken_for_sound() -> None:
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["2.1"], "description": "It\nleaks."}
    report = {
        "dependencies": [
            {"name": "a", "version": "2.0", "vulns": [vulnerability]},
            {"name": "b", "skip_reason": "Dependency not found on PyPI"},
        ]
    }
    answer = scan.of_pip_audit(report)
    assert answer.findings == [Finding("PYSEC-1", ("CVE-2",), "uv.lock: a 2.0", "It leaks. (mended in 2.1)")]
    assert answer.unasked == "pip-audit: PyPI did not answer for 1 of 2 packages"


def test_npm_names_an_advisory_once_and_its_silence_is_said() -> None:
    advisory = {"name": "ws", "title": "It hangs", "url": "https://github.com/advisories/GHSA-1", "range": "<8.1"}
    report = {"vulnerabilities": {"ws": {"via": [advisory]}, "a": {"via": ["ws"]}, "b": {"via": [advisory]}}}
    folder = Path("live/client")
    where = "live/client/package-lock.json: ws <8.1"
    assert scan.of_npm_audit(report, folder) == scan.Answer([Finding("GHSA-1", (), where, "It hangs")])
    assert (
        scan.of_npm_audit({"message": "405 Not Allowed"}, folder).unasked == "npm audit in live/client: 405 Not Allowed"
    )


def test_of_what_govulncheck_tells_only_functions_that_are_called_count() -> None:
    trace = {"module": "example.com/m", "version": "v1.0.0", "package": "example.com/m/p"}
    messages = [
        {"config": {"scanner_name": "govulncheck"}},
        {"osv": {"id": "GO-1", "aliases": ["CVE-3"], "summary": "It ends"}},
        {"osv": {"id": "GO-2", "summary": "It is only there"}},
        {"finding": {"osv": "GO-2", "trace": [trace]}},
        {"finding": {"osv": "GO-1", "fixed_version": "v1.0.1", "trace": [trace]}},
        {
            "finding": {
                "osv": "GO-1",
                "fixed_version": "v1.0.1",
                "trace": [trace | {"function": "Do"}, {"module": "us"}],
            }
        },
    ]
    output = "\n".join(json.dumps(message, indent=2) for message in messages)
    assert scan.of_govulncheck(output, "x/go.mod") == [
        Finding("GO-1", ("CVE-3",), "x/go.mod: example.com/m v1.0.0", "It ends (mended in v1.0.1)")
    ]


def folders_with(name: str) -> set[str]:
    """The folders of the repository that have a file of a name."""
    found = set()
    for folder, inside, files in os.walk(ROOT):
        inside[:] = [each for each in inside if each != "node_modules" and not each.startswith(".")]
        if name in files:
            found.add(Path(folder).relative_to(ROOT).as_posix())
    return found


def test_each_lock_file_is_audited() -> None:
    assert folders_with("package-lock.json") == {folder.as_posix() for folder in scan.NPM}
    assert folders_with("go.mod") == {folder.as_posix() for folder in scan.GO}
    assert folders_with("uv.lock") == {"."}


def test_each_lock_file_is_kept_new_but_that_of_kubernetes() -> None:
    entries = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    updated = {
        (each["package-ecosystem"], folder)
        for each in entries
        for folder in each.get("directories", [each.get("directory")])
    }
    files = {"gomod": "go.mod", "npm": "package-lock.json", "uv": "uv.lock", "docker": "Dockerfile"}
    there = {
        (ecosystem, f"/{folder}".rstrip(".")) for ecosystem, name in files.items() for folder in folders_with(name)
    }
    by_hand = ("gomod", f"/{scan.MODULES}/kubernetes")
    assert updated == there - {by_hand} | {("github-actions", "/"), ("devcontainers", "/")}
    assert by_hand in there and (ROOT / ".devcontainer/devcontainer.json").exists()


def required() -> set[tuple[str, str]]:
    """Module and version, of all go.mod files of the cluster's programs; also of those that replace others."""
    texts = [file.read_text() for file in (ROOT / scan.MODULES).glob("*/go.mod")]
    return {pair for text in texts for pair in re.findall(r"(\S+\.\S+) (v\S+)", text)}


@pytest.mark.parametrize("notices", ["third-party-go-modules.md", "THIRD-PARTY-NOTICES.md"])
def test_the_notices_have_the_versions_that_are_built(notices: str) -> None:
    rows = re.findall(r"\| `([^`|]+\.[^`|]+)` \| (v[^ |]+) \|", (ROOT / notices).read_text())
    assert len(rows) >= 10
    of_kubernetes = "k8s.io/kubernetes/test/images/agnhost"  # a program, not a module
    assert {(path.replace(of_kubernetes, "k8s.io/kubernetes"), version) for path, version in rows} <= required()


def test_a_licence_is_known_by_its_words_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert licences.licence_of("Apache License\n   Version 2.0, January 2004") == "Apache-2.0"
    assert licences.licence_of("Permission is hereby\ngranted, free of charge, to any person") == "MIT"
    assert licences.licence_of((ROOT / "LICENSE-prose.md").read_text()) == ""
    (tmp_path / "LICENSE").write_text("All rights reserved.")
    (tmp_path / "license.go").write_text("package license // under the Apache License, Version 2.0")
    with pytest.raises(licences.UnknownLicenceError, match=r"example\.com/m v1: no licence that is known; look into"):
        licences.table([licences.GoModule("example.com/m", "v1", tmp_path)])
