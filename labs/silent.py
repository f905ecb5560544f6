"""The Service keeps connections on the Node where they arrive, and one Node only has a Pod."""

from throwaway.labs import Bench


def is_settled(bench: Bench) -> bool:
    """One Node answers."""
    return any(bench.ask_from_outside(f"http://{address}:30071") for address in bench.nodes.values())


def check(bench: Bench) -> None:
    """Each Node leads to the Deployment's own Pod."""
    for node, address in bench.nodes.items():
        bench.need(bench.ask_from_outside(f"http://{address}:30071"), f"{node} does not answer at port 30071")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
