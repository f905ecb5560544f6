"""Reads image tars: what `docker save`, `podman save` and others write, in Docker's layout or that of OCI.

Layouts: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md and
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format. Where a
tar has both, OCI's counts, as for containerd.
"""

import contextlib
import gzip
import hashlib
import io
import json
import posixpath
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from throwaway import references
from throwaway.errors import ThrowawayError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """A layer of an image, in the image's tar."""

    tar: Path
    """The tar, uncompressed."""
    name: str
    """The layer's name in it."""
    media_type: str
    """What it is, by OCI's name."""
    digest: str
    """The digest of its bytes."""
    diff_id: str
    """The digest of its bytes without compression."""
    size: int
    """How many bytes it has."""

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes as they are, perhaps compressed."""
        with tarfile.open(self.tar, "r:") as archive:
            content = archive.extractfile(self.name)
            assert content
            yield content


@dataclass(frozen=True)
class Variant:
    """An image for one platform."""

    platform: str
    """Operating system and architecture, as in linux/amd64."""
    config: dict[str, Any]
    """Its configuration."""
    layers: tuple[Layer, ...]
    """Its layers, the lowest first."""


@dataclass(frozen=True)
class Archived:
    """An image in a tar."""

    reference: str
    """Its full name."""
    variants: tuple[Variant, ...]
    """It for each platform of which the tar has all layers."""


@dataclass(frozen=True)
class Archive:
    """A tar of images."""

    tar: Path
    """The tar itself, or a copy of it without compression."""
    images: tuple[Archived, ...]
    """Its images that have a name; at least one."""

    @property
    def references(self) -> list[str]:
        """The full names of its images."""
        return [image.reference for image in self.images]


@contextlib.contextmanager
def opened(tar: Path) -> Iterator[Archive]:
    """Read a tar, which may be gzip'ed; `-` is standard input.

    Raises `ThrowawayError` for what is no tar of images, and for images without a name.
    """
    with contextlib.ExitStack() as copies:
        plain = tar
        if str(tar) == "-":
            plain = _copy(sys.stdin.buffer, copies)
            if not plain.stat().st_size:
                raise ThrowawayError("standard input is empty; what was to write the tar has written nothing")
        try:
            with plain.open("rb") as file:
                is_compressed = file.read(2) == _GZIP
        except FileNotFoundError:
            raise ThrowawayError(f"there is no image tar {tar}") from None
        except OSError as error:
            raise ThrowawayError(f"image tar {tar} cannot be read: {error.strerror}") from None
        if is_compressed:
            try:
                with gzip.open(plain) as content:
                    plain = _copy(content, copies)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ThrowawayError(f"{tar} is damaged: {error}") from None
        yield Archive(plain, tuple(_read(plain, str(tar))))


def _copy(source: BinaryIO | gzip.GzipFile, copies: contextlib.ExitStack) -> Path:
    copy = tempfile.NamedTemporaryFile(prefix="throwaway-", suffix=".tar")  # noqa: SIM115 - `copies` closes it
    copies.enter_context(copy)
    shutil.copyfileobj(source, copy)
    copy.flush()
    return Path(copy.name)


def _read(tar: Path, shown: str) -> list[Archived]:
    try:
        archive = tarfile.open(tar, "r:")  # noqa: SIM115 - it is told apart from what goes wrong later
    except tarfile.TarError:
        raise ThrowawayError(f"{shown} is no tar; 'docker save' and 'podman save' write tars of images") from None
    with archive:
        try:
            contents = _Contents(tar, archive)
            if "oci-layout" in contents.members:
                found = _oci_images(contents)
                _check_complete(found, shown)
            elif "manifest.json" in contents.members:
                found = _docker_images(contents)
            else:
                raise ThrowawayError(
                    f"{shown} is a tar, but of no images: it has neither index.json nor manifest.json;"
                    " 'docker save' and 'podman save' write those"
                )
        except (tarfile.TarError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ThrowawayError(f"{shown} is a damaged tar of images ({type(error).__name__}: {error})") from None
    named = [Archived(references.full(name), variants) for name, variants in found if name]
    if not named:
        raise ThrowawayError(f"no image in {shown} has a name; save it by its name, as in 'docker save NAME:TAG'")
    return named


def _check_complete(found: "_Found", shown: str) -> None:
    """Names in OCI's layout are taken as they are: by a short one no Pod would find its image."""
    for name, _ in found:
        if name and name != references.full(name):
            raise ThrowawayError(
                f"the name {name!r} in {shown} is not complete; save the image as {references.full(name)}"
            )


class _Contents:
    """What lies in a tar."""

    def __init__(self, tar: Path, archive: tarfile.TarFile) -> None:
        self.tar = tar
        self.archive = archive
        self.members = {posixpath.normpath(member.name): member.name for member in archive}

    def json(self, name: str) -> Any:
        return json.load(self._file(name))

    def _file(self, name: str) -> io.BufferedReader:
        file = self.archive.extractfile(self.members[name])
        if not isinstance(file, io.BufferedReader):
            raise ValueError(f"{name} is no file")
        return file

    def _digest(self, name: str) -> str:
        return f"sha256:{hashlib.file_digest(self._file(name), 'sha256').hexdigest()}"

    def layer(self, name: str, diff_id: str, digest: str = "") -> Layer:
        """The layer of this name; its digest is found out if it is not given."""
        file = self._file(name)
        begin = file.read(4)
        ending = "+gzip" if begin.startswith(_GZIP) else "+zstd" if begin == _ZSTD else ""
        if not digest and ending:
            digest = self._digest(name)
        size = file.seek(0, 2)
        return Layer(self.tar, self.members[name], _LAYER + ending, digest or diff_id, diff_id, size)


_Found = list[tuple[str, tuple[Variant, ...]]]
"""Names of images, "" for one that has none, and for which platforms they are."""


def _docker_images(contents: _Contents) -> _Found:
    found: _Found = []
    for image in contents.json("manifest.json"):
        config = contents.json(posixpath.normpath(image["Config"]))
        names = map(posixpath.normpath, image["Layers"])
        layers = tuple(map(contents.layer, names, config["rootfs"]["diff_ids"]))
        variants = (Variant(_platform(config), config, layers),)
        found += [(name, variants) for name in image.get("RepoTags") or [""]]
    return found


def _oci_images(contents: _Contents) -> _Found:
    found: dict[str, tuple[Variant, ...]] = {}
    for described in contents.json("index.json")["manifests"]:
        name = _name(described.get("annotations") or {})
        found[name] = found.get(name, ()) + tuple(_variants(contents, described))
    return list(found.items())


def _name(annotations: Mapping[str, str]) -> str:
    """The name of an image; "" if it has none, or a tag alone, for which containerd would invent a name."""
    name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name", "")
    return name if set(name) & set("/:@") else ""


def _variants(contents: _Contents, described: Mapping[str, Any]) -> Iterator[Variant]:
    """What an entry of an index stands for, as far as the tar has it: a manifest, or an index of some."""
    name = _blob(described["digest"])
    if name not in contents.members:
        return
    document = contents.json(name)
    for each in document.get("manifests", ()):
        yield from _variants(contents, each)
    names = [_blob(layer["digest"]) for layer in document.get("layers", ())]
    if "config" not in document or not {_blob(document["config"]["digest"]), *names} <= set(contents.members):
        return
    config = contents.json(_blob(document["config"]["digest"]))
    if not config.get("rootfs"):
        return  # something else than an image, such as a signature
    digests = [layer["digest"] for layer in document["layers"]]
    layers = tuple(map(contents.layer, names, config["rootfs"]["diff_ids"], digests))
    yield Variant(_platform(config), config, layers)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _platform(config: Mapping[str, Any]) -> str:
    return f"{config['os']}/{config['architecture']}"
