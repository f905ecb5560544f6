"""The file of results: what became of each claim when it was last proved, in each proxy mode."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = Path("docs/proofs.json")
"""Where it is in the repository."""
_SCHEMA = Path(__file__).with_name("results.schema.json")


@dataclass(frozen=True)
class Result:
    """What became of a claim in one proxy mode."""

    outcome: str
    """`passed` if all its proofs did, `failed`, or `skipped`."""
    sentence: str
    """`Claim.digest` of the sentence that was proved."""
    kubernetes: str
    """The API server's version, as in `v1.37.2`."""
    when: str
    """When, as in `2026-11-23T20:15Z`."""
    seconds: float
    """How long its proofs took."""
    reason: str = ""
    """Why it was skipped."""


Results = dict[str, dict[str, Result]]
"""Claim id → proxy mode → result."""


def read(file: Path) -> Results:
    """The results of a file, none if it is not there; raises `jsonschema.ValidationError` for one not of this form."""
    if not file.exists():
        return {}
    data = json.loads(file.read_text())
    _check(data)
    return {
        claim: {mode: Result(**result) for mode, result in modes.items()} for claim, modes in data["claims"].items()
    }


def merge(old: Results, new: Results, claims: set[str]) -> Results:
    """Old results with new ones in their place, of claims that there still are."""
    return {claim: old.get(claim, {}) | new.get(claim, {}) for claim in sorted(claims) if claim in old or claim in new}


def write(file: Path, results: Results) -> None:
    """Write results; raises `jsonschema.ValidationError` rather than write what `read` would refuse."""
    data = {
        "claims": {
            claim: {
                mode: {key: value for key, value in asdict(result).items() if value != ""}
                for mode, result in sorted(modes.items())
            }
            for claim, modes in results.items()
        }
    }
    _check(data)
    file.write_text(json.dumps(data, indent=1) + "\n")


def _check(data: Any) -> None:
    import jsonschema  # takes more than a second, which all runs of tests would lose

    jsonschema.validate(data, json.loads(_SCHEMA.read_text()))
