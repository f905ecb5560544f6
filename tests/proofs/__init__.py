"""Proofs: tests that set up what a page claims, and would fail if it were false.

A claim is a sentence of a page with a mark at its end, as in `Every Node answers [✓](proof:nodeport-every-node).` A
proof names the claims that it proves:

    @proof("nodeport-every-node", control="A port that no Service has is refused by the same Nodes.")
    def test_every_node_answers_also_one_without_a_pod(world: World) -> None:
        \"\"\"Starts one Pod, and asks every Node for it from a machine outside the cluster.\"\"\"

The docstring says what is done, the control what would have been seen if the claim were wrong. Readers see both.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import pytest

_P = ParamSpec("_P")
_R = TypeVar("_R")


def proof(
    *claims: str, control: str, mode: str = "", needs: tuple[str, ...] = ()
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Mark a test as the proof of claims.

    `mode` is the proxy mode in which they hold, if only in one; `needs` are capabilities of the cluster besides
    those that all proofs use (`throwaway.capabilities`).
    """

    def marked(test: Callable[_P, _R]) -> Callable[_P, _R]:
        for mark in (
            pytest.mark.proof(*claims, control=control, mode=mode),
            pytest.mark.cluster,
            pytest.mark.needs_capability("exec", "node-network", "ipv4", *needs, nodes=3),
        ):
            test = mark(test)
        return test

    return marked
