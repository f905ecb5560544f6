"""Asks pip-audit about the packages of uv.lock, npm about those of its lock files, govulncheck about Go modules."""

import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.accepted import Finding
from live import node

ROOT = Path(__file__).parents[1]
NPM = (Path("live/client"), Path("tests/reading"))
"""Folders with a package-lock.json."""
MODULES = Path("throwaway/src/throwaway/modules")
GO = (
    *sorted(file.parent.relative_to(ROOT) for file in (ROOT / MODULES).glob("*/go.mod")),
    Path("tests/kind"),
    Path("tools"),
)
"""Folders with a go.mod."""
GO_DATABASE = "https://vuln.go.dev"
_PATIENCE_SECONDS = 15
_EXPORT = (
    "uv",
    "export",
    "--quiet",
    "--locked",
    "--all-groups",
    "--all-packages",
    "--no-emit-workspace",
    "--no-header",
)


@dataclass
class Answer:
    """What a tool found."""

    findings: list[Finding] = field(default_factory=list)
    unasked: str = ""
    """Why it could not look at everything, in a line; "" if it could."""


def python_packages() -> Answer:
    """The known vulnerabilities of the packages of uv.lock, as PyPI has them."""
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as requirements:
        subprocess.run(_EXPORT, cwd=ROOT, stdout=requirements, check=True)
        command = ["pip-audit", "--requirement", requirements.name, "--disable-pip", "--require-hashes"]
        options = ["--format=json", "--progress-spinner=off", f"--timeout={_PATIENCE_SECONDS}"]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
    try:
        return of_pip_audit(json.loads(done.stdout))
    except json.JSONDecodeError:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        return Answer(unasked=f"pip-audit could not ask PyPI: {reason}")


def of_pip_audit(report: dict[str, Any]) -> Answer:
    """What a report of pip-audit says. A package that PyPI did not answer for counts as unasked, not as sound."""
    answer = Answer()
    unanswered = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    if unanswered:
        count = len(report["dependencies"])
        answer.unasked = f"pip-audit: PyPI did not answer for {len(unanswered)} of {count} packages"
    for package in report["dependencies"]:
        for each in package.get("vulns", ()):
            what = " ".join(each["description"].split())[:200]
            fixed = f" (mended in {', '.join(each['fix_versions'])})" if each["fix_versions"] else ""
            where = f"uv.lock: {package['name']} {package['version']}"
            answer.findings.append(Finding(each["id"], tuple(each["aliases"]), where, what + fixed))
    return answer


def npm_packages(folder: Path) -> Answer:
    """The known vulnerabilities of the packages of a folder's lock file, as npm's registry has them."""
    command = node.npm("audit", "--package-lock-only", "--json", "--loglevel=silent")
    done = subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True)
    try:
        return of_npm_audit(json.loads(done.stdout), folder)
    except json.JSONDecodeError:
        return Answer(unasked=f"npm audit gave no answer in {folder}, and ended with {done.returncode}")


def of_npm_audit(report: dict[str, Any], folder: Path) -> Answer:
    """What a report of npm's says. A package that is only built on a vulnerable one is not named again."""
    if "vulnerabilities" not in report:
        return Answer(unasked=f"npm audit in {folder}: {report.get('message', 'the registry did not answer')}")
    advisories = {}
    for package in report["vulnerabilities"].values():
        for via in package["via"]:
            if isinstance(via, dict):
                id = via["url"].rpartition("/")[2]
                where = f"{folder / 'package-lock.json'}: {via['name']} {via['range']}"
                advisories[id] = Finding(id, (), where, via["title"])
    return Answer(list(advisories.values()))


def go_modules(govulncheck: Path) -> Answer:
    """The known vulnerabilities that the cluster's programs and Go tools reach, as Go's database has them."""
    try:
        urllib.request.urlopen(f"{GO_DATABASE}/index/db.json", timeout=_PATIENCE_SECONDS).close()
    except OSError as error:
        return Answer(unasked=f"govulncheck: {GO_DATABASE} cannot be reached: {getattr(error, 'reason', error)}")
    answer = Answer()
    for folder in GO:
        command = [str(govulncheck), "-C", str(ROOT / folder), "-format=json", "./...", "tool"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"CGO_ENABLED": "0"})
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            answer.unasked = f"govulncheck failed for {folder}: {reason}"
            continue
        answer.findings += of_govulncheck(done.stdout, str(folder / "go.mod"))
    return answer


def of_govulncheck(output: str, file: str) -> list[Finding]:
    """What govulncheck found: the vulnerable functions that are called. Those that are only there do no harm."""
    told = {}
    called: dict[str, dict[str, Any]] = {}
    for message in _messages(output):
        if osv := message.get("osv"):
            told[osv["id"]] = osv
        if (finding := message.get("finding")) and "function" in finding["trace"][0]:
            called.setdefault(finding["osv"], finding)
    findings = []
    for id, finding in called.items():
        last = finding["trace"][0]
        fixed = f" (mended in {finding['fixed_version']})" if finding.get("fixed_version") else ""
        where = f"{file}: {last['module']} {last.get('version', '')}".rstrip()
        aliases = tuple(told[id].get("aliases", ()))
        findings.append(Finding(id, aliases, where, f"{told[id]['summary']}{fixed}"))
    return findings


def _messages(output: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream, one after the other."""
    decoder = json.JSONDecoder()
    rest = output.lstrip()
    while rest:
        message, end = decoder.raw_decode(rest)
        yield message
        rest = rest[end:].lstrip()
