"""Break texts and clusters, and write down whether the proofs notice: ./dev mutate."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from claims.find import MODES, claims_and_proofs
from claims.find import pages as all_pages
from cluster_mode import kubernetes_of
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
Outputs = dict[tuple[str, str, str, str], bool]
"""Place, kind of break, before, after → whether it was noticed."""


def main() -> None:
    """Break, run, count; exits with 1 if fewer breaks were noticed than should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nftables", action="append", default=[], metavar="NAME", help="a cluster of this mode")
    parser.add_argument("--iptables", action="append", default=[], metavar="NAME", help="a cluster of this mode")
    names = [fault.name for fault in FAULTS]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="FAULT", help="try these faults alone, and keep other results"
    )
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds that a proof waits for what it expects (20)"
    )
    parser.add_argument("--minutes", type=float, default=15, help="begin no fault after so many minutes (15)")
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
            Check(found, clusters, queues, faults, not options.no_pages, 60 * options.minutes).run()
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
        seconds: float,
    ) -> None:
        """`found` are the results so far, which are changed; `clusters` are names, each with its proxy mode.

        After so many seconds no fault is begun. Those that were not tried keep the results that they had.
        """
        self._seconds = seconds
        self._found = found
        self._clusters = clusters
        self._queues = queues
        self._waiting = {mode: deque(fault for fault in faults if fault.mode == mode) for mode in MODES}
        self._tried: dict[str, tuple[Fault, Queue]] = {}
        self._pages_wait = with_pages
        self._outputs: Outputs = {}
        self._lock = Lock()
        self._begin = time.monotonic()
        self._kubernetes = kubernetes_of(Cluster.find_or_fail(next(iter(clusters))))

    def run(self) -> None:
        """Try all, and write the results; after each fault those that there are."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._work, self._queues))
            # What is of one mode and was tried in the other one is run in its own.
            list(pool.map(self._finish, self._queues))
        self._write()

    def _work(self, name: str) -> None:
        queue = self._queues[name]
        if self._takes_pages(name):
            say(f"{name}: breaking what pages print …")
            self._outputs = run_pages(queue.zygote, [page for page, keys in all_outputs().items() if keys])
            self._found["outputs"] = broken_outputs(self._outputs)
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
            if waiting and time.monotonic() > self._begin + self._seconds:
                say(f"{name}: time is up; not tried: {', '.join(fault.name for fault in waiting)}")
                return None
            return waiting.popleft() if waiting else None

    def _finish(self, name: str) -> None:
        mode = self._clusters[name]
        if name != next(other for other in self._clusters if self._clusters[other] == mode):
            return
        if self._outputs and mode != self._clusters[list(self._clusters)[-1]]:
            # Fences of this mode alone, and those that have failed on a busy machine.
            pages = [page for page, keys in all_outputs().items() if not set(keys) <= self._outputs.keys()]
            self._outputs |= run_pages(self._queues[name].zygote, pages)
            self._found["outputs"] = broken_outputs(self._outputs)
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


def run_pages(zygote: Zygote, pages: Iterable[Path]) -> Outputs:
    """Run pages on a whole cluster; what became of the broken outputs of those fences that passed."""
    ran = run(zygote, [["tests/test_pages.py", str(page)] for page in pages], patience=60)
    each_of_all = (each for one in ran.values() for each in one["outputs"])
    return {(each["place"], each["what"], each["before"], each["after"]): each["noticed"] for each in each_of_all}


def all_outputs() -> dict[Path, list[tuple[str, str, str, str]]]:
    """The outputs that are broken, by page: place, kind of break, before, after."""
    return {
        page: [
            (f"{page.relative_to(ROOT)}:{fence.start_line}-{fence.end_line}", each.what, each.before, each.after)
            for fence in find_fences(page)
            if fence.is_run and fence.language in ("python", "console")
            for each in output_breaks(fence.source, fence.language)
        ]
        for page in all_pages(ROOT)
    }


def broken_outputs(seen: Outputs) -> dict[str, Any]:
    """What became of broken outputs, as the file of results has it."""
    unnoticed = []
    every = [key for keys in all_outputs().values() for key in keys]
    for key in every:
        if not seen.get(key):
            place, what, before, after = key
            reason = "it is taken for the same" if key in seen else "its fence did not pass"
            unnoticed.append({"place": place, "what": f"{what}: {before!r} became {after!r}", "reason": reason})
    return {"seeded": len(every), "unnoticed": unnoticed}


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
