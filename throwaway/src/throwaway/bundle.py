"""Programs that were built elsewhere: a release's bundle, taken instead of a build that lasts minutes.

Which bundle belongs to these sources is pinned in `bundles.json`, by a key of all that the programs are built from.
What the pin's checksum does not fit is never unpacked. Only programs are in a bundle: the images, which hold programs
of this machine too, are made here.
"""

import errno
import gzip
import hashlib
import http
import json
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from throwaway import cache
from throwaway.errors import ThrowawayError

PINS = Path(__file__).with_name("bundles.json")
"""Key → where the bundle is: `url`, `sha256` and `bytes`."""

_TIMEOUT_SECONDS = 20.0
_ATTEMPTS = 4
_PAUSE_SECONDS = 1.0
_CHUNK = 1 << 20


class BundleError(ThrowawayError):
    """A bundle cannot be had; a build does as well."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that is pinned for these sources."""

    url: str
    """Where it is."""
    sha256: str
    """What its bytes must give."""
    bytes: int
    """How long it is."""


def pinned(key: str) -> Bundle | None:
    """The bundle of these sources; None if there is none, as between releases."""
    entry = json.loads(PINS.read_text()).get(key)
    return Bundle(**entry) if entry else None


def write(programs: Path, folder: Path, key: str) -> tuple[Path, dict[str, Any]]:
    """Write the bundle of built programs into a folder; returns its file, and its pin but for the address.

    The same programs give the same bytes.
    """
    path = folder / f"throwaway-{key}.tar.gz"

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.name == cache.MANIFEST:
            return None
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for program in sorted(programs.iterdir()):
                tar.add(program, program.name, filter=plain)
    except OSError as error:
        raise ThrowawayError(f"cannot write {path}: {error.strerror}") from None
    return path, {"sha256": _digest(path), "bytes": path.stat().st_size}


def fetch(bundle: Bundle, folder: Path, report: Callable[[int, int], None]) -> None:
    """Download a bundle, check it, unpack it into a folder; `report` is given the bytes that are there, and all.

    What an interrupted download has brought stays in the cache for the next one. Raises `BundleError` when it cannot be
    had, or is not the one that is pinned.
    """
    part = cache.folder() / f"{bundle.sha256}.part"
    _download(bundle, part, report)
    if (digest := _digest(part)) != bundle.sha256:
        part.unlink()
        raise BundleError(f"{bundle.url} is not what was released: its SHA-256 is {digest}, not {bundle.sha256}")
    try:
        with tarfile.open(part) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise BundleError(f"{bundle.url} cannot be unpacked: {error}") from None
    finally:
        part.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(bundle: Bundle, part: Path, report: Callable[[int, int], None]) -> None:
    """Have all bytes in a file, going on where an earlier attempt has ended."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        there = part.stat().st_size if part.exists() else 0
        if there == bundle.bytes:
            return
        if there > bundle.bytes:
            part.unlink()
            there = 0
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        request = urllib.request.Request(bundle.url, headers={"Range": f"bytes={there}-"} if there else {})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
                with part.open("ab" if goes_on else "wb") as file:
                    while chunk := answer.read(_CHUNK):
                        file.write(chunk)
                        report(file.tell(), bundle.bytes)
            reason = f"it ended after {part.stat().st_size} of {bundle.bytes} bytes"
        except urllib.error.HTTPError as error:
            raise BundleError(f"{bundle.url} answers {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            reason = str(error.reason)
            if not there and not part.exists():
                break  # nobody is there: a build need not wait for several attempts
        except (HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # a build needs more room still
            reason = str(error) or type(error).__name__
    if part.exists() and part.stat().st_size == bundle.bytes:
        return
    raise BundleError(f"{bundle.url} cannot be had: {reason}")
