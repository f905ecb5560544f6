"""Whether two recordings of a scenario say the same, but for what is another each time.

Addresses, the ports of connections, generated names and moments become placeholders, which are the same where the
values were the same: `<address-1>` in one place and `<address-2>` in another tells of two addresses, whatever they are.
So an address that is changed where it was not is found, and another address for the same Pod is not.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

_KINDS = (
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
    ("uid", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("address", r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"),
    (
        "address",
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4})*(?![\w:])|(?<![\w:])f[de][0-9a-f]{2}::[0-9a-f:]*",
    ),
    # A NodePort. Ports behind an address are found with it, see `_ENDS`.
    ("port", r"(?<=dport )[3-6]\d{4}\b"),
    # In the names of kube-proxy's chains, iptables and nftables, see pkg/proxy in Kubernetes' sources.
    ("hash", r"(?<=KUBE-[A-Z]{3}-)[A-Z2-7]{16}\b|(?<=[a-z]-)[A-Z2-7]{8}(?=-)"),
    ("interface", r"(?<=veth)[0-9a-f]{6,}\b"),
    # The ends of generated names, of the letters of k8s.io/apimachinery/pkg/util/rand: of ReplicaSets, then of Pods.
    ("name", r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b"),
)

_ENDS = re.compile(r"(?P<address>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}):(?P<port>\d+)\b")
"""An address and a port of it. Two ports may have the same number by chance; on one address that means something."""


def differences(before: Any, now: Any, varies: Sequence[str] = (), namespaces: Sequence[str] = ("", "")) -> list[str]:
    """Where two recordings differ, a line for each place; none if they say the same.

    `varies` are names of entries of which the type is compared only; `namespaces` are those of the two recordings.
    """
    left, right = (
        dict(_flat(_Placeholders(own).in_place_of(each, varies)))
        for each, own in zip((before, now), namespaces, strict=True)
    )
    places = list(dict.fromkeys([*left, *right]))
    return [
        f"{place}: was {left.get(place, 'not there')}, is {right.get(place, 'not there')}"
        for place in places
        if left.get(place) != right.get(place)
    ]


class _Placeholders:
    """What stands for the values of one recording."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._numbers: dict[str, dict[str, int]] = {}

    def in_place_of(self, value: Any, varies: Sequence[str]) -> Any:
        """A value with placeholders in it."""
        if isinstance(value, dict):
            return {
                key: f"some {type(each).__name__}" if key in varies else self.in_place_of(each, varies)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.in_place_of(each, varies) for each in value]
        return self._masked(value) if isinstance(value, str) else value

    def _masked(self, text: str) -> str:
        if self._namespace:
            text = text.replace(self._namespace, "<namespace>")
        text = _ENDS.sub(lambda end: f"{end['address']}:{self._named('port', end[0])}", text)
        for kind, pattern in _KINDS:
            text = re.sub(pattern, partial(self._found, kind), text)
        return text

    def _found(self, kind: str, found: re.Match[str]) -> str:
        return self._named(kind, found[0])

    def _named(self, kind: str, value: str) -> str:
        known = self._numbers.setdefault(kind, {})
        return f"<{kind}-{known.setdefault(value, len(known) + 1)}>"


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Each place in a value, as in `.hops[0].node`, and what is there."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _flat(each, f"{place}.{key}")
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _flat(each, f"{place}[{number}]")
    else:
        yield place, repr(value)
