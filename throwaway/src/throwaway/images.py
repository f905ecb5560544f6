"""Makes images: tars in the layout of OCI, which containerd imports, from programs that lie on this machine.

An image has one layer, uncompressed, above those of another image if it is made from one. The same files make the same
bytes: entries are sorted, times are zero, everything belongs to root if nothing else is said.
"""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from throwaway.errors import ThrowawayError
from throwaway.image_archive import Layer
from throwaway.requirements import ARCHITECTURES, required_program

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of every image."""

_HOST_TOOLS = ("busybox", "curl", "dig", "nc")


@dataclass(frozen=True)
class File:
    """A regular file in an image."""

    path: str
    """Where it lies in the image, absolute."""
    content: Path | bytes
    """What it holds: a file of this machine, or bytes."""
    mode: int = 0o755
    """Its permissions."""
    owner: tuple[int, int] = (0, 0)
    """The ids of its user and its group."""


@dataclass(frozen=True)
class Link:
    """A symbolic link in an image."""

    path: str
    """Where it lies in the image, absolute."""
    target: str
    """Where it points to."""
    owner: tuple[int, int] = (0, 0)
    """The ids of its user and its group."""


@dataclass(frozen=True)
class Folder:
    """A folder in an image. Those that contain something are made anyhow, with mode 755."""

    path: str
    """Where it lies in the image, absolute."""
    mode: int = 0o755
    """Its permissions."""
    owner: tuple[int, int] = (0, 0)
    """The ids of its user and its group."""


Entry = File | Link | Folder


@dataclass(frozen=True)
class Image:
    """What an image is made from."""

    reference: str
    """Its full name, with registry and tag: a Pod's `image` with Docker's defaults filled in."""
    entries: tuple[Entry, ...]
    """Its files."""
    entrypoint: tuple[str, ...] = ()
    """The program and its first arguments; a container's `command` replaces them."""
    command: tuple[str, ...] = ()
    """Further arguments; a container's `args` replace them."""
    user: str = ""
    """The user (and group) that its containers run as: `UID[:GID]`; root when empty."""
    config: Mapping[str, Any] | None = None
    """How its containers run, by OCI's names, in place of the three above."""
    base: tuple[Layer, ...] = ()
    """The layers of another image that it is made from, the lowest first; then `entries` need not be whole paths."""

    @property
    def file_name(self) -> str:
        """A name for its tar: the reference with all separators replaced."""
        return re.sub(r"[/:]", "_", self.reference) + ".tar"


def images(binaries: Path) -> list[Image]:
    """All images of a cluster, from the folder of built binaries and the host's own tools."""

    def program(name: str) -> tuple[Entry, ...]:
        return (File(f"/{name}", binaries / name), *_ACCOUNTS, Folder("/tmp", 0o1777))

    return [
        Image("registry.k8s.io/pause:3.10.2", program("pause"), ("/pause",)),
        Image("docker.io/hashicorp/http-echo:1.0.0", program("http-echo"), ("/http-echo",)),
        Image("registry.k8s.io/e2e-test-images/agnhost:2.66.1", program("agnhost"), ("/agnhost",), ("pause",)),
        Image("registry.k8s.io/coredns/coredns:v1.14.7", program("coredns"), ("/coredns",)),
        Image("quay.io/metallb/controller:v0.15.2", program("controller"), ("/controller",)),
        Image("quay.io/metallb/speaker:v0.15.2", program("speaker"), ("/speaker",)),
        toolbox(),
    ]


def toolbox() -> Image:
    """A shell with busybox' tools, and the host's curl, dig and nc with their libraries."""
    tools = host_tools()
    entries = {entry.path: entry for entry in with_libraries(tools)}
    busybox = required_program("busybox").resolve()
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        path = f"/usr/bin/{applet}"
        entries.setdefault(path, Link(path, str(busybox)))
    if not any(path == "/bin" or path.startswith("/bin/") for path in entries):
        entries["/bin"] = Link("/bin", "usr/bin")
    entries |= {entry.path: entry for entry in (*_ACCOUNTS, Folder("/tmp", 0o1777), Folder("/root", 0o700))}
    return Image("localhost/toolbox:1", tuple(entries.values()), command=("sh",))


_ACCOUNTS = (
    File("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
    File("/etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644),
    File("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n", 0o644),
)


def host_tools() -> list[Path]:
    """This machine's programs that go into the toolbox; raises `ThrowawayError` when one is missing."""
    return [required_program(name) for name in _HOST_TOOLS]


def with_libraries(programs: Iterable[Path]) -> list[Entry]:
    """Programs of this machine and the shared libraries they need, at the paths where they lie here.

    Symbolic links on the way (`/bin`, `/lib64`, `libc.so.6`) are taken over as they are, so that the loader,
    whose path is written in every program, is found in the image as it is here.
    """
    entries: dict[str, Entry] = {}
    for program in programs:
        for path in (program, *_libraries(program)):
            entries |= {entry.path: entry for entry in _with_links(path)}
    return list(entries.values())


def _libraries(program: Path) -> list[Path]:
    """The shared libraries and the loader of a program, as the loader itself finds them; see ldd(1)."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    output = done.stdout + done.stderr
    if "not found" in output:
        raise ThrowawayError(f"{program} lacks a library: {output.strip().splitlines()[0].strip()}; reinstall it")
    if done.returncode and "not a dynamic executable" not in output:
        raise ThrowawayError(f"ldd {program} failed: {output.strip()}")
    return [Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.MULTILINE)]


def _with_links(path: Path) -> Iterator[Entry]:
    """The file at `path` and every symbolic link that one follows on the way to it."""
    done = PurePosixPath("/")
    parts = list(path.parts[1:])
    while parts:
        step = done / parts.pop(0)
        if os.path.islink(step):
            target = os.readlink(step)
            yield Link(str(step), target)
            whole = PurePosixPath(os.path.normpath(done / target))
            done, parts = PurePosixPath("/"), [*whole.parts[1:], *parts]
        else:
            done = step
    yield File(str(done), Path(done))


def write(image: Image, tar: Path) -> str:
    """Write an image as a tar of an OCI image layout, to be imported by `ctr images import`; returns its digest.

    Layout: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md; containerd takes the
    name from the annotation `io.containerd.image.name`. A tar that is there already, perhaps the base's, is replaced
    when the new one is whole.
    """
    target = tar.resolve()
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".throwaway-") as scratch,
        tempfile.TemporaryFile(dir=scratch) as own,
    ):
        layers = [
            (_layer_descriptor(layer.media_type, layer.digest, layer.size), layer.diff_id) for layer in image.base
        ]
        if image.entries or not image.base:
            _write_layer(image.entries, own, with_parents=not image.base)
            size = own.tell()
            own.seek(0)
            digest = f"sha256:{hashlib.file_digest(own, 'sha256').hexdigest()}"
            layers.append((_layer_descriptor("application/vnd.oci.image.layer.v1.tar", digest, size), digest))
        config = _json(_config(image, [diff_id for _, diff_id in layers]))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers": [descriptor for descriptor, _ in layers],
            }
        )
        index = _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [
                    {
                        **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
                        "annotations": {
                            "io.containerd.image.name": image.reference,
                            "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
                        },
                    }
                ],
            }
        )
        contents = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": index,
            _blob(_digest(manifest)): manifest,
            _blob(_digest(config)): config,
        }
        whole = Path(scratch, target.name)
        with tarfile.open(whole, "w") as archive:
            for name, content in contents.items():
                _add_file(archive, name, io.BytesIO(content), len(content), 0o644)
            for layer in {layer.digest: layer for layer in image.base}.values():
                with layer.open() as blob:
                    _add_file(archive, _blob(layer.digest), blob, layer.size, 0o644)
            if len(layers) > len(image.base):
                own.seek(0)
                _add_file(archive, _blob(digest), own, size, 0o644)
        whole.replace(target)
    return _digest(manifest)


def _layer_descriptor(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _config(image: Image, diff_ids: list[str]) -> dict[str, object]:
    own = {
        "Env": [f"PATH={PATH}"],
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.command),
        "User": image.user,
        "WorkingDir": "/",
    }
    return {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": own if image.config is None else image.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _write_layer(entries: Iterable[Entry], file: IO[bytes], with_parents: bool) -> None:
    """Write entries as a tar, with all folders on the way to them; raises `ThrowawayError` if two collide."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise ThrowawayError(f"the image has {entry.path} twice")
        by_path[entry.path] = entry
    for path in list(by_path) if with_parents else []:
        for parent in map(str, list(PurePosixPath(path).parents)[:-1]):
            if not isinstance(by_path.setdefault(parent, Folder(parent)), Folder):
                raise ThrowawayError(f"the image has {path} below {parent}, which is not a folder in it")
    with tarfile.open(fileobj=file, mode="w") as layer:
        for path, entry in sorted(by_path.items()):
            _add_entry(layer, path.lstrip("/"), entry)


def _add_entry(layer: tarfile.TarFile, name: str, entry: Entry) -> None:
    if isinstance(entry, Link):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        info.uid, info.gid = entry.owner
        layer.addfile(info)
    elif isinstance(entry, Folder):
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, entry.mode
        info.uid, info.gid = entry.owner
        layer.addfile(info)
    elif isinstance(entry.content, bytes):
        _add_file(layer, name, io.BytesIO(entry.content), len(entry.content), entry.mode, entry.owner)
    else:
        with entry.content.open("rb") as source:
            _add_file(layer, name, source, os.fstat(source.fileno()).st_size, entry.mode, entry.owner)


def _add_file(
    archive: tarfile.TarFile, name: str, source: IO[bytes], size: int, mode: int, owner: tuple[int, int] = (0, 0)
) -> None:
    info = tarfile.TarInfo(name)  # with time 0
    info.size, info.mode = size, mode
    info.uid, info.gid = owner
    archive.addfile(info, source)
