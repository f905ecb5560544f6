"""Records what becomes of claims while tests run: `pytest --proof-results FILE`."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sharing
from claims import results
from claims.find import MODES, Proof, claims_and_proofs
from claims.results import Result
from cluster_mode import kubernetes_of, mode_of
from fences.find import Fence
from throwaway import Cluster

ROOT = Path(__file__).parents[1]
_PROVES = "proves"
"""The property of a report that says of which proof it is."""
NOT_REACHED = "not reached"
"""The property of the report of a fence that was not run, since one above it on its page failed."""


@dataclass
class Ran:
    """What became of a proof."""

    outcome: str = "passed"
    seconds: float = 0.0
    reason: str = ""


class Recorder:
    """A plugin that writes the results of all claims whose proofs have all been run, and leaves the others' alone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ran: dict[tuple[str, str], Ran] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if key := _key(item):
            report.user_properties.append((_PROVES, key))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a report, in the one process to which all workers of pytest-xdist send theirs."""
        for name, value in report.user_properties:
            if name == _PROVES and isinstance(value, (tuple, list)):
                self._note((str(value[0]), str(value[1])), report)

    def _note(self, key: tuple[str, str], report: pytest.TestReport) -> None:
        ran = self._ran.setdefault(key, Ran())
        ran.seconds += report.duration
        if report.failed:
            ran.outcome = "failed"
        elif report.skipped and ran.outcome == "passed" and isinstance(report.longrepr, tuple):
            if any(name == NOT_REACHED for name, _ in report.user_properties):
                ran.outcome = "failed"  # nothing was shown
            else:
                ran.outcome, ran.reason = "skipped", report.longrepr[2].removeprefix("Skipped: ")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the results, but for workers, which have a part of them."""
        if not self._ran or hasattr(session.config, "workerinput"):
            return
        cluster = Cluster.of_shell()
        kubernetes = kubernetes_of(cluster)
        mode = mode_of(cluster)
        assert mode in MODES, mode
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
        claims, proofs = claims_and_proofs(ROOT)
        new: results.Results = {}
        for claim in claims:
            those = [each for each in proofs if claim.id in each.claims and each.mode in ("", mode)]
            ran = [self._ran[_key_of(each)] for each in those if _key_of(each) in self._ran]
            if not ran or len(ran) < len(those):
                continue
            worst = max(ran, key=lambda each: ("passed", "skipped", "failed").index(each.outcome))
            seconds = round(sum(each.seconds for each in ran), 1)
            new[claim.id] = {mode: Result(worst.outcome, claim.digest, kubernetes, when, seconds, worst.reason)}
        with sharing.locked(self._file.parent):  # the other mode's run writes there, too
            results.write(self._file, results.merge(results.read(self._file), new, {claim.id for claim in claims}))


def _key(item: pytest.Item) -> tuple[str, str] | None:
    """File and name of a test that proves something, file and line of a fence."""
    if item.get_closest_marker("proof") and isinstance(item, pytest.Function):
        return str(item.path.relative_to(ROOT)), item.originalname
    callspec = getattr(item, "callspec", None)
    fence = callspec.params.get("fence") if callspec else None
    if isinstance(fence, Fence) and fence.settings.get("proves"):
        return str(fence.path.relative_to(ROOT)), str(fence.start_line)
    return None


def _key_of(proof: Proof) -> tuple[str, str]:
    return proof.file, proof.name or str(proof.line)
