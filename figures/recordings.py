"""The recordings that figures show: docs/figures/NAME.json, which `./dev record` writes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_FORM = json.loads(Path(__file__).with_name("recordings.schema.json").read_text())


@dataclass(frozen=True)
class Recording:
    """What a scenario saw on a cluster."""

    kubernetes: str
    """The API server's version, as in `v1.37.2`."""
    proxy_mode: str
    """Kube-proxy's mode, `nftables` or `iptables`."""
    when: str
    """When, as in `2026-11-26T06:40Z`."""
    namespace: str
    """The namespace in which it was set up; its name may stand in what was seen."""
    seen: dict[str, Any]
    """What the scenario returned. `figures/schemas/NAME.json` says of which form it is."""


class RecordingError(Exception):
    """A file that is not there, or is not of the form that it should be; one line, with what to do."""


def names(root: Path = ROOT) -> list[str]:
    """All figures that have a scenario."""
    files = (root / "figures/scenarios").glob("[!_]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def read(name: str, root: Path = ROOT) -> dict[str, Recording]:
    """What was recorded of a figure, by proxy mode. Raises `RecordingError`."""
    file = _file(name, root)
    if not file.exists():
        raise RecordingError(f"{file.relative_to(root)} is not there; ./dev record -- {name} writes it")
    return _checked(name, json.loads(file.read_text("utf-8")), root)


def write(name: str, recordings: dict[str, Recording], root: Path = ROOT) -> None:
    """Write what was recorded, by proxy mode. Raises `RecordingError` rather than write what `read` would refuse."""
    data = {mode: asdict(each) for mode, each in sorted(recordings.items(), reverse=True)}
    _checked(name, data, root)
    _file(name, root).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def add(name: str, recording: Recording, root: Path = ROOT) -> None:
    """Write what was recorded in one proxy mode; what is there of the other one is kept if it is still of the form."""
    try:
        there = read(name, root)
    except RecordingError:
        there = {}
    write(name, there | {recording.proxy_mode: recording}, root)


def _file(name: str, root: Path) -> Path:
    return root / "docs/figures" / f"{name}.json"


def _checked(name: str, data: Any, root: Path) -> dict[str, Recording]:
    schema = root / "figures/schemas" / f"{name}.json"
    if not schema.exists():
        raise RecordingError(f"{schema.relative_to(root)} is not there; it says what a recording of {name} looks like")
    import jsonschema  # takes more than a second, which all runs of tests would lose

    try:
        jsonschema.validate(data, _FORM)
        for each in data.values():
            jsonschema.validate(each["seen"], json.loads(schema.read_text("utf-8")))
    except jsonschema.ValidationError as error:
        where = _file(name, root).relative_to(root)
        raise RecordingError(
            f"{where}: {error.json_path}: {error.message}; ./dev record -- {name} writes it anew"
        ) from None
    return {mode: Recording(**each) for mode, each in data.items()}
