"""Prints bundles.json of a release: `pins.py RELEASE-ADDRESS FILE…`, with what `throwaway build --bundle` printed."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def pins(printed: Iterable[str], release: str) -> dict[str, dict[str, Any]]:
    """The entries of all architectures, with the addresses that a release's files have."""
    entries: dict[str, dict[str, Any]] = {}
    for text in printed:
        for key, entry in json.loads(text).items():
            name = entry["url"].rpartition("/")[2]
            entries[key] = entry | {"url": f"{release}/{name}"}
    return entries


if __name__ == "__main__":
    _, address, *files = sys.argv
    print(json.dumps(pins((Path(file).read_text() for file in files), address), indent=2))
