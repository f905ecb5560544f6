"""The mutation check: do the proofs notice when a text or the cluster is broken?

A proof that passes proves little if it would pass as well were its claim false. So texts and clusters are broken on
purpose, one break at a time, and each break counts as noticed or not. There are four kinds:

- `outputs`: what a fence says that is printed. The fence, once run, is compared with the broken text as with its own.
- `values`: a number or a name in a claim's sentence. It is noticed if a proof of the claim has this value in its code.
- `sentences`: the sentence itself. No proof can read it; but the site says that it was not proved as it is.
- `faults`: the cluster. The proofs of the claims that a fault makes false have to fail, and to pass without it.

texts, values and prose (no cluster) → plugin (in pytest's processes) → faults and running (on clusters) → results →
render
"""
