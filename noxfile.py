"""What there is to do here: `./dev NAME` does it, `./dev NAME -- ARGUMENTS` passes arguments on."""

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from xml.etree import ElementTree

import nox
from nox.command import CommandFailed

TOP = Path(__file__).parent
VENV = TOP / ".venv"
MODES = ("nftables", "iptables")
FAMILY = ("--ip-family=dual",) if Path("/proc/net/if_inet6").exists() else ()
"""Clusters have both IP families where this machine has them: some pages need that, all others do with it."""

nox.options.default_venv_backend = "none"  # all sessions share .venv, where editors look for it too
os.environ["PATH"] = f"{VENV}/bin{os.pathsep}{os.environ['PATH']}"
os.environ["NO_MKDOCS_2_WARNING"] = "1"  # ten lines of mkdocs-material's before each build


@nox.session
def serve(session: nox.Session) -> None:
    """Start a cluster, and serve the site so that its blocks run there; Ctrl+C ends both."""
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", 8000)) == 0:
            session.error(
                "port 8000 is taken, perhaps by another ./dev serve: end that by Ctrl+C (ss -ltnp names the program)"
            )
    install(session, "live")
    session.run("throwaway", "setup")
    with contextlib.suppress(KeyboardInterrupt), cluster(session, "throwaway", *FAMILY):
        print(WELCOME, flush=True)
        session.run("python", "-m", "live", "throwaway", *FAMILY, interrupt_timeout=30)


@nox.session
def test(session: nox.Session) -> None:
    """Run all tests; with `-- docs/…/PAGE.md` only those of a page, on the running cluster.

    Arguments: pytest's, such as tests/test_labs.py, -k NAME or --update-examples.
    """
    install(session, "test")
    session.run("throwaway", "setup")
    if session.posargs:
        test_on_running_cluster(session)
        return
    session.run("python", "tests/browser_packages.py")
    session.run("throwaway", "build")
    begin = time.monotonic()
    reports = {place: session.cache_dir / f"test-{place}.xml" for place in ("host", *MODES)}
    for report in reports.values():
        for each in (report, again(report)):
            each.unlink(missing_ok=True)
    passed = [test_host(session, reports["host"]), *test_in_both_modes(session, reports)]
    failed = {report: not is_so for report, is_so in zip(reports.values(), passed, strict=True)}
    atexit.register(print, last_line(failed, time.monotonic() - begin))  # after nox's own last words
    if any(failed.values()):
        session.error("tests failed")


@nox.session
def prove(session: nox.Session) -> None:
    """Run all pages and proofs in both proxy modes, and write what became of the claims for the site."""
    install(session, "test")
    session.run("throwaway", "setup")
    session.run("python", "tests/browser_packages.py")
    session.run("throwaway", "build")
    own = ("tests/test_pages.py", "tests/proofs", "--proof-results=docs/proofs.json")
    passed = test_in_both_modes(session, {}, *own)
    failed = [mode for mode, is_so in zip(MODES, passed, strict=True) if not is_so]
    if failed:
        session.error(f"proofs failed with kube-proxy in {' and '.join(failed)} mode; docs/proofs.json says which")


@nox.session(default=False)
def record(session: nox.Session) -> None:
    """Record what figures show, or those that are named, on clusters of both proxy modes; writes docs/figures/.

    Arguments: names of figures.
    """
    install(session, "test")
    in_each_mode(session, "figures")


@nox.session(default=False)
def notebooks(session: nox.Session) -> None:
    """Execute the notebooks in docs/notebooks/, and store them with what they show; with `-- NAME` only one.

    Arguments: names of notebooks.
    """
    install(session, "notebooks")
    in_each_mode(session, "notebooks")


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Break texts and clusters, and write down whether the proofs notice; about 15 minutes.

    Arguments: --only with names of faults, --patience and --minutes with a number each, --no-pages.
    """
    install(session, "test")
    session.run("throwaway", "setup")
    session.run("throwaway", "build")
    names = [(mode, f"mutate-{mode}-{number}-{os.getpid()}") for mode, number in MUTATED]
    with contextlib.ExitStack() as clusters:
        for mode, name in names:
            clusters.enter_context(cluster(session, name, f"--proxy-mode={mode}", *FAMILY))
        options = [f"--{mode}={name}" for mode, name in names]
        session.run("python", "-m", "mutate", *options, *session.posargs, env={"PYTHONPATH": f"{TOP / 'tests'}"})


@nox.session(default=False)
def new(session: nox.Session) -> None:
    """Make a page: `./dev new page NAME`.

    Arguments: the word page, and the page's name, such as my-page.
    """
    run = [sys.executable, "-m", "contribute.new_page", *session.posargs]
    session.run(*run, env={"PYTHONPATH": f"{TOP / 'tests'}"})


@nox.session
def check(session: nox.Session) -> None:
    """Check formats, style, types, prose, links, workflows and locks; needs no cluster."""
    install(session, "lint")
    side_by_side(
        session,
        ["mypy"],
        ["mkdocs", "build", "--strict", f"--site-dir={session.cache_dir}/site"],
        ["ruff", "format", "--check"],
        ["ruff", "check"],
        ["rumdl", "check", "--quiet"],
        ["codespell"],
        ["python", "hooks/words.py"],
        ["zizmor", "--offline", "--quiet", ".github"],
        *([[str(go_tools(session) / "actionlint")]] if shutil.which("go") else []),
    )
    if not shutil.which("go"):
        session.warn("actionlint needs Go and was not run; a pull request runs it")
    if session.run(*EXPORT, silent=True) != REQUIREMENTS.read_text():
        session.error(f"{REQUIREMENTS.name} differs from uv.lock; run ./dev lock")
    folders = {path.parent.relative_to(TOP).parts[0] for path in TOP.glob("*/*.py")}
    if unknown := [name for name in sorted(folders) if f"`{name}/`" not in (TOP / "ARCHITECTURE.md").read_text()]:
        session.error(f"ARCHITECTURE.md: the map of folders lacks {', '.join(unknown)}; add what is in it")


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Look for known vulnerabilities in what is installed and built, and whether the list of licences is true."""
    if not shutil.which("go"):
        session.error("govulncheck needs Go 1.26; install it")
    install(session, "audit", "live")
    session.run("python", "-m", "audit", str(go_tools(session) / "govulncheck"))


@nox.session(default=False)
def licences(session: nox.Session) -> None:
    """List the Go modules that are shipped, with their licences; with `-- FOLDER` write the texts there.

    Arguments: a folder, which is made.
    """
    install(session)
    session.run("python", "-m", "audit.licences", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/, with a copy of it to read offline.

    Arguments: those of mkdocs build, such as --strict.
    """
    install(session, "docs")
    session.run("mkdocs", "build", *session.posargs, env=offline_copy(session))


@nox.session(default=False)
def publish(session: nox.Session) -> None:
    """Build the site into the branch gh-pages, beside those of other releases of Kubernetes; pushes nothing."""
    install(session, "docs", "publish")
    version = "from throwaway import plan; print(plan.KUBERNETES_VERSION)"
    minor = str(session.run("python", "-c", version, silent=True)).removeprefix("v").rpartition(".")[0]
    session.run("mike", "deploy", "--allow-empty", "--update-aliases", minor, "latest", env=offline_copy(session))
    session.run("mike", "set-default", "--allow-empty", "latest")


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel of throwaway into dist/."""
    session.run("uv", "build", "--quiet", "--package=throwaway", "--wheel", f"--out-dir={TOP / 'dist'}")


@nox.session(default=False)
def lighthouse(session: nox.Session) -> None:
    """Print what Lighthouse says of the start page and of NodePort's, on an idle machine; about a minute."""
    in_browser(session, "reading.lighthouse")


@nox.session(default=False)
def screenshots(session: nox.Session) -> None:
    """Take pictures of the main pages, into site-screenshots/; with `-- COMMIT` compare them with those of a commit.

    Arguments: a commit or a branch, such as main.
    """
    folder = TOP / "site-screenshots"
    shutil.rmtree(folder, ignore_errors=True)
    if not session.posargs:
        in_browser(session, "reading.screenshots", str(folder))
        return
    install(session, "test")
    older = Path(session.cache_dir).resolve() / "older-site"
    with tempfile.TemporaryDirectory() as tree:
        session.run("git", "worktree", "add", "--quiet", "--detach", tree, *session.posargs, external=True)
        compared = []
        try:
            with session.chdir(tree):
                session.run("mkdocs", "build", "--quiet", f"--site-dir={older}")
            compared = [str(older)]
        except CommandFailed:
            session.warn("the older site cannot be built with these packages: there are new pictures only")
        finally:
            session.run("git", "worktree", "remove", "--force", tree, external=True)
    in_browser(session, "reading.screenshots", str(folder), *compared)


@nox.session
def build(session: nox.Session) -> None:
    """Build what clusters are made of, unless it is built already: about 12 minutes the first time."""
    install(session)
    session.run("throwaway", "setup")
    session.run("throwaway", "build")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the cluster, and write the figures to benchmarks/ and the site; about ten minutes on an idle machine.

    Arguments: --runs, --sequence and --services with a number each; `.venv/bin/python benchmarks/bench.py --help`.
    """
    install(session)
    session.run("throwaway", "build")
    session.run("python", "benchmarks/bench.py", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Pin the newest versions in uv.lock and dev-requirements.txt."""
    session.run("uv", "lock", "--upgrade")
    session.run(*EXPORT, f"--output-file={REQUIREMENTS.name}", silent=True)


# What sessions share

REQUIREMENTS = TOP / "dev-requirements.txt"
EXPORT = ("uv", "export", "--quiet", "--locked", "--only-group=dev", "--no-header", "--no-annotate")
WELCOME = f"""
The cluster is ready. For a shell in which kubectl, curl and Python reach it, type in another terminal:

    cd {TOP}
    source .venv/bin/activate
    throwaway shell

The site comes up in some seconds. Ctrl+C ends it and the cluster.
"""
SIDE_BY_SIDE = ("--numprocesses=3", "--dist=loadgroup", "--no-loadscope-reorder")
"""How tests share a cluster, see tests/conftest.py. There are two clusters: while one test waits, others work."""
START_CLUSTERS = ("tests/throwaway", "tests/test_live.py")
"""Tests that use clusters, but none that is there already."""
MUTATED = (("nftables", 1), ("nftables", 2), ("iptables", 1))
"""The clusters on which faults are tried side by side: mode and number."""
TESTS_FAILED = 1
"""Pytest's exit code when tests failed, and nothing else went wrong."""
MOST_TRIED_AGAIN = 40
"""With more failures than these, it is not for want of processor time."""
NOT_REACHED = "not reached"
"""What tests/recording.py calls a fence that was not run, since one above it failed. In the end it counts as failed."""
OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}
"""JUnit's words → pytest's, worst first."""


def install(session: nox.Session, *groups: str) -> None:
    """Add dependency groups of pyproject.toml, at the versions of uv.lock, to what .venv has already."""
    folder = TOP / ".dev"
    folder.mkdir(exist_ok=True)
    unfinished = folder / "unfinished"
    with (folder / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        # uv takes packages that it was interrupted in for whole, and gives up where Python itself is gone.
        if unfinished.exists() or not (VENV / "bin" / "python").exists():
            shutil.rmtree(VENV, ignore_errors=True)
        unfinished.touch()
        options = [f"--group={group}" for group in groups]
        session.run_install("uv", "sync", "--quiet", "--locked", "--inexact", "--python", sys.executable, *options)
        unfinished.unlink()


def offline_copy(session: nox.Session) -> dict[str, str]:
    """Make the file of all pages for download; returns the variables by which a build of the site takes it in.

    The same pages give the same bytes: each publication is kept, and what has not changed takes no place.
    """
    file = Path(session.cache_dir).resolve() / "kubernetes-services.zip"
    with tempfile.TemporaryDirectory() as folder:
        session.run("mkdocs", "build", f"--site-dir={folder}/{file.stem}", env={"OFFLINE": "true"})
        with zipfile.ZipFile(file, "w") as archive:
            for each in sorted(Path(folder).rglob("*")):
                if each.is_file() and each.suffix != ".map":
                    entry = zipfile.ZipInfo(str(each.relative_to(folder)))  # it bears no date
                    archive.writestr(entry, each.read_bytes(), zipfile.ZIP_DEFLATED)
    return {"OFFLINE_COPY": str(file)}


def side_by_side(session: nox.Session, *commands: list[str]) -> None:
    """Run commands at the same time, and show what those printed that failed; fails if one did."""
    failed = []
    with contextlib.ExitStack() as stack:
        begun = []
        for command in commands:
            output = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=TOP)
            stack.callback(process.kill)  # where another could not be started, or Ctrl+C ends this
            begun.append((Path(command[0]).name, output, process))
        for name, output, process in begun:
            if process.wait():
                failed.append(name)
                output.seek(0)
                print(output.read(), flush=True)
    if failed:
        session.error(f"see above what {' and '.join(dict.fromkeys(failed))} found")
    session.log(f"{', '.join(dict.fromkeys(name for name, _, _ in begun))} found nothing wrong")


def go_tools(session: nox.Session) -> Path:
    """The folder of the programs of tools/go.mod, after building what is missing of them: 15 s the first time."""
    folder = Path(session.cache_dir) / "go-tools"
    session.run("go", "-C", "tools", "build", "-o", f"{folder.resolve()}/", "tool", external=True, silent=True)
    return folder


def in_browser(session: nox.Session, module: str, *arguments: str) -> None:
    """Build the site, and run a module of tests/ that opens it in a browser."""
    install(session, "test")
    site = f"{session.cache_dir}/site"
    session.run("mkdocs", "build", "--quiet", f"--site-dir={site}")
    session.run("python", "-m", module, site, *arguments, env={"PYTHONPATH": str(TOP / "tests")})


@contextlib.contextmanager
def cluster(session: nox.Session, name: str, *options: str) -> Iterator[None]:
    """A cluster for as long as the block lasts; if it runs already, it is used as it is and left alone."""
    if is_running(name):
        session.log(f"Cluster {name!r} is running already; it stays until 'throwaway down'")
        yield
        return
    session.run("throwaway", "up", "--new", f"--name={name}", *options)  # if it fails, it leaves nothing
    try:
        yield
    finally:
        with undisturbed():
            session.run("throwaway", "down", f"--name={name}")


def in_each_mode(session: nox.Session, module: str) -> None:
    """Run a module with the session's arguments on a cluster of each mode; what nftables shows is kept."""
    session.run("throwaway", "setup")
    session.run("throwaway", "build")
    for mode in reversed(MODES):
        name = f"{session.name}-{mode}-{os.getpid()}"
        with cluster(session, name, f"--proxy-mode={mode}", *FAMILY):
            run = ["throwaway", "shell", f"--name={name}", "--", "python", "-m", module, *session.posargs]
            session.run(*run, env={"PYTHONPATH": f"{TOP / 'tests'}"}, interrupt_timeout=60)


def is_running(name: str) -> bool:
    """Whether there is such a cluster, ready to be used."""
    probe = ["throwaway", "shell", f"--name={name}", "--", "true"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def test_host(session: nox.Session, report: Path) -> bool:
    """Run the tests that need no cluster, or start their own; returns whether all passed."""
    with contextlib.suppress(CommandFailed):
        pytest = ["pytest", "--durations=10", f"--junit-xml={report}", "-m", "not cluster"]
        session.run(*pytest, interrupt_timeout=60)  # clusters end when they are interrupted
        return True
    return False


def test_in_both_modes(session: nox.Session, reports: dict[str, Path], *more: str) -> list[bool]:
    """Run all other tests on a cluster of each proxy mode; returns whether all passed, for each of MODES.

    The clusters are there side by side: while on one a test has it to itself, the other keeps the processors busy.
    `more` are arguments for pytest, `reports` are files to be written, by mode. With a report, tests that failed beside
    others are run once more, alone, and the report `again` says what was so.
    """
    with contextlib.suppress(CommandFailed), contextlib.ExitStack() as clusters:
        pytest, first = {}, {}
        for mode in MODES:
            name = f"test-{mode}-{os.getpid()}"
            clusters.enter_context(cluster(session, name, f"--proxy-mode={mode}", *FAMILY))
            pytest[mode] = ["throwaway", "shell", f"--name={name}", "--", "pytest", "--durations=10", *more]
            report = [f"--junit-xml={reports[mode]}"] if reports else []
            # What has nothing to do with the mode is run in the first one.
            which = "cluster" if mode == MODES[0] else "cluster and not once"
            skipped = [f"--ignore={path}" for path in START_CLUSTERS]  # half of what each worker would have to import
            first[mode] = [*pytest[mode], *report, "-m", which, *skipped, *SIDE_BY_SIDE]
        codes = run_and_show(first)
        passed = [codes[mode] == 0 for mode in MODES]
        for number, mode in enumerate(MODES) if reports else ():
            failed = failed_tests(reports[mode])
            if codes[mode] == TESTS_FAILED and 0 < len(failed) <= MOST_TRIED_AGAIN:
                session.log(f"{mode}: {len(failed)} failed beside others, and run once more alone")
                with contextlib.suppress(CommandFailed):
                    session.run(*pytest[mode], f"--junit-xml={again(reports[mode])}", *failed)
                passed[number] = have_passed(failed, outcomes_of(again(reports[mode])))
        return passed
    return [False] * len(MODES)


def run_and_show(commands: dict[str, list[str]]) -> dict[str, int]:
    """Run commands side by side, and show what they print, each line behind its command's name.

    Returns their exit codes.
    """

    def show(name: str, output: Iterable[str]) -> None:
        for line in output:
            print(f"{name} | {line}", end="", flush=True)

    with contextlib.ExitStack() as stack:
        processes = {}
        for name, command in commands.items():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOP)
            assert process.stdout
            thread = threading.Thread(target=show, args=(name, process.stdout))
            thread.start()
            stack.callback(thread.join)
            stack.callback(end, process)
            processes[name] = process
        return {name: process.wait() for name, process in processes.items()}


def end(process: "subprocess.Popen[str]") -> None:
    """End a program in order, if it has not ended: Ctrl+C has reached it, too, so that it may be about to."""
    for seconds in (30, 60):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        process.send_signal(signal.SIGINT)
    process.kill()


def again(report: Path) -> Path:
    """Where the report on tests lies that were run once more."""
    return report.with_stem(f"{report.stem}-again")


def outcomes_of(report: Path) -> dict[str, str]:
    """What became of the tests of a JUnit report, by the ids that pytest takes; nothing if there is no report."""
    root = ElementTree.parse(report).getroot() if report.exists() else ElementTree.Element("none")
    outcomes: dict[str, str] = {}
    for case in root.iter("testcase"):
        if not case.get("classname"):
            continue  # what went wrong outside any test
        tags = {child.tag for child in case}
        if any(each.get("name") == NOT_REACHED for each in case.iter("property")):
            tags = {NOT_REACHED}
        # pytest-xdist writes a test's group behind its name.
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('@')[0]}"
        words = OUTCOMES | {NOT_REACHED: NOT_REACHED}
        outcomes[test] = next((words[tag] for tag in words if tag in tags), "passed")
    return outcomes


def failed_tests(report: Path) -> dict[str, str]:
    """The tests that did not pass and were not skipped, by a JUnit report: id → outcome."""
    wrong = {*OUTCOMES.values(), NOT_REACHED} - {"skipped"}
    return {test: outcome for test, outcome in outcomes_of(report).items() if outcome in wrong}


def have_passed(failed: dict[str, str], now: dict[str, str]) -> bool:
    """Whether tests that failed have passed by now; a fence that was not reached may have been one to be skipped."""
    return all(now.get(test) in ("passed", "skipped" if was == NOT_REACHED else "") for test, was in failed.items())


def test_on_running_cluster(session: nox.Session) -> None:
    """Run chosen tests, else those of pages, on the cluster `throwaway`.

    It is started if need be, and stays for the next run.
    """
    is_named = any(argument.startswith("tests/") for argument in session.posargs)
    tests = [] if is_named else ["tests/test_pages.py"]
    if not is_running("throwaway"):
        session.run("throwaway", "up", *FAMILY)
    try:
        session.run("throwaway", "shell", "--", "pytest", *tests, *session.posargs, interrupt_timeout=60)
    finally:
        session.log("The cluster stays up for your next run; '.venv/bin/throwaway down' ends it")


def last_line(failed: dict[Path, bool], seconds: float) -> str:
    """What pytest would say last if all runs were one, tests that were run once more being counted as `rerun` too.

    A run that failed without a failed test, such as one whose cluster did not start, counts as an error.
    """
    counts: Counter[str] = Counter()
    for report, is_failed in failed.items():
        rerun = outcomes_of(again(report))
        outcomes = Counter((outcomes_of(report) | rerun).values())
        outcomes["failed"] += outcomes.pop(NOT_REACHED, 0)
        if is_failed and not outcomes["failed"] + outcomes["error"]:
            outcomes["error"] += 1
        counts += outcomes
        counts["rerun"] += len(rerun)
    words = ("failed", "passed", "skipped", "rerun", "error")
    parts = [f"{counts[word]} {word}" for word in words if counts[word]]
    return f"== {', '.join(parts)}{'s' if counts['error'] > 1 else ''} in {seconds:.2f}s =="


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No signal ends what runs in this block."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (*SIGNALS, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Do what Ctrl+C does: interrupt the program that the session runs, and the session."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGINT)
    raise KeyboardInterrupt


# A session that is ended by another program or with its terminal takes its cluster with it, too.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
for number in SIGNALS:
    if signal.getsignal(number) == signal.SIG_DFL:
        signal.signal(number, interrupt)
