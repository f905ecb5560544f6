"""The Service is headless, so nothing leads from its port to that of the Pods."""

from throwaway.labs import Bench


def is_settled(bench: Bench) -> bool:
    """Once the Nodes refuse what the page says they refuse."""
    return bench.are_ready() and bench.refuses("http://shop")


def check(bench: Bench) -> None:
    """The Service has an address, at which its port leads to that of the Pods."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    address = bench.get("service/shop")["spec"].get("clusterIP", "None")
    bench.need(address != "None", "the Service shop has no address of its own")
    bench.leads_to("shop", "shop")
