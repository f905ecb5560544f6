"""Which Go modules are in the cluster's programs, under which licences, from the modules' own files.

    python -m audit.licences [FOLDER]

writes third-party-go-modules.md and, into the folder, LICENCES.txt: the texts, which go with a release's programs.
go-licenses would do as much, but reads no `tool` of a go.mod, which most of these programs are.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from throwaway.build import MODULES, MODULES_FOLDER

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "third-party-go-modules.md"
_FORMAT = "{{with .Module}}{{.Path}}\t{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}\t{{.Dir}}{{end}}"
_FILE = re.compile(r"(LICEN[SC]E|COPYING|NOTICE)[\w.-]*", re.IGNORECASE)
_CODE = {".go", ".docs", ".html", ".header"}
# A phrase of each licence, in an order in which the first that is found is right.
_PHRASES = {
    "Apache-2.0": "apache license, version 2.0|apache license version 2.0",
    "MPL-2.0": "mozilla public license,? version 2.0",
    "BSD-3-Clause": "neither the names? of|names of its contributors may not be used|may not be used to endorse",
    "BSD-2-Clause": "redistribution and use in source and binary forms",
    "MIT": "permission is hereby granted, free of charge",
    "ISC": "permission to use, copy, modify, and(/or)? distribute this software",
}
_HEADER = """\
# Go modules in the cluster's programs

Made by `./dev licences` from the modules that the programs of `throwaway build` are linked from, and their own files.
The texts go with each release, as `LICENCES.txt`; on your machine they lie beside the modules' source in Go's cache.

| Module | Version | Licence |
| --- | --- | --- |
"""


@dataclass(frozen=True, order=True)
class GoModule:
    """A module that programs are linked from."""

    path: str
    version: str
    folder: Path
    """Where its source is."""

    @property
    def files(self) -> list[Path]:
        """Its licence, and its notice if it has one."""
        there = sorted(self.folder.iterdir())
        return [file for file in there if file.is_file() and _FILE.fullmatch(file.name) and file.suffix not in _CODE]


class UnknownLicenceError(Exception):
    """A module has no licence that is known here; the message is one line."""


def linked() -> list[GoModule]:
    """The modules of all programs but our own, after downloading what is missing."""
    found = set()
    for module in MODULES:
        flags = [flag for flag in module.flags if flag == "-tags" or flag.startswith("no_")]
        done = subprocess.run(
            ["go", "list", "-deps", "-f", _FORMAT, *flags, "./...", "tool"],
            cwd=MODULES_FOLDER / module.name,
            env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOOS": "linux"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows = (line.split("\t") for line in done.stdout.splitlines() if line)
        found |= {GoModule(path, version, Path(folder)) for path, version, folder in rows if version}
    return sorted(found)


def licence_of(text: str) -> str:
    """The SPDX id of a licence's text; "" for one that is not known."""
    words = " ".join(text.lower().split())
    return next((name for name, phrase in _PHRASES.items() if re.search(phrase, words)), "")


def table(modules: list[GoModule]) -> str:
    """The page of all modules. Raises `UnknownLicenceError`."""
    rows = []
    for module in modules:
        known = {licence_of(file.read_text("utf-8", errors="replace")) for file in module.files}
        if not known - {""}:
            raise UnknownLicenceError(
                f"{module.path} {module.version}: no licence that is known; look into {module.folder}"
            )
        rows.append(f"| `{module.path}` | {module.version} | {', '.join(sorted(known - {''}))} |\n")
    return _HEADER + "".join(rows)


def texts(modules: list[GoModule]) -> str:
    """All licences and notices, the same text once."""
    of: dict[str, list[str]] = {}
    for module in modules:
        for file in module.files:
            of.setdefault(file.read_text("utf-8", errors="replace").strip(), []).append(
                f"{module.path} {module.version}"
            )
    line = "=" * 80
    return "".join(f"{line}\n{chr(10).join(names)}\n{line}\n\n{text}\n\n" for text, names in of.items())


def main() -> None:
    """Do what the command line says; an unknown licence ends it with one line."""
    modules = linked()
    try:
        TABLE.write_text(table(modules), "utf-8")
    except UnknownLicenceError as error:
        sys.exit(str(error))
    for folder in map(Path, sys.argv[1:]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "LICENCES.txt").write_text(texts(modules), "utf-8")
    print(f"{len(modules)} modules, see {TABLE.name}")


if __name__ == "__main__":
    main()
