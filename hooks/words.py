"""Checks that pages write the words of Kubernetes as Kubernetes does: `python hooks/words.py`, a part of ./dev check.

Code, links' addresses and markup are left alone, and so are the pages on the throwaway cluster, whose nodes and
services are those of a machine, too.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from claims.find import prose  # noqa: E402

WORDS = re.findall(
    r"\S+",
    """
    ClusterIP ConfigMap CoreDNS DaemonSet EndpointSlice ExternalName Ingress Kubernetes LoadBalancer NetworkPolicy Node
    NodePort Pod ReplicaSet Service ServiceCIDR StatefulSet containerd iptables kube-apiserver kube-proxy kubectl
    kubelet nftables
    """,
)
"""As Kubernetes writes them."""
OTHERWISE = re.compile(
    r"^needs: .*|HTTP services|external services?|service mesh|service load balancer|a service, found by"
    r"|asked in \[kubernetes|[,(] ?\[kubernetes|NFTables mode|targetPort and nodePort|targetPort, nodePort"
    r"|ClusterIP:nodePort|\(clusterIP None\)",
    re.IGNORECASE,
)
"""Where they mean something else, or are quoted."""
_NOT_PROSE = re.compile(r"`[^`]*`|\]\([^)]*\)|<[^>]*>|\{[^}]*\}|https?://\S+|\"[^\"]*\"")
_RIGHT = {re.sub(r"\W", "", word).lower(): word for word in WORDS}
_FORMS = "|".join(
    r"[ -]?".join(re.findall(r"[A-Z]+[a-z]*|[a-z]+", word)) for word in sorted(WORDS, key=len, reverse=True)
)
_WORD = re.compile(rf"(?<![\w/.-])({_FORMS})(s?)(?![\w/-]|\.\w)", re.IGNORECASE)


def misspelt(text: str) -> Iterator[tuple[int, str, str]]:
    """The number of a line, a word as it stands there, and as Kubernetes writes it."""
    for number, line in prose(text):
        plain = OTHERWISE.sub(" ", _NOT_PROSE.sub(" ", line))
        for word in _WORD.finditer(plain):
            right = _RIGHT[re.sub(r"\W", "", word[1]).lower()]
            if word[1] != right and word[1].lower() != "load balancer":
                yield number, word[1], right


def main() -> None:
    """Print what is not written so, and fail."""
    pages = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "throwaway"]
    wrong = [
        f"{page.relative_to(ROOT)}:{number}: {word!r} is written {right!r} in Kubernetes; see hooks/words.py"
        for page in pages
        for number, word, right in misspelt(page.read_text("utf-8"))
    ]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
