"""The Service's targetPort is the port that the Pods declare, and they listen on another."""

from throwaway.labs import Bench, is_ready_and_refuses

is_settled = is_ready_and_refuses


def check(bench: Bench) -> None:
    """The Service leads to the port on which the Pods listen."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
