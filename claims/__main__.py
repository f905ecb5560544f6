"""Says whether every claim has a proof, and every proof a claim: `python -m claims`. `./dev check` does that, too."""

import sys
from pathlib import Path

from claims.find import ClaimError, claims_and_proofs

if __name__ == "__main__":
    try:
        claims, proofs = claims_and_proofs(Path(__file__).parents[1])
    except ClaimError as error:
        sys.exit(str(error))
    print(f"{len(claims)} claims, {len(proofs)} proofs")
