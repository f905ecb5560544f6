"""What all tests share: pages as arguments, tests that need a cluster, the list of fences not run."""

from pathlib import Path

import pytest

import recording
from fences.selection import take_pages
from throwaway import Cluster, ThrowawayError


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof-results", type=Path, metavar="FILE", help="write there what becomes of the pages' claims")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a throwaway cluster, so runs under `throwaway shell`")
    config.addinivalue_line("markers", "disturbs: changes Nodes for a while; nothing else may run beside it")
    config.addinivalue_line("markers", "proof(*claims, control, mode): proves claims of pages, see tests/proofs")
    take_pages(config)
    if file := config.getoption("--proof-results"):
        config.pluginmanager.register(recording.Recorder(file))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to start without a cluster if a chosen test needs one: it must not look as if it had passed."""
    need_one = [item for item in session.items if item.get_closest_marker("cluster")]
    problem = _problem_with_cluster() if need_one and not session.config.option.collectonly else None
    if problem:
        raise pytest.UsageError(
            f"{problem}. Start a cluster with `throwaway up` and run the tests by "
            "`throwaway shell -- pytest …`, or leave out those that need one with -m 'not cluster'"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the fences that were not run, each with its reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    of_pages = [report for report in skipped if "test_pages.py" in report.nodeid]
    if of_pages:
        terminalreporter.section("fences not run")
    for report in of_pages:
        fence = report.nodeid.partition("[")[2].removesuffix("]")
        reason = report.longrepr[2].removeprefix("Skipped: ")
        terminalreporter.line(f"{fence}: {reason}")


def _problem_with_cluster() -> str | None:
    """Why tests cannot use the cluster of KUBECONFIG, if so. None but a throwaway one is ever touched."""
    try:
        Cluster.of_shell().kubectl(["get", "--raw", "/readyz"])
    except ThrowawayError as error:
        return str(error)
    return None
