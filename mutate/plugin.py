"""A pytest plugin (`-p mutate.plugin`): what became of each test, and whether fences notice broken outputs.

With pytest-xdist it runs in all workers, and writes in the process to which they report.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mutate.texts import output_breaks

_OUTPUTS = "broken outputs"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--mutate-report", type=Path, metavar="FILE", help="write what becomes of tests, as JSON")
    parser.addoption("--mutate-any-mode", action="store_true", help="run claims on the other proxy mode, too")


def pytest_configure(config: pytest.Config) -> None:
    """Write a report, if one is asked for."""
    if file := config.getoption("--mutate-report"):
        config.pluginmanager.register(Reporter(file))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let claims that are said of one proxy mode be tried in the other one, where they have to fail."""
    if config.getoption("--mutate-any-mode"):
        for mark in (mark for item in items for mark in item.iter_markers("proof")):
            mark.kwargs["mode"] = ""  # type: ignore[index]  # a dict, as pytest makes it


@dataclass
class Reporter:
    """Collects what became of tests, and writes it when all have been run."""

    file: Path
    ran: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The test's id → outcome (passed, failed, error or skipped), message and broken outputs."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Compare what a fence has printed with its broken outputs, just after it was run."""
        report = yield
        callspec = getattr(item, "callspec", None)
        fence = callspec.params.get("fence") if callspec else None
        if call.when == "call" and report.passed and fence is not None and fence.check:
            report.user_properties.append((_OUTPUTS, list(broken_outputs(fence))))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a report."""
        ran = self.ran.setdefault(report.nodeid.partition("@")[0], {"outcome": "passed", "said": "", "outputs": []})
        for name, value in report.user_properties:
            if name == _OUTPUTS and isinstance(value, list):
                ran["outputs"] += value
        if report.when == "teardown":
            return  # a cluster that is broken may be hard to tidy up
        if report.failed:
            ran["outcome"], ran["said"] = "failed" if report.when == "call" else "error", said(report)
        elif report.skipped:
            ran["outcome"], ran["said"] = "skipped", said(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, but for workers, which have a part of it."""
        if not hasattr(session.config, "workerinput"):
            self.file.write_text(json.dumps(self.ran))


def broken_outputs(fence: Any) -> Iterator[dict[str, str | bool]]:
    """What becomes of each broken output of a fence that was run."""
    from fences.find import FenceError

    for each in output_breaks(fence.source, fence.language):
        try:
            fence.check(each.text)
            is_noticed = False
        except FenceError:
            is_noticed = True
        yield {
            "place": str(fence),
            "what": each.what,
            "before": each.before,
            "after": each.after,
            "noticed": is_noticed,
        }


def said(report: pytest.TestReport) -> str:
    """What a test said when it failed, in one line: the error, without the way there."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return " ".join(text.split())[:300]
