"""The Service keeps connections on the client's Node, and there is no Pod of it."""

from throwaway.labs import Bench


def is_settled(bench: Bench) -> bool:
    """The shop answers on its own Node."""
    return bench.ask("http://shop", pod="neighbour") != [""]


def check(bench: Bench) -> None:
    """The client is led to the Deployment's own Pod, which runs on another Node."""
    bench.need(bench.ask("http://shop")[0], "http://shop gives the Pod client no answer")
    bench.unchanged("deployment/shop", "pod/client")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
    client = bench.get("pod/client")["spec"]["nodeName"]
    homes = {pod["spec"]["nodeName"] for pod in bench.all("pod") if pod["metadata"]["name"].startswith("shop-")}
    bench.need(client not in homes, f"the client and the shop now share the Node {client}")
