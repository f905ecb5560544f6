"""The Service lets in the range of the office only."""

from ipaddress import ip_network

from throwaway.labs import Bench

OFFICE = ip_network("198.51.100.0/24")
SMALL = 16
"""Bits that the prefix of a range has at least that is not nearly everybody's."""


def check(bench: Bench) -> None:
    """The Service lets this machine in as well, and not the whole world."""
    service = bench.get("service/shop")
    given = service["status"].get("loadBalancer", {}).get("ingress") or [{}]
    bench.need("ip" in given[0], "the Service shop has no address outside")
    bench.need(bench.ask_from_outside(f"http://{given[0]['ip']}"), "it gives this machine, outside, no answer")
    ranges = [ip_network(each) for each in service["spec"].get("loadBalancerSourceRanges", ())]
    is_open = not ranges or any(each.prefixlen < SMALL for each in ranges)
    bench.need(not is_open, "the Service shop lets in everybody, or nearly")
    bench.need(OFFICE in ranges, f"the office, {OFFICE}, is no longer let in")
    bench.unchanged("deployment/shop")
    bench.no_other("service")
    bench.leads_to("shop", "shop")
