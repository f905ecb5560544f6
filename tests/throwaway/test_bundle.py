"""A release's bundle instead of a build, from a real server on loopback."""

import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress as Lines

from throwaway import build, bundle, cache
from throwaway.build import Progress
from throwaway.cli.display import Display
from throwaway.errors import ThrowawayError
from workshop import Workshop


@dataclass
class Release:
    """A server with one bundle."""

    file: Path
    """What it serves."""
    url: str = ""
    """Where."""
    ranges: list[str] = field(default_factory=list)
    """The header Range of each request; "" where there was none."""
    lengths: list[int] = field(default_factory=list)
    """After how many bytes each next answer breaks off; when there are no more, none does."""
    status: HTTPStatus = HTTPStatus.OK
    """Its answer, if not the bundle."""


@pytest.fixture
def release(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Release]:
    """A release of the workshop's programs, pinned; nothing is built in the workshop's cache any more."""
    folder = tmp_path_factory.mktemp("release")
    monkeypatch.setattr(bundle, "PINS", folder / "bundles.json")
    bundle.PINS.write_text("{}")
    path, key, pin = build.write_bundle(folder, lambda progress: None)
    monkeypatch.setenv("THROWAWAY_CACHE", str(folder / "cache"))
    monkeypatch.setattr(bundle, "_PAUSE_SECONDS", 0.0)
    served = Release(path)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            served.ranges.append(asked)
            if served.status != HTTPStatus.OK:
                self.send_error(served.status)
                return
            begin = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
            body = served.file.read_bytes()[begin:]
            self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: served.lengths.pop(0)] if served.lengths else body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/{path.name}"
    bundle.PINS.write_text(json.dumps({key: {"url": served.url, **pin}}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def repin(**changed: Any) -> None:
    """Change the only pin."""
    ((key, pin),) = json.loads(bundle.PINS.read_text()).items()
    bundle.PINS.write_text(json.dumps({key: pin | changed}))


def built_from_source(workshop: Workshop) -> bool:
    """Whether Go was at work since the last `build`; what it has compiled before it only links."""
    return {"greetings", "tools"} & {report.part for report in workshop.reports} != set()


def refusals(workshop: Workshop) -> list[str]:
    return [report.item for report in workshop.reports if report.step == "refused"]


def test_a_bundle_is_taken_instead_of_a_build(workshop: Workshop, release: Release) -> None:
    built = workshop.build()
    assert not built_from_source(workshop)
    assert sorted(path.name for path in built.bin.iterdir()) == ["bye", "hello", "manifest.json", "saw"]
    assert workshop.says(built.bin / "saw").endswith(f"/saw {workshop.folder}\n")
    assert workshop.says(built.bin / "bye").startswith(str(built.bin / "bye"))
    assert build.find() == built
    assert workshop.build() == built
    assert release.ranges == [""], "it is downloaded once"
    assert list(cache.folder().glob("*.part")) == []


def test_the_same_programs_give_the_same_bundle(workshop: Workshop, release: Release, tmp_path: Path) -> None:
    again, _, _ = build.write_bundle(tmp_path / "again", lambda progress: None)
    assert again.read_bytes() == release.file.read_bytes()


def test_from_source_never_asks_for_it(workshop: Workshop, release: Release) -> None:
    build.ensure(workshop.reports.append, from_source=True)
    assert built_from_source(workshop)
    assert release.ranges == []


def test_from_source_builds_though_the_bundle_is_there(workshop: Workshop, release: Release) -> None:
    fetched = workshop.build()
    built = build.ensure(workshop.reports.append, from_source=True)
    assert built_from_source(workshop)
    assert built.bin != fetched.bin
    assert build.find() == built, "what was built here comes first"


def test_other_sources_have_no_bundle(workshop: Workshop, release: Release) -> None:
    source = workshop.source("tools", "saw")
    source.write_text(source.read_text() + "\n// changed\n")
    workshop.build()
    assert built_from_source(workshop)
    assert release.ranges == []


def test_a_download_that_breaks_off_goes_on_where_it_was(workshop: Workshop, release: Release) -> None:
    release.lengths = [1000, 500]
    workshop.build()
    assert release.ranges == ["", "bytes=1000-", "bytes=1500-"]
    assert not built_from_source(workshop)


def test_a_download_that_never_ends_well_leads_to_a_build_and_is_resumed_later(
    workshop: Workshop, release: Release
) -> None:
    release.lengths = [1000, 0, 0, 0]
    workshop.build()
    assert built_from_source(workshop)
    (said,) = refusals(workshop)
    size = release.file.stat().st_size
    assert said == f"{release.url} cannot be had: it ended after 1000 of {size} bytes; building from source"
    (part,) = cache.folder().glob("*.part")
    assert part.stat().st_size == 1000


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN])
def test_a_bundle_that_is_not_there_leads_to_a_build(workshop: Workshop, release: Release, status: HTTPStatus) -> None:
    release.status = status
    built = workshop.build()
    assert "/saw" in workshop.says(built.bin / "saw")
    assert built_from_source(workshop)
    (said,) = refusals(workshop)
    assert said == f"{release.url} answers {status} {status.phrase}; building from source"


def test_a_server_that_is_not_there_leads_to_a_build(workshop: Workshop, release: Release) -> None:
    repin(url="http://127.0.0.1:9/bundle.tar.gz")
    workshop.build()
    assert built_from_source(workshop)
    assert refusals(workshop) == [
        "http://127.0.0.1:9/bundle.tar.gz cannot be had: [Errno 111] Connection refused; building from source"
    ]


def test_a_bundle_with_another_checksum_is_never_used(workshop: Workshop, release: Release) -> None:
    body = bytearray(release.file.read_bytes())
    body[len(body) // 2] ^= 1
    release.file.write_bytes(body)
    workshop.build()
    assert built_from_source(workshop)
    assert "is not what was released: its SHA-256 is" in refusals(workshop)[0]
    assert list(cache.folder().glob("*.part")) == []
    assert list(cache.folder().glob("bin-of-bundle-*")) == []


def test_a_bundle_that_would_write_elsewhere_is_refused(workshop: Workshop, release: Release) -> None:
    with tarfile.open(release.file, "w:gz") as tar:
        member = tarfile.TarInfo("../outside")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    body = release.file.read_bytes()
    repin(sha256=hashlib.sha256(body).hexdigest(), bytes=len(body))
    workshop.build()
    assert "cannot be unpacked" in refusals(workshop)[0]
    assert not any(cache.folder().rglob("outside"))
    assert workshop.leftovers() == []


def test_damage_to_what_came_from_a_bundle_is_repaired(workshop: Workshop, release: Release) -> None:
    built = workshop.build()
    (built.bin / "saw").write_bytes(b"damaged")
    assert build.find() is None
    assert "/saw" in workshop.says(workshop.build().bin / "saw")
    assert len(release.ranges) == 2


def test_a_folder_that_cannot_be_written_is_said_in_one_line(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ThrowawayError, match=r"^cannot write /\S+\.tar\.gz: Not a directory$"):
        build.write_bundle(tmp_path / "file" / "folder", lambda progress: None)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_why_a_bundle_was_refused_stays_on_the_screen(is_terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=40)
    with Lines(console=console, transient=True) if is_terminal else contextlib.nullcontext() as lines:
        display = Display(lines)
        display.build(Progress("bundle", "refused", "http://x/y cannot be had: [Errno 111]; building from source"))
        display.build(Progress("kubernetes", "compiling", "p", 1, 2))
    text = shown.getvalue() if is_terminal else capsys.readouterr().err
    assert "bundle: http://x/y cannot be had: [Errno 111]; building from source\n" in text
