"""Named placeholders: what may vary in a console block's output, and within which limits.

`<pod>` stands for any name of its kind; `<pod-1>` for the same one wherever it stands on a page, and another
one than `<pod-2>`. There is no placeholder for "anything".
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from claims import KUBECTL_SAYS
from throwaway.plan import MAX_NODES, make_plan

_PLAN = make_plan(nodes=MAX_NODES, ip_family="dual")

# Kubernetes' random names use no vowels and no digits that look like them
# (k8s.io/apimachinery/pkg/util/rand). A pod-template-hash is a decimal uint32 in that alphabet, so that it
# has only ten different characters.
_NAME = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUFFIX = r"[bcdfghjklmnpqrstvwxz2456789]{5}"
_HASH = r"[4-9bcdf]{6,10}"
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_IPV6 = r"fd00(?::[0-9a-f]{0,4}){2,7}"
_CLOCK = r"\d{2}:\d{2}:\d{2}"
_RFC3339 = rf"\d{{4}}-\d{{2}}-\d{{2}}T{_CLOCK}(?:\.\d+)?(?:Z|[+-]\d{{2}}:\d{{2}})"
_RFC1123 = rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{{2}} [A-Z][a-z]{{2}} \d{{4}} {_CLOCK} (?:GMT|[+-]\d{{4}})"


@dataclass(frozen=True)
class Kind:
    """A kind of value that varies."""

    pattern: str
    """Regular expression without groups of its own."""
    accepts: Callable[[str], bool] = lambda value: True
    """What the pattern cannot say, such as a range."""
    binds: bool = True
    """Whether numbered placeholders of the kind make sense: an age is never the same twice."""


def _is_in(network: str) -> Callable[[str], bool]:
    def accepts(value: str) -> bool:
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(network)
        except ValueError:
            return False

    return accepts


def _is_bridge(value: str) -> bool:
    """Whether it is a node's own address among its Pods, the first one of the node's Pod range."""
    return _is_in(_PLAN.pod_subnets[0])(value) and value.endswith(".1")


def _is_bridge6(value: str) -> bool:
    """The same for IPv6."""
    return _is_in(_PLAN.pod_subnets[1])(value) and value.endswith("::1")


def _is_of_load_balancer(value: str) -> bool:
    """Whether it is one of the addresses that Services of type LoadBalancer are given."""
    first, last = map(ipaddress.IPv4Address, _PLAN.load_balancer_range.split(",")[0].split("-"))
    return any(_is_in(str(network))(value) for network in ipaddress.summarize_address_range(first, last))


KINDS = {
    "age": Kind(r"(?:\d+s|\d+m(?:\d+s)?|\d+h(?:\d+m)?|\d+d(?:\d+h)?|\d+y(?:\d+d)?)", binds=False),
    "bridge-ip": Kind(_IPV4, _is_bridge),
    "chain-hash": Kind(r"[A-Z2-7]{16}"),  # the start of a SHA-256 in base 32, see kube-proxy's pkg/proxy/iptables
    "client-ip": Kind(re.escape(_PLAN.gateway)),
    "cluster-ip": Kind(_IPV4, _is_in(_PLAN.service_subnets[0])),
    "cluster-ip6": Kind(_IPV6, _is_in(_PLAN.service_subnets[1])),
    "external-ip": Kind(_IPV4, _is_of_load_balancer),
    "ms": Kind(r"\d{1,4}", binds=False),
    "node": Kind("|".join(re.escape(node.name) for node in _PLAN.nodes)),
    "node-ip": Kind("|".join(re.escape(node.address) for node in _PLAN.nodes)),
    "node-ip6": Kind("|".join(re.escape(node.addresses[1]) for node in _PLAN.nodes)),
    "node-port": Kind(r"\d{5}", lambda value: 30000 <= int(value) <= 32767),
    "pod": Kind(rf"{_NAME}-{_SUFFIX}"),
    "pod-ip": Kind(_IPV4, lambda value: _is_in(_PLAN.pod_subnets[0])(value) and not _is_bridge(value)),
    "pod-ip6": Kind(_IPV6, lambda value: _is_in(_PLAN.pod_subnets[1])(value) and not _is_bridge6(value)),
    "pod-template-hash": Kind(_HASH),
    "port": Kind(r"\d{4,5}", lambda value: 1024 <= int(value) <= 65535),
    "replica-set": Kind(rf"{_NAME}-{_HASH}"),
    "suffix": Kind(_SUFFIX),
    "time": Kind(rf"{_RFC3339}|{_RFC1123}", binds=False),
    "uid": Kind(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
}
"""Every kind there is, by its name on the page.

Ranges are those of throwaway.plan. `<client-ip>` is where programs outside the cluster come from,
`<external-ip>` an address that a load balancer has given to a Service, `<bridge-ip>` a node's address among
its Pods, `<chain-hash>` the end of the name of a chain in iptables mode, `<pod>` a Pod with a generated name,
`<suffix>` such a name's random end, `<port>` a client's, `<ms>` how many milliseconds something took.
`<cluster-ip6>`, `<node-ip6>` and `<pod-ip6>` are those of IPv6.
"""

_PLACEHOLDER = re.compile(r"<([a-z][a-z0-9-]*)>")

# What surely varies wherever it stands: none of these is ever chosen by a page, unless the page says so
# itself.
_VARIES = {
    "time": KINDS["time"].pattern,
    "uid": KINDS["uid"].pattern,
    "pod": rf"{_NAME}-{_HASH}-{_SUFFIX}",
    "replica-set": rf"{_NAME}-[4-9bcdf]{{8,10}}",
    "node-ip": KINDS["node-ip"].pattern,
    "bridge-ip": _IPV4,
    "cluster-ip": _IPV4,
    "external-ip": _IPV4,
    "pod-ip": _IPV4,
    "node-ip6": KINDS["node-ip6"].pattern,
    "cluster-ip6": _IPV6,
    "pod-ip6": _IPV6,
    "node-port": r"3[0-2]\d{3}",
}
_VALUE = re.compile(rf"(?<![\w.-])(?:{'|'.join(_VARIES.values())})(?![\w-]|\.\d)")
_COLUMNS = {"AGE": "age", "NODE": "node"}
_GAP = re.compile(r" {2,}")


@dataclass
class Placeholders:
    """The placeholders of one page and the values they stand for so far."""

    bound: dict[str, str] = field(default_factory=dict)
    """Numbered placeholder, as in `pod-1` → value."""

    def match(self, expected: str, actual: str) -> bool:
        """Whether a line of output is the page's, runs of spaces apart; numbered placeholders are bound then.

        Raises `KeyError` for a placeholder that `unknown` names.
        """
        names: list[str] = []
        pattern = ""
        for index, part in enumerate(_PLACEHOLDER.split(" ".join(expected.split()))):
            if index % 2 == 0:
                pattern += re.escape(part)
            elif part in KUBECTL_SAYS:
                pattern += re.escape(f"<{part}>")
            else:
                pattern += f"({KINDS[_kind(part)].pattern})"
                names.append(part)
        values = re.fullmatch(pattern, " ".join(actual.split()))
        if values is None:
            return False
        bound = dict(self.bound)
        for name, value in zip(names, values.groups(), strict=True):
            kind = _kind(name)
            if not KINDS[kind].accepts(value):
                return False
            if name == kind:
                continue
            others = {bound[other] for other in bound if other != name and _kind(other) == kind}
            if bound.setdefault(name, value) != value or value in others:
                return False
        self.bound = bound
        return True

    def insert(self, lines: list[str], page: str) -> list[str]:
        """Lines of output, with what surely varies replaced by placeholders.

        A value that is bound becomes its numbered placeholder. One that `page`, the page's text, contains
        stays as it is: the page has chosen it.
        """
        names = {value: name for name, value in self.bound.items()}

        def placeholder(value: str) -> str:
            if value in names:
                return f"<{names[value]}>"
            on_page = re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", page)
            if on_page or value in (_PLAN.api_service, *_PLAN.dns_services):
                return value
            for kind, pattern in _VARIES.items():
                if re.fullmatch(pattern, value) and KINDS[kind].accepts(value):
                    return f"<{kind}>"
            return value

        replaced = [_VALUE.sub(lambda match: placeholder(match.group()), line) for line in lines]
        rows = [_GAP.split(line.rstrip()) for line in replaced]
        if not rows or len(rows[0]) == 1 or any(len(row) != len(rows[0]) for row in rows):
            return replaced
        return _table(rows)


def unknown(line: str) -> list[str]:
    """The names in angle brackets in a line that are no placeholder of any kind."""
    names = [name for name in _PLACEHOLDER.findall(line) if name not in KUBECTL_SAYS]
    return [name for name in names if name not in KINDS and not (_kind(name) in KINDS and KINDS[_kind(name)].binds)]


def known(line: str) -> list[str]:
    """The placeholders in a line."""
    return [name for name in _PLACEHOLDER.findall(line) if _kind(name) in KINDS]


def _kind(name: str) -> str:
    return re.sub(r"-\d+$", "", name)


def _table(rows: list[list[str]]) -> list[str]:
    """A table of kubectl's, with placeholders in the columns whose values always vary, and aligned anew."""
    kinds = [_COLUMNS.get(title) for title in rows[0]]
    filled = [
        [
            f"<{kind}>" if kind and re.fullmatch(KINDS[kind].pattern, cell) else cell
            for cell, kind in zip(row, kinds, strict=True)
        ]
        for row in rows
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*filled, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in filled]
