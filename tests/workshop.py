"""Two Go modules of a few lines, and a cache of a test's own, to try with them what is done with the real ones."""

import contextlib
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command_line import commands
from throwaway import build, cache
from throwaway.build import Built, Module, Progress

_MAIN = 'package main\n\nimport "os"\n\nfunc main() { println(os.Args[0], "%s") }\n'
SECONDS = 60.0

# Stands between go and its compiler. Each program that is compiled leaves a line in the file `compiled`, and
# then waits for as long as there is a file `gate`.
_TOOLEXEC = """#!/bin/sh
case "$*" in *" -p main "*)
    echo "$TOOLEXEC_IMPORTPATH" >> {0}/compiled
    while [ -e {0}/gate ]; do sleep 0.02; done
esac
exec "$@"
"""


@dataclass
class Workshop:
    """Two modules, `greetings` (program `hello` is also called `bye`) and `tools` (with `saw`), a cache."""

    folder: Path
    """Where all of it lies."""
    reports: list[Progress] = field(default_factory=list)
    """What `build` reported."""

    @property
    def gate(self) -> Path:
        """As long as this file exists, compiling waits."""
        return self.folder / "gate"

    def build(self) -> Built:
        """Build in this process."""
        self.reports.clear()
        return build.ensure(self.reports.append)

    def build_in_child(self) -> "multiprocessing.process.BaseProcess":
        """Start a build in a process of its own, which writes its reports to the file `reports-PID`."""

        def run() -> None:
            os.setpgid(0, 0)
            with (self.folder / f"reports-{os.getpid()}").open("w", buffering=1) as file:
                build.ensure(lambda progress: print(progress.part, progress.step, file=file))

        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        return child

    def source(self, module: str, program: str) -> Path:
        """The source of a program."""
        return self.folder / "modules" / module / program / "main.go"

    def compiled(self) -> list[str]:
        """The programs that were compiled so far, one entry for each time."""
        path = self.folder / "compiled"
        return path.read_text().split() if path.exists() else []

    def leftovers(self) -> list[str]:
        """Names of temporary folders in the cache."""
        return [path.name for path in cache.folder().glob("tmp-*")]

    def says(self, program: Path) -> str:
        """What one of the programs prints."""
        return subprocess.run([program], capture_output=True, text=True, check=True).stderr

    def processes(self, what: str) -> list[str]:
        """The command lines of processes that name this workshop and something in it or about it."""
        return [line for line in commands().values() if str(self.folder) in line and what in line]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def go_folder() -> Path:
    """The folder of a Go of the right series; installs it into the account's cache, if there is none."""
    go = build._find_go()
    if go.program is None:
        with cache.locked(lambda: None):
            return build._go_program(go, lambda progress: None).parent
    return go.program.parent


@contextlib.contextmanager
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_folder: Path) -> Iterator[Workshop]:
    """A workshop in which nothing is built yet; in place of images and the etcd store it makes a file and a folder."""
    workshop = Workshop(tmp_path)
    for module, program in (("greetings", "hello"), ("tools", "saw")):
        source = workshop.source(module, program)
        source.parent.mkdir(parents=True)
        source.write_text(_MAIN % tmp_path)  # the test's own, so that Go has not compiled it before
        source.parent.with_name("go.mod").write_text(f"module {module}\n\ngo 1.26.0\n")
    toolexec = tmp_path / "toolexec"
    toolexec.write_text(_TOOLEXEC.format(tmp_path))
    toolexec.chmod(0o755)
    flags = ("-toolexec", str(toolexec))

    def write_images(programs: Path, folder: Path, report: build.Report) -> None:
        (folder / "image").write_text(f"made from {programs}")

    def write_etcd_store(programs: Path, folder: Path, report: build.Report) -> None:
        (folder / "member").mkdir()

    monkeypatch.setenv("PATH", f"{go_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("THROWAWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "MODULES_FOLDER", tmp_path / "modules")
    monkeypatch.setattr(build, "MODULES", (Module("greetings", flags, {"bye": "hello"}), Module("tools", flags)))
    monkeypatch.setattr(build, "_write_images", write_images)
    monkeypatch.setattr(build, "_write_etcd_store", write_etcd_store)
    yield workshop
    workshop.gate.unlink(missing_ok=True)
