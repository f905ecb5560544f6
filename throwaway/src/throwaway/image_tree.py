"""The files of an image that is made from another one: what is where, and where links lead."""

import posixpath
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from throwaway.errors import ThrowawayError
from throwaway.image_archive import Layer
from throwaway.images import Entry, File, Folder, Link

_MOST_LINKS = 40
"""How many links the kernel follows on the way to one file; see path_resolution(7)."""


class Tree:
    """The files of an image: those of its base, which are looked at only, and its own."""

    def __init__(self) -> None:
        self.own: dict[str, Entry] = {}
        """Path → what the image's own layer has there."""
        self._below: dict[str, tarfile.TarInfo] = {}
        """Path → what the base has there."""

    def add_layers(self, layers: Sequence[Layer]) -> None:
        """Put the layers of a base, the lowest first; raises `ThrowawayError` if one cannot be read."""
        for layer in layers:
            try:
                with layer.open() as content, tarfile.open(fileobj=content, mode="r:*") as archive:
                    for member in archive:
                        self._add_below(posixpath.normpath(f"/{member.name}"), member)
            except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
                reason = str(error).splitlines()[0]
                raise ThrowawayError(f"layer {layer.digest} ({layer.media_type}) cannot be read: {reason}") from None

    def _add_below(self, path: str, member: tarfile.TarInfo) -> None:
        """Put an entry of a layer; those called .wh.NAME delete NAME, .wh..wh..opq all in the folder."""
        folder, name = posixpath.split(path)
        if name == ".wh..wh..opq":
            self._remove_below(folder)
        elif name.startswith(".wh."):
            deleted = posixpath.join(folder, name.removeprefix(".wh."))
            self._below.pop(deleted, None)
            self._remove_below(deleted)
        else:
            if path in self._below and not member.isdir():
                self._remove_below(path)
            self._below[path] = member

    def _remove_below(self, folder: str) -> None:
        for path in [path for path in self._below if path.startswith(f"{folder}/")]:
            del self._below[path]

    def kind(self, path: str) -> str:
        """What is at a path: `file`, `folder` or `link`; "" for nothing."""
        if path == "/":
            return "folder"
        if entry := self.own.get(path):
            return _kind(entry)
        if member := self._below.get(path):
            return "link" if member.issym() else "folder" if member.isdir() else "file"
        return ""

    def real(self, path: str) -> str:
        """The path with all links of the image followed, as a container has it."""
        done, parts, followed = "/", [part for part in path.split("/") if part and part != "."], 0
        while parts:
            step = posixpath.normpath(posixpath.join(done, parts.pop(0)))
            if self.kind(step) != "link":
                done = step
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise ThrowawayError(f"the links at {path} in the image lead in a circle")
            own = self.own.get(step)
            target = own.target if isinstance(own, Link) else self._below[step].linkname
            done, parts = "/" if target.startswith("/") else done, [*target.strip("/").split("/"), *parts]
        return done

    def add(self, entry: Entry) -> None:
        """Put an entry of our own; raises `ThrowawayError` where it and what is there exclude each other.

        A folder that is there already stays as it is, as with Docker.
        """
        folder, name = posixpath.split(entry.path)
        path = posixpath.join(self.real(folder), name)
        if isinstance(entry, Folder) and self.kind(path) == "link":
            path = self.real(path)
        there = self.kind(path)
        if isinstance(entry, Folder) and there == "folder":
            return
        if there == "folder" or (there and isinstance(entry, Folder)):
            raise ThrowawayError(f"{path} is a {there} in the image, which a {_kind(entry)} cannot take the place of")
        self.add_folder(posixpath.dirname(path), entry.owner)
        self.own[path] = replace(entry, path=path)

    def add_folder(self, path: str, owner: tuple[int, int]) -> None:
        """Make a folder, and those on the way to it, where there are none; `path` is a real one."""
        for folder in reversed([path, *map(str, PurePosixPath(path).parents)]):
            there = self.kind(folder)
            if there not in ("", "folder"):
                raise ThrowawayError(f"{folder} is a {there} in the image, not a folder")
            if not there:
                self.own[folder] = Folder(folder, owner=owner)


def _kind(entry: Entry) -> str:
    return {File: "file", Folder: "folder", Link: "link"}[type(entry)]
