"""The cache: folders named after what they are made from, which have this name only when they are whole.

An entry ends with a manifest, by which damage is noticed. Whoever makes entries holds a lock; what an
interrupted maker leaves behind is removed by the next.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from throwaway.errors import ThrowawayError

MANIFEST = "manifest.json"
"""The file in each entry that says what else is in it."""
_TEMPORARY = "tmp-"
_UNUSED_SECONDS = 7 * 24 * 3600.0
"""An entry that nobody used for so long is removed."""


def folder() -> Path:
    """Where the cache lies: `$THROWAWAY_CACHE`, else `throwaway` in the account's cache folder."""
    if own := os.environ.get("THROWAWAY_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "throwaway"


def key(*parts: str | bytes) -> str:
    """A short text that differs when any of the parts does."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part if isinstance(part, bytes) else part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:16]


def is_whole(entry: Path) -> bool:
    """Whether an entry is there and each file is as it was; only those whose times have changed are read."""
    try:
        manifest = json.loads((entry / MANIFEST).read_text())
        for name, target in manifest["links"].items():
            if os.readlink(entry / name) != target:
                return False
        for name, (size, mtime, digest) in manifest["files"].items():
            status = os.stat(entry / name)
            if status.st_size != size or (status.st_mtime_ns != mtime and _digest(entry / name) != digest):
                return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    with contextlib.suppress(OSError):  # a cache that cannot be written serves as well
        os.utime(entry / MANIFEST)  # it is in use
    return True


@contextlib.contextmanager
def locked(when_waiting: Callable[[], None]) -> Iterator[Path]:
    """Hold the cache's lock and yield its folder; calls `when_waiting` when somebody else holds it.

    The lock goes with this process, however it ends. Raises `ThrowawayError` if the folder cannot be written.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True)
        file = (folder() / "lock").open("a")
    except OSError as error:
        raise ThrowawayError(
            f"cannot write to {folder()}: {error.strerror}; set THROWAWAY_CACHE to a folder of your own"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        for path in folder().glob(f"{_TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)
        yield folder()
        for manifest in folder().glob(f"*/{MANIFEST}"):
            if time.time() - manifest.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(manifest.parent, ignore_errors=True)
        for download in folder().glob("*.part"):
            if time.time() - download.stat().st_mtime > _UNUSED_SECONDS:
                download.unlink()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder in the cache, removed at the end or, after a kill, by the next who takes the lock."""
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder(), ignore_cleanup_errors=True) as name:
        yield Path(name)


def ensure_entry(name: str, make: Callable[[Path], None]) -> Path:
    """The entry of this name; if it is missing or damaged, `make` fills a new folder. Needs the lock."""
    entry = folder() / name
    if is_whole(entry):
        return entry
    with temporary_folder() as temporary:
        new = temporary / "entry"
        new.mkdir()
        new.chmod(0o755)
        make(new)
        _write_manifest(new)
        if entry.exists():
            entry.rename(temporary / "damaged")
        new.rename(entry)
    return entry


def _write_manifest(entry: Path) -> None:
    files: dict[str, tuple[int, int, str]] = {}
    links: dict[str, str] = {}
    for path in sorted(entry.rglob("*")):
        name = str(path.relative_to(entry))
        if path.is_symlink():
            links[name] = os.readlink(path)
        elif path.is_file():
            status = path.stat()
            files[name] = (status.st_size, status.st_mtime_ns, _digest(path))
    (entry / MANIFEST).write_text(json.dumps({"files": files, "links": links}, indent=1))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
