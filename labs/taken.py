"""A Service that nobody needs has the NodePort that another one should have."""

from throwaway.labs import Bench


def check(bench: Bench) -> None:
    """The Service itself has the port."""
    for node, address in bench.nodes.items():
        bench.need(bench.ask_from_outside(f"http://{address}:30072"), f"{node} does not answer at port 30072")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    ports = [port.get("nodePort") for port in bench.get("service/shop")["spec"]["ports"]]
    bench.need(30072 in ports, "port 30072 is not that of the Service shop")
    bench.leads_to("shop", "shop")
