"""Says what is known to be vulnerable and was not accepted: `python -m audit GOVULNCHECK`, as `./dev audit` does.

So it does where the list of what is shipped is not true. What cannot be asked is said in a line; on GitHub, where
everything can be reached, that is a failure.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit import accepted, licences, scan


def main(govulncheck: Path) -> int:
    """Returns the exit status."""
    answers = [scan.python_packages(), *map(scan.npm_packages, scan.NPM), scan.go_modules(govulncheck)]
    unasked = [answer.unasked for answer in answers if answer.unasked]
    for line in unasked:
        print(f"NOT AUDITED: {line}; .github/workflows/audit.yml does it every night")
    findings = [finding for answer in answers for finding in answer.findings]
    try:
        entries = accepted.read()
    except accepted.AcceptedError as error:
        print(error)
        return 1
    problems = accepted.problems(findings, entries, datetime.now(UTC).date(), is_whole=not unasked)
    if licences.table(licences.linked()) != licences.TABLE.read_text("utf-8"):
        problems.append(f"{licences.TABLE.name} differs from what programs are linked from; run ./dev licences")
    for line in problems:
        print(line)
    if not problems and not unasked:
        print(f"{len(findings)} known vulnerabilities, all accepted")
    return 1 if problems or (unasked and "GITHUB_ACTIONS" in os.environ) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
