"""The folder that an image is built from: its files, without those that `.dockerignore` excludes."""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from throwaway.dockerfile import lines_of
from throwaway.errors import ThrowawayError
from throwaway.images import Entry, File, Folder, Link


class Context:
    """The folder from which files are copied, without what `.dockerignore` excludes, and without one more file."""

    def __init__(self, folder: Path, but_for: Path | None = None) -> None:
        self.folder = folder
        rules = _ignore_rules(folder / ".dockerignore")
        self._paths = ["."]
        """Relative to the folder, sorted; folders before what they hold."""
        kept = set()
        for path in _walk(folder, ""):
            if not _is_ignored(path, rules) and folder / path != but_for:
                kept |= {path, *map(str, _parents(path))}
        self._paths += sorted(kept)

    def matching(self, pattern: str) -> list[str]:
        """The paths that match a pattern with `*`, `?` and `[…]`, which does not leave the folder."""
        cleaned = posixpath.normpath(f"/{pattern}").lstrip("/") or "."
        expression = _expression(cleaned)
        depth = cleaned.count("/")
        return [
            path
            for path in self._paths
            if expression.fullmatch(path) and path.count("/") == depth and (path == ".") == (cleaned == ".")
        ]

    def followed(self, path: str) -> str:
        """Where a link leads to, any other path itself; raises `ThrowawayError` if that is not in the folder."""
        if not (self.folder / path).is_symlink():
            return path
        whole, inside = (self.folder / path).resolve(), self.folder.resolve()
        if not whole.is_relative_to(inside) or not whole.exists():
            raise ThrowawayError(f"{self.folder / path} leads out of the folder, or nowhere; put what is meant in it")
        return str(whole.relative_to(inside))

    def below(self, folder: str) -> list[str]:
        """What lies in a folder, at any depth."""
        begin = "" if folder == "." else f"{folder}/"
        return [path for path in self._paths if path.startswith(begin) and path != "."]

    def entry(self, path: str, place: str, owner: tuple[int, int], mode: int | None) -> Entry:
        """A file, link or folder, to lie at `place` in the image; raises `ThrowawayError` for a socket and the like."""
        own = self.folder / path
        if own.is_symlink():
            return Link(place, os.readlink(own), owner)
        own_mode = own.stat().st_mode & 0o7777 if mode is None else mode
        if own.is_dir():
            return Folder(place, own_mode, owner)
        if not own.is_file():
            raise ThrowawayError(f"{own} is neither a file nor a folder; name it in .dockerignore")
        return File(place, own, own_mode, owner)


def _walk(folder: Path, begin: str) -> Iterator[str]:
    for each in os.scandir(folder):
        yield f"{begin}{each.name}"
        if each.is_dir(follow_symlinks=False):
            yield from _walk(Path(each.path), f"{begin}{each.name}/")


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


_Rules = list[tuple["re.Pattern[str]", bool]]
"""Patterns of .dockerignore, and for each whether what matches is excluded; the last one that matches counts."""


def _ignore_rules(file: Path) -> _Rules:
    """See https://docs.docker.com/build/concepts/context/#dockerignore-files; unlike git's, rules begin at the top."""
    rules = []
    for line in lines_of(file) if file.is_file() else []:
        pattern = "" if line.startswith("#") else line.strip()
        excluded = not pattern.startswith("!")
        if pattern := pattern.removeprefix("!").strip():
            rules.append((_expression(posixpath.normpath(f"/{pattern}").lstrip("/")), excluded))
    return rules


def _is_ignored(path: str, rules: _Rules) -> bool:
    places = [path, *_parents(path)]
    ignored = (excluded for pattern, excluded in reversed(rules) if any(map(pattern.fullmatch, places)))
    return next(ignored, False)


def _expression(pattern: str) -> "re.Pattern[str]":
    """A pattern of Go's filepath.Match, and `**` for any number of folders, as a regular expression."""
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\[\^?[^]]+\]|\\.|.", pattern, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}

    def translated(part: str) -> str:
        if part.startswith("[") and len(part) > 1:
            return part
        return known.get(part) or re.escape(part[1:] if len(part) == 2 and part[0] == "\\" else part)

    try:
        return re.compile("".join(map(translated, parts)), re.DOTALL)
    except re.error:
        raise ThrowawayError(f"{pattern!r} is no pattern of file names") from None
