"""Runs proofs on clusters that are broken, and on the same clusters when they are whole."""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claims.find import Proof
from fences.find import find_fences
from live.fences import KUBECTL
from mutate.faults import WHY_NOT, Fault
from mutate.zygote import Zygote
from throwaway import Cluster

ROOT = Path(__file__).parents[1]
_PLACE = re.compile(r"(\S+\.md):(\d+): ")

Ran = dict[str, Any]
"""What the plugin reports of a test: outcome, said, outputs."""


@dataclass(frozen=True)
class Item:
    """A proof as pytest runs it."""

    proof: Proof
    id: str
    """Pytest's name for it."""
    lines: range
    """The lines of a fence; empty for a test."""


def item_of(proof: Proof) -> Item:
    """How pytest runs a proof."""
    if proof.name:
        return Item(proof, f"{proof.file}::{proof.name}", range(0))
    fence = next(each for each in find_fences(ROOT / proof.file) if each.start_line == proof.line)
    lines = range(fence.start_line, fence.end_line + 1)
    reader = f" {KUBECTL}" if "client" in fence.settings else ""
    return Item(proof, f"tests/test_pages.py::test_fence[{proof.file}:{lines[0]}-{lines[-1]}{reader}]", lines)


def items_of(claim: str, proofs: Sequence[Proof], fault: Fault) -> list[Item]:
    """The proofs of a claim that are tried with a fault: tests, and fences only where there is no test."""
    own = [proof for proof in proofs if claim in proof.claims and (fault.any_mode or proof.mode in ("", fault.mode))]
    return [item_of(proof) for proof in own if proof.name] or [item_of(proof) for proof in own]


def run(zygote: Zygote, runs: Iterable[Sequence[str]], patience: float) -> dict[str, Ran]:
    """Run pytest with each of these arguments, some side by side; what became of each test, by its id.

    `patience` is for how many seconds a proof waits for what it expects.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        given = [
            [
                "-q",
                "-p",
                "mutate.plugin",
                "-p",
                "no:cacheprovider",
                f"--mutate-report={outputs / f'{number}.json'}",
                *each,
            ]
            for number, each in enumerate(runs)
        ]
        zygote.run(given, {"PROOF_PATIENCE_SECONDS": str(patience)}, outputs)
        found: dict[str, Ran] = {}
        for number, arguments in enumerate(given):
            report = outputs / f"{number}.json"
            if report.exists():
                found |= json.loads(report.read_text())
            else:
                printed = " ".join((outputs / str(number)).read_text().split())
                found[arguments[-1]] = {
                    "outcome": "error",
                    "said": f"pytest ended early: {printed[-300:]}",
                    "outputs": [],
                }
        return found


def run_proofs(zygote: Zygote, items: Iterable[Item], patience: float, any_mode: bool = False) -> dict[str, Ran]:
    """Run proofs on a cluster, each for itself, but fences of a page together; what became of each, by its id."""
    options = ["--mutate-any-mode"] if any_mode else []
    runs: dict[str, list[str]] = {}
    for item in {item.id: item for item in items}.values():
        if item.lines:  # a page is given, too: so no other one is read
            runs.setdefault(item.proof.file, [*options, item.proof.file]).append(item.id)
        else:
            runs[item.id] = [*options, item.id]
    return run(zygote, sorted(runs.values(), key=lambda each: "test_pages.py" not in each[-1]), patience)


def is_noticed(item: Item, ran: Ran | None) -> bool:
    """Whether a proof has failed itself: not what prepares it, and not a fence above it on its page."""
    if ran is None or ran["outcome"] != "failed":
        return False
    place = _PLACE.search(ran["said"])
    return not item.lines or bool(place and int(place[2]) in item.lines)


@dataclass
class Queue:
    """The faults that one cluster is given, one after another."""

    cluster: str
    """The cluster's name."""
    patience: float
    """For how many seconds a proof waits for what it expects."""
    say: Callable[[str], None]
    """Told what is done."""
    proofs: Sequence[Proof]
    zygote: Zygote
    """Runs pytest there."""
    ran: dict[str, dict[str, Ran]] = field(default_factory=dict)
    """Fault → test → what became of it."""
    failed: dict[str, str] = field(default_factory=dict)
    """Fault → why it could not be tried."""
    control: dict[str, Ran] = field(default_factory=dict)
    """Item → what became of it on the whole cluster."""

    def try_fault(self, fault: Fault) -> None:
        """Break the cluster, run the proofs that should notice and those that should not, and mend the cluster."""
        items = [item for claim in (*fault.noticed_by, *fault.unaffected) for item in self.items(fault, claim)]
        try:
            with fault.broken(Cluster.find_or_fail(self.cluster)):
                self.ran[fault.name] = run_proofs(self.zygote, items, self.patience, fault.any_mode)
        except Exception as error:  # whatever it is, the other faults are tried
            self.failed[fault.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.say(f"{fault.name}: {self.failed[fault.name]}")

    def items(self, fault: Fault, claim: str) -> list[Item]:
        """The proofs of a claim that are tried with a fault."""
        return items_of(claim, self.proofs, fault)

    def failed_with(self, fault: Fault) -> list[Item]:
        """The proofs that noticed a fault."""
        ran = self.ran.get(fault.name, {})
        items = [item for claim in fault.noticed_by for item in self.items(fault, claim)]
        return [item for item in items if is_noticed(item, ran.get(item.id))]

    def run_controls(self, items: Iterable[Item]) -> None:
        """Run proofs on the whole cluster, unless they have passed there; those that fail once more.

        They may fail since the machine is busy, and are given twice the patience.
        """
        wanted = {item.id: item for item in items if not self.is_whole(item.id)}
        for _ in range(2):
            if wanted:
                self.control |= run_proofs(self.zygote, wanted.values(), 2 * self.patience)
            wanted = {id: item for id, item in wanted.items() if not self.is_whole(id)}

    def is_whole(self, id: str) -> bool:
        """Whether a proof passed on the whole cluster."""
        return self.control.get(id, {}).get("outcome") == "passed"


def result(fault: Fault, queue: Queue, is_whole: Callable[[str], bool]) -> dict[str, Any]:
    """What became of a fault, as the file of results has it; `is_whole` says which proofs pass without the fault."""
    ran = queue.ran.get(fault.name, {})
    claims = [_noticed(fault, claim, queue, is_whole) for claim in fault.noticed_by]
    unaffected = []
    for claim in fault.unaffected:
        there = [ran.get(item.id) for item in queue.items(fault, claim)]
        passed = bool(there) and all(each is not None and each["outcome"] == "passed" for each in there)
        unaffected.append({"claim": claim, "passed": passed, "said": "" if passed else _said(there)})
    return {"what": fault.what, "mode": fault.mode, "when": now(), "claims": claims, "unaffected": unaffected}


def _noticed(fault: Fault, claim: str, queue: Queue, is_whole: Callable[[str], bool]) -> dict[str, Any]:
    items = queue.items(fault, claim)
    ran = queue.ran.get(fault.name, {})
    if fault.name in queue.failed:
        return {"claim": claim, "noticed": False, "said": f"not tried: {queue.failed[fault.name]}"}
    by = [item for item in items if is_noticed(item, ran.get(item.id))]
    if by and (whole := [item for item in by if is_whole(item.id)]):
        return {"claim": claim, "noticed": True, "said": ran[whole[0].id]["said"]}
    if by:
        return {"claim": claim, "noticed": False, "said": "its proof did not pass without the fault either"}
    said = _said([ran.get(item.id) for item in items])
    why = WHY_NOT.get((fault.name, claim))
    return {"claim": claim, "noticed": False, "said": f"{said}: {why}" if why else said}


def _said(there: Sequence[Ran | None]) -> str:
    if not there or any(each is None for each in there):
        return "its proof was not run"
    words = {"passed": "its proof passed", "error": "its proof could not begin", "skipped": "its proof was skipped"}
    first = next((each for each in there if each and each["outcome"] != "passed"), there[0])
    assert first
    return f"{words.get(first['outcome'], 'an earlier fence failed, or it did')}: {first['said']}".rstrip(": ")


def now() -> str:
    """The time as results have it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
