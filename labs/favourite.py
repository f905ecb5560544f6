"""The Service keeps a client with one Pod."""

from throwaway.labs import Bench


def is_settled(bench: Bench) -> bool:
    """All Pods are ready, and one of them answers."""
    return bench.are_ready() and bench.ask("http://shop") != [""]


def check(bench: Bench) -> None:
    """The client's connections meet all Pods, by the Service itself."""
    met = set(bench.ask("http://shop", 40)) - {""}
    bench.need(met, "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop")
    bench.need(len(met) == 2, f"40 connections of the client's meet {len(met)} of 2 Pods")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
