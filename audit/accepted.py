"""Findings against those that were accepted, with a reason and an end date each."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path

FILE = Path(__file__).with_name("accepted.toml")
_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Finding:
    """A known vulnerability in something that is used."""

    id: str
    """As in `GO-2026-0001` or `PYSEC-2026-1`."""
    aliases: tuple[str, ...]
    """Its other ids, as in `CVE-2026-1`."""
    where: str
    """The lock file and the package, as in `uv.lock: requests 2.0`."""
    what: str
    """What it is, and where it is mended."""


@dataclass(frozen=True)
class Accepted:
    """An entry of accepted.toml."""

    id: str
    reason: str
    until: date
    """The last day on which it is accepted."""


class AcceptedError(Exception):
    """The file of accepted findings is wrong; the message is one line."""


def read(file: Path = FILE) -> list[Accepted]:
    """The entries of a file; raises `AcceptedError` for one that lacks something."""
    entries = tomllib.loads(file.read_text("utf-8")).get("accepted", [])
    wanted = {field.name: field.type for field in fields(Accepted)}
    for entry in entries:
        wrong = [name for name, kind in wanted.items() if type(entry.get(name)) is not kind or not entry[name]]
        if wrong or entry.keys() - wanted.keys():
            raise AcceptedError(f"{file.name}: {entry.get('id', entry)} has to have {', '.join(wanted)}, and no more")
    return [Accepted(**entry) for entry in entries]


def problems(findings: Sequence[Finding], accepted: Sequence[Accepted], today: date, is_whole: bool) -> list[str]:
    """What has to be done about findings and entries, a line for each.

    `is_whole` is whether everything was looked at: only then an entry that fits no finding is out of date.
    """
    lines = []
    known = {entry.id for entry in accepted}
    for finding in findings:
        if not known & {finding.id, *finding.aliases}:
            lines.append(
                f"{finding.where}: {finding.id}: {finding.what}; "
                f"raise the version, or accept it in audit/{FILE.name} with a reason and an end date"
            )
    found = {each for finding in findings for each in (finding.id, *finding.aliases)}
    for entry in accepted:
        if entry.until < today:
            lines.append(f"audit/{FILE.name}: {entry.id} was accepted until {entry.until}; look at it again")
        elif entry.until > today + _LONGEST:
            lines.append(f"audit/{FILE.name}: {entry.id} is accepted for more than a year; set an earlier end date")
        if is_whole and entry.id not in found:
            lines.append(f"audit/{FILE.name}: {entry.id} is found no more; take it out")
    return lines
