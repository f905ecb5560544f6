"""The Service is headless, so nothing leads from its port to that of the Pods."""

from throwaway.labs import Bench, is_ready_and_refuses

is_settled = is_ready_and_refuses


def check(bench: Bench) -> None:
    """The Service has an address, at which its port leads to that of the Pods."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    address = bench.get("service/shop")["spec"].get("clusterIP", "None")
    bench.need(address != "None", "the Service shop has no address of its own")
    bench.leads_to("shop", "shop")
