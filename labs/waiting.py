"""The readiness probe asks a port on which nothing listens."""

from throwaway.labs import Bench


def is_settled(bench: Bench) -> bool:
    """Once the Nodes refuse what the page says they refuse; its Pod never is ready."""
    return bench.refuses("http://shop")


def check(bench: Bench) -> None:
    """The Pods have a readiness probe that asks the program itself."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("service/shop")
    bench.no_other("service")
    is_blind = bench.get("service/shop")["spec"].get("publishNotReadyAddresses")
    bench.need(not is_blind, "the Service now leads to Pods that are not ready, too")
    (container,) = bench.get("deployment/shop")["spec"]["template"]["spec"]["containers"]
    probe = container.get("readinessProbe", {})
    port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
    bench.need(port == 5678, "no readiness probe of the Deployment asks the program, so a broken Pod counts as ready")
    bench.leads_to("shop", "shop")
