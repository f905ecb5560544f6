"""The Service selects a label that the Pods no longer have."""

from throwaway.labs import Bench, is_ready_and_refuses

is_settled = is_ready_and_refuses


def check(bench: Bench) -> None:
    """The Service finds the Pods by labels that the Deployment gives."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
