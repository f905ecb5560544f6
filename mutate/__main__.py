"""Break texts and clusters, and write down whether the proofs notice: ./dev mutate."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from claims.find import MODES, claims_and_proofs
from claims.find import pages as all_pages
from fences.find import find_fences
from mutate import results
from mutate.faults import FAULTS, Fault
from mutate.prose import broken_sentences, broken_values
from mutate.running import ROOT, Queue, now, result, run
from mutate.texts import output_breaks
from mutate.zygote import Zygote
from throwaway import Cluster

TARGET_PERCENT = 95
console = Console(stderr=True)


def main() -> None:
    """Break, run, count; exits with 1 if fewer breaks were noticed than should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nftables", action="append", default=[], metavar="NAME", help="a cluster of this mode")
    parser.add_argument("--iptables", action="append", default=[], metavar="NAME", help="a cluster of this mode")
    parser.add_argument("--only", nargs="*", metavar="FAULT", help="try these faults alone, and keep other results")
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds that a proof waits for what it expects (20)"
    )
    parser.add_argument("--no-pages", action="store_true", help="keep the results of printed lines")
    options = parser.parse_args()
    claims, proofs = claims_and_proofs(ROOT)
    found = results.read(ROOT / results.FILE)
    say("breaking sentences …")
    found["sentences"] = broken_sentences(claims, ROOT)
    found["values"] = broken_values(claims, proofs, ROOT)
    if clusters := {name: mode for mode in MODES for name in getattr(options, mode)}:
        with ExitStack() as stack:
            queues = {
                name: Queue(name, options.patience, say, proofs, stack.enter_context(Zygote(name, ROOT)))
                for name in clusters
            }
            faults = [fault for fault in FAULTS if options.only is None or fault.name in options.only]
            Check(found, clusters, queues, faults, not options.no_pages).run()
    show(found)
    score = results.total(found)
    sys.exit(100 * score.noticed < TARGET_PERCENT * score.seeded)


class Check:
    """What is tried on clusters, each of which takes the next fault of its mode when it is free."""

    def __init__(
        self,
        found: results.Results,
        clusters: dict[str, str],
        queues: dict[str, Queue],
        faults: Sequence[Fault],
        with_pages: bool,
    ) -> None:
        """`found` are the results so far, which are changed; `clusters` are names, each with its proxy mode."""
        self._found = found
        self._clusters = clusters
        self._queues = queues
        self._waiting = {mode: deque(fault for fault in faults if fault.mode == mode) for mode in MODES}
        self._tried: dict[str, tuple[Fault, Queue]] = {}
        self._pages_wait = with_pages
        self._lock = Lock()
        self._begin = time.monotonic()
        version = Cluster.find_or_fail(next(iter(clusters))).kubectl(["version", "-o", "json"])
        self._kubernetes = version["serverVersion"]["gitVersion"]

    def run(self) -> None:
        """Try all, and write the results; after each fault those that there are."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._work, self._queues))
            # What is said of one mode and was tried in the other one has its control in its own.
            list(pool.map(self._control_other_mode, self._queues))
        self._write()

    def _work(self, name: str) -> None:
        queue = self._queues[name]
        if self._takes_pages(name):
            say(f"{name}: breaking what pages print …")
            self._found["outputs"] = broken_outputs(queue.zygote)
        while fault := self._next(name):
            say(f"{name}: {fault.what} …")
            queue.try_fault(fault)
            if not fault.any_mode:
                say(f"{name}: the same proofs without the fault …")
                queue.run_controls(queue.failed_with(fault))
            with self._lock:
                self._tried[fault.name] = (fault, queue)
            self._write()

    def _takes_pages(self, name: str) -> bool:
        """Whether this cluster runs the pages: one of the mode that has the fewest faults for a cluster."""
        with self._lock:
            takes = self._pages_wait and self._clusters[name] == self._clusters[list(self._clusters)[-1]]
            self._pages_wait = self._pages_wait and not takes
            return takes

    def _next(self, name: str) -> Fault | None:
        with self._lock:
            waiting = self._waiting[self._clusters[name]]
            return waiting.popleft() if waiting else None

    def _control_other_mode(self, name: str) -> None:
        mode = self._clusters[name]
        if name != next(other for other in self._clusters if self._clusters[other] == mode):
            return
        failed = [item for fault, queue in self._tried.values() if fault.any_mode for item in queue.failed_with(fault)]
        self._queues[name].run_controls(item for item in failed if item.proof.mode == mode)

    def _is_whole(self, id: str) -> bool:
        return any(queue.is_whole(id) for queue in self._queues.values())

    def _write(self) -> None:
        with self._lock:
            new = {name: result(fault, queue, self._is_whole) for name, (fault, queue) in self._tried.items()}
            both = self._found.get("faults", {}) | new
            self._found["faults"] = {fault.name: both[fault.name] for fault in FAULTS if fault.name in both}
            seconds = round(time.monotonic() - self._begin)
            self._found |= {"when": now(), "kubernetes": self._kubernetes, "seconds": seconds}
            results.write(ROOT / results.FILE, self._found)


def broken_outputs(zygote: Zygote) -> dict[str, Any]:
    """Run all pages on a whole cluster, and compare what they print with broken texts, too."""
    ran = run(
        zygote, [["tests/test_pages.py", str(page)] for page in all_pages(ROOT) if find_fences(page)], patience=60
    )
    seen = {
        (each["place"], each["what"], each["before"], each["after"]): each
        for one in ran.values()
        for each in one["outputs"]
    }
    seeded = 0
    unnoticed = []
    for fence in (fence for page in all_pages(ROOT) for fence in find_fences(page) if fence.is_run):
        for each in output_breaks(fence.source, fence.language):
            seeded += 1
            place = f"{fence.path.relative_to(ROOT)}:{fence.start_line}-{fence.end_line}"
            became = seen.get((place, each.what, each.before, each.after))
            if became is None or not became["noticed"]:
                what = f"{each.what}: {each.before!r} became {each.after!r}"
                reason = "its fence did not pass" if became is None else "it is taken for the same"
                unnoticed.append({"place": place, "what": what, "reason": reason})
    return {"seeded": seeded, "unnoticed": unnoticed}


def say(what: str) -> None:
    """Show what is done now."""
    console.print(f"{time.strftime('%H:%M:%S')} {escape(what)}", highlight=False, soft_wrap=True)


def show(found: results.Results) -> None:
    """Show the score, what was not noticed, and what should not have failed."""
    table = Table(title="The mutation check")
    for head in ("Broken", "noticed"):
        table.add_column(head)
    for kind, score in results.scores(found).items():
        table.add_row(results.KINDS[kind], str(score))
    table.add_section()
    table.add_row("all that a proof has to notice", f"[b]{results.total(found)}[/b]")
    console.print(table)
    for each in results.unnoticed(found):
        console.print(f"[b]not noticed[/b] {escape(f'({each.kind}, {each.place}) {each.what}: {each.reason}')}")
    for name, fault in found.get("faults", {}).items():
        for pair in fault["unaffected"]:
            if not pair["passed"]:
                told = f"({name}) {pair['claim']}: {pair['said']}"
                console.print(f"[b]failed all the same[/b] {escape(told)}")


if __name__ == "__main__":
    main()
