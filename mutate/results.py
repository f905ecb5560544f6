"""The file of results: which breaks were noticed, by what, and which were not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path("benchmarks/mutation.json")
"""Where it is in the repository."""
_SCHEMA = Path(__file__).with_name("results.schema.json")

KINDS = {
    "outputs": "a printed line was changed, left out or added",
    "values": "a number or a name in a claim's sentence was changed",
    "faults": "the cluster was broken",
    "sentences": "a claim's sentence was changed",
}
"""What is broken, in the order in which it is shown."""
BY_PROOFS = ("outputs", "values", "faults")
"""The kinds that a proof has to notice; the site itself notices the other one."""
Results = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """How many breaks there were, and how many of them were noticed."""

    seeded: int = 0
    noticed: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.seeded + other.seeded, self.noticed + other.noticed)

    def __str__(self) -> str:
        percent = f"{100 * self.noticed / self.seeded:.1f}\u00a0%" if self.seeded else "none"
        return f"{self.noticed} of {self.seeded} ({percent})"


@dataclass(frozen=True)
class Unnoticed:
    """A break that was not noticed."""

    kind: str
    place: str
    """A place in a text, or the name of a fault."""
    what: str
    """What was broken."""
    reason: str
    """Why nobody noticed."""


def read(file: Path) -> Results:
    """The results of a file, none if it is not there; raises `jsonschema.ValidationError` for one not of this form."""
    if not file.exists():
        return {}
    results: Results = json.loads(file.read_text())
    _check(results)
    return results


def write(file: Path, results: Results) -> None:
    """Write results; raises `jsonschema.ValidationError` rather than write what `read` would refuse."""
    _check(results)
    file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def _check(results: Results) -> None:
    import jsonschema  # takes more than a second, which all runs of tests would lose

    jsonschema.validate(results, json.loads(_SCHEMA.read_text()))


def scores(results: Results) -> dict[str, Score]:
    """The score of each kind."""
    found = {
        kind: Score(results[kind]["seeded"], results[kind]["seeded"] - len(results[kind]["unnoticed"]))
        for kind in KINDS
        if kind in results and kind != "faults"
    }
    pairs = [pair for fault in results.get("faults", {}).values() for pair in fault["claims"]]
    if pairs:
        found["faults"] = Score(len(pairs), sum(pair["noticed"] for pair in pairs))
    return {kind: found[kind] for kind in KINDS if kind in found}


def total(results: Results) -> Score:
    """The score of all breaks that proofs have to notice."""
    return sum((score for kind, score in scores(results).items() if kind in BY_PROOFS), Score())


def unnoticed(results: Results) -> Iterator[Unnoticed]:
    """All breaks that were not noticed."""
    for kind in KINDS:
        if kind == "faults":
            for name, fault in results.get(kind, {}).items():
                for pair in fault["claims"]:
                    if not pair["noticed"]:
                        yield Unnoticed(kind, name, f"{pair['claim']}, while {fault['what']}", pair["said"])
        else:
            for each in results.get(kind, {}).get("unnoticed", ()):
                yield Unnoticed(kind, each["place"], each["what"], each["reason"])
