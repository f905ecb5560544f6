"""What becomes of broken sentences: does the site say so, and does a proof look at what was changed?"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claims.find import MODES, Claim, ClaimError, Proof, find_claims
from claims.render import standings
from claims.results import Result
from mutate.texts import sentence_breaks
from mutate.values import codes, is_seen, values

REASONS = {
    ("myths-short-name", "`echo.shop`"): "an example of a name; the proof asks by names of its own",
    ("clusterip-other-namespace", "`echo-server.clusterip`"): "an example of a name; the proof asks by another one",
    ("myths-spec-name", "`kubectl apply`"): "the proof calls it by a function of another module",
    (
        "nodeport-dns-name",
        "`kubectl get service`",
    ): "the snippet that runs it stands further above; the placeholder that both print has to be the same address",
    ("nodeport-policy-cluster-source", "`Cluster`"): "the default, which the snippet leaves as it is",
    ("encryption-exec", "`kubectl exec`"): "the proof asks the same of the API by its Python client",
    ("encryption-exec", "`kubectl logs`"): "the proof asks the same of the API by its Python client",
    ("endpointslices-mirrored-one-slice", "100"): "the proof has more than that: 150",
    ("external-slice-port-counts", "`targetPort`"): "the default, the port 80, which the Service leaves as it is",
    ("external-ips-warning", "1.36"): "the warning, which the proof reads, tells no release",
    ("kube-proxy-six-a-service", "six"): "the proof counts three rules and three entries for each Service",
    ("questions-service-links", "`kubernetes`"): "the proof asks for its variable, KUBERNETES_SERVICE_HOST",
    ("questions-name-rules", "1.36"): "the cluster is of a later release; the proof tries what it takes",
    ("headless-no-port-translation", "`port`"): "the snippet has the numbers of both",
    ("headless-no-port-translation", "`targetPort`"): "the snippet has the numbers of both",
    ("headless-statefulset-sets-both", "`serviceName`"): "the snippet has its value, the Service's name",
    ("headless-deployment-pods", "`hostname`"): "the proof's Pod has none",
    ("headless-deployment-pods", "`10-244-1-5.db`"): "an example of a name; the proof asks by another one",
    ("loadbalancer-keeps-underneath", "three"): "the proof names the three entrances one by one",
    ("loadbalancer-several-ports", "TCP"): "the default of a port's protocol, which the proof leaves as it is",
    ("nodeport-localhost-gate", "1.37"): "the release of the cluster, which no proof chooses",
    ("traffic-not-load", "thousand"): "a figure of speech; the snippet's clients are fewer",
}
"""Why a value is not in the code of a proof: claim and value, as they are told."""


def broken_values(claims: Sequence[Claim], proofs: Sequence[Proof], root: Path) -> dict[str, Any]:
    """Numbers and names in sentences: those that no proof of the claim has in its code go unnoticed."""
    seeded = 0
    unnoticed = []
    for claim in claims:
        own = codes(claim, proofs, root)
        for value in values(claim.markup):
            seeded += 1
            if not is_seen(value, own):
                what = f"{value.text} in {claim.id}: “{claim.text}”"
                reason = REASONS.get((claim.id, value.text), "no proof of it has this in its code")
                unnoticed.append({"place": claim.place, "what": what, "reason": reason})
    return {"seeded": seeded, "unnoticed": unnoticed}


def broken_sentences(claims: Sequence[Claim], root: Path) -> dict[str, Any]:
    """Broken sentences in copies of their pages: does the site, which knows them as proved, say that they are not?"""
    seeded = 0
    unnoticed = []
    with tempfile.TemporaryDirectory() as folder:
        for claim in claims:
            text = (root / claim.page).read_text("utf-8")
            for each in sentence_breaks(claim.markup):
                seeded += 1
                page = Path(folder) / claim.page
                page.parent.mkdir(parents=True, exist_ok=True)
                if reason := _reason(claim, text, each.text, page, Path(folder)):
                    what = f"{each.before} became {each.after or 'nothing'} in {claim.id}"
                    unnoticed.append({"place": claim.place, "what": what, "reason": reason})
    return {"seeded": seeded, "unnoticed": unnoticed}


def _reason(claim: Claim, text: str, sentence: str, page: Path, root: Path) -> str:
    """Why a reader is not told that a sentence is not what was proved; "" if told."""
    before, mark, after = text.partition(f"(proof:{claim.id})")
    start = before.rfind(claim.markup)
    if start < 0:
        return "the sentence was not found in its page"
    page.write_text(f"{before[:start]}{sentence}{before[start + len(claim.markup) :]}{mark}{after}")
    try:
        (changed,) = (each for each in find_claims(page, root) if each.id == claim.id)
    except ClaimError:
        return ""  # the site is not built
    passed = Result("passed", claim.digest, "v1.37.2", "2026-01-01T00:00Z", 1.0)
    (standing,) = standings([changed], [Proof((claim.id,), claim.page, 1)], {claim.id: dict.fromkeys(MODES, passed)})
    return "" if standing.state == "stale" else "the page still says that it is proved"
