"""Proofs of docs/kubernetes/resources/dual-stack.md."""

import re
from ipaddress import ip_address
from itertools import cycle
from typing import Any

from proofs import proof
from proofs.world import POD_PORT, TOOLBOX, Pod, World, answers, outside, outside_failure, wait_for

DUAL = "PreferDualStack"
FAMILIES = ("IPv4", "IPv6")


def url(address: str, path: str = "/hostname", port: int = 80) -> str:
    """A URL with an address of either family."""
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


def families(addresses: list[str]) -> list[str]:
    """The family of each address."""
    return [f"IPv{ip_address(each).version}" for each in addresses]


def pod_addresses(world: World, pod: Pod) -> list[str]:
    """All addresses of a Pod."""
    return [each.ip for each in world.core.read_namespaced_pod(pod.name, world.namespace).status.pod_ips]


def node_addresses(world: World) -> list[list[str]]:
    """The InternalIPs of each Node."""
    nodes = world.core.list_node().items
    return [[each.address for each in node.status.addresses if each.type == "InternalIP"] for node in nodes]


def _wait_until_answered(world: World, where: str, pod: str) -> None:
    wait_for(lambda: world.ask(where) == [pod], f"{pod} answers at {where}")


def _wait_until_answered_outside(where: str) -> None:
    wait_for(lambda: answers(where), f"{where} answers")


def dns(world: World, name: str, kind: str, option: str = "") -> list[str]:
    """What DNS has for a name of the proof's own namespace.

    It remembers an answer for 30 seconds, but not for a question with another option of dig's.
    """
    return world.run(f"dig +short {option} {name}.{world.namespace}.svc.cluster.local {kind}").split()


@proof("dual-nodes-and-pods", needs=("dual-stack",), control="A Node or Pod would have addresses of one family only.")
def test_nodes_and_pods_have_addresses_of_both_families(world: World) -> None:
    """Reads the addresses of all Nodes and of a Pod, and asks the Pod at each of its own."""
    assert [families(each) for each in node_addresses(world)] == [["IPv4", "IPv6"]] * 3
    (pod,) = world.pods()
    own = pod_addresses(world, pod)
    assert families(own) == ["IPv4", "IPv6"]
    for address in own:
        _wait_until_answered(world, url(address, port=POD_PORT), pod.name)


@proof(
    "dual-chosen-addresses",
    needs=("dual-stack",),
    control="The API server would choose others, or give the same ones to a second Service.",
)
def test_one_may_choose_an_address_of_each_family(world: World) -> None:
    """Asks for an address of each family, reads what the Service has, and asks for the same again."""
    made = _with_free_addresses(world)
    assert made.spec.cluster_ips == made.wanted
    four, six = made.spec.cluster_ips
    code, message = world.refusal(ipFamilyPolicy=DUAL, clusterIP=four, clusterIPs=[four, six])
    assert (code, "already allocated" in message) == (422, True)
    code, message = world.refusal(ipFamilyPolicy=DUAL, clusterIPs=[four, six])
    assert (code, "when `clusterIP` is not specified" in message) == (422, True)


class _Made:
    def __init__(self, spec: Any, wanted: list[str]) -> None:
        self.spec, self.wanted = spec, wanted


def _with_free_addresses(world: World) -> _Made:
    """A Service with chosen addresses: those of one that was just deleted are free."""
    for attempt in range(10):
        before = world.service(f"before-{attempt}", ipFamilyPolicy=DUAL).spec.cluster_ips
        world.core.delete_namespaced_service(f"before-{attempt}", world.namespace)
        try:
            spec = world.service(f"chosen-{attempt}", ipFamilyPolicy=DUAL, clusterIP=before[0], clusterIPs=before).spec
        except Exception as taken:  # by another Service, meanwhile
            assert "already allocated" in str(taken), taken
            continue
        return _Made(spec, before)
    raise AssertionError("each time another Service was given the address")


@proof(
    "dual-slices-single",
    needs=("dual-stack",),
    control="There would be a slice of the other family, as a Service of both has it.",
)
def test_a_service_of_one_family_has_slices_of_that_family_only(world: World) -> None:
    """Makes a Service of each family and one of both for the same Pod, and reads their EndpointSlices."""
    (pod,) = world.pods()
    own = dict(zip(FAMILIES, pod_addresses(world, pod), strict=True))
    wanted = {"four": ["IPv4"], "six": ["IPv6"], "both": ["IPv4", "IPv6"]}
    for name, asked in wanted.items():
        world.service(
            name, selector={"app": "echo"}, ipFamilyPolicy=DUAL if len(asked) == 2 else None, ipFamilies=asked
        )

    def found(service: str) -> dict[str, list[str]]:
        return {
            each.address_type: [address for endpoint in each.endpoints or () for address in endpoint.addresses]
            for each in world.slices(service)
        }

    expected = {name: {family: [own[family]] for family in asked} for name, asked in wanted.items()}
    wait_for(lambda: {name: found(name) for name in wanted} == expected, f"the slices are {expected}")


@proof(
    "dual-rules",
    needs=("dual-stack",),
    control="The rules for one family would name an address of the other, or a Service of one family be in both.",
)
def test_each_family_has_rules_of_its_own(world: World) -> None:
    """Reads the rules of a Node for IPv4 and those for IPv6, and looks for a Service's and its Pod's addresses."""
    (pod,) = world.pods()
    own = pod_addresses(world, pod)
    both = world.service(ipFamilyPolicy=DUAL).spec.cluster_ips
    (four,) = world.service("four", selector={"app": "echo"}).spec.cluster_ips

    def rules(family: str) -> str:
        program = {"ip": "iptables-save", "ip6": "ip6tables-save"}[family]
        return world.cluster.exec(
            "worker1", [program] if world.mode == "iptables" else ["nft", "list", "ruleset", family]
        )

    def complete(family: str, *addresses: str) -> str:
        found = rules(family)
        return found if all(_has(found, each) for each in addresses) else ""

    by_four = wait_for(lambda: complete("ip", both[0], own[0], four), "the rules for IPv4 are there")
    by_six = wait_for(lambda: complete("ip6", both[1], own[1]), "the rules for IPv6 are there")
    assert not any(_has(by_four, each) for each in (both[1], own[1]))
    assert not any(_has(by_six, each) for each in (both[0], own[0]))
    assert f"{world.namespace}/four" in by_four
    assert f"{world.namespace}/four" not in by_six


def _has(rules: str, address: str) -> bool:
    """Whether an address, and not only a longer one, stands in rules."""
    return re.search(rf"(?<![0-9a-f.:]){re.escape(address)}(?![0-9a-f])", rules) is not None


@proof(
    "dual-node-port-single",
    needs=("dual-stack",),
    control="The IPv6 address would answer, as it does once the Service has both families.",
)
def test_a_node_port_of_ipv4_does_not_answer_at_ipv6_addresses(world: World) -> None:
    """Asks each Node at both of its addresses, for a NodePort Service of IPv4 and then of both families."""
    (pod,) = world.pods()
    port = world.service(type="NodePort").spec.ports[0].node_port
    urls = [[url(address, port=port) for address in node] for node in node_addresses(world)]
    for four, six in urls:
        _wait_until_answered_outside(four)
        assert outside_failure(six) != ""
    patched = world.patch("echo", ipFamilyPolicy=DUAL)
    assert patched.spec.ports[0].node_port == port
    for four, six in urls:
        _wait_until_answered_outside(six)
        assert outside(six) == outside(four) == pod.name


@proof(
    "dual-load-balancer",
    needs=("dual-stack", "load-balancer"),
    control="The Service would have one outside address only, as one of a single family has.",
)
def test_a_load_balancer_has_an_address_of_each_family(world: World) -> None:
    """Makes a Service of type LoadBalancer of both families and one of a single one; asks at all their addresses."""
    (pod,) = world.pods()
    world.service(type="LoadBalancer", ipFamilyPolicy=DUAL)
    world.service("four", selector={"app": "echo"}, type="LoadBalancer")

    def given(name: str, count: int) -> list[str]:
        ingress = world.core.read_namespaced_service(name, world.namespace).status.load_balancer.ingress or ()
        found = [each.ip for each in ingress]
        return found if len(found) == count else []

    both = wait_for(lambda: given("echo", 2), "there are two addresses")
    assert sorted(families(both)) == ["IPv4", "IPv6"]
    assert families(wait_for(lambda: given("four", 1), "there is one address")) == ["IPv4"]
    for address in both:
        _wait_until_answered_outside(url(address))
        assert outside(url(address)) == pod.name


@proof(
    "dual-headless",
    "dual-headless-changes",
    needs=("dual-stack",),
    control="DNS would have no address of one family; and the change be refused, as for a Service with an address.",
)
def test_a_headless_service_answers_with_both_and_changes_its_family(world: World) -> None:
    """Asks DNS for a headless Service by both families; then makes IPv6 its only family, which others refuse."""
    (pod,) = world.pods()
    four, six = pod_addresses(world, pod)
    world.service(clusterIP="None", ipFamilyPolicy=DUAL)
    wait_for(lambda: (dns(world, "echo", "A"), dns(world, "echo", "AAAA")) == ([four], [six]), "DNS has both")
    changed = world.patch("echo", ipFamilyPolicy="SingleStack", ipFamilies=["IPv6"])
    assert changed.spec.ip_families == ["IPv6"]
    wait_for(lambda: [each.address_type for each in world.slices("echo")] == ["IPv6"], "the slice of IPv4 is gone")
    options = cycle(("+cdflag", "+dnssec", "+cdflag +dnssec"))

    def has_ipv6_only() -> bool:
        option = next(options)
        return (dns(world, "echo", "A", option), dns(world, "echo", "AAAA", option)) == ([], [six])

    wait_for(has_ipv6_only, "DNS has IPv6 only")
    world.service("other", ipFamilyPolicy=DUAL)
    assert "(422)" in _refusal_of_patch(world, "other", ipFamilyPolicy="SingleStack", ipFamilies=["IPv6"])


@proof(
    "dual-order-stays",
    needs=("dual-stack",),
    control="The API server would take the new order, as it takes a second family.",
)
def test_the_order_of_families_cannot_be_changed(world: World) -> None:
    """Adds a second family to a Service, which is taken, and then tries to turn the order round."""
    assert world.service().spec.ip_families == ["IPv4"]
    both = world.patch("echo", ipFamilyPolicy=DUAL).spec
    assert both.ip_families == ["IPv4", "IPv6"]
    assert "(422)" in _refusal_of_patch(world, "echo", ipFamilies=["IPv6", "IPv4"])
    turned = both.cluster_ips[::-1]
    changes = {"ipFamilies": ["IPv6", "IPv4"], "clusterIPs": turned, "clusterIP": turned[0]}
    assert "may not change" in _refusal_of_patch(world, "echo", **changes)


def _refusal_of_patch(world: World, service: str, **spec: Any) -> str:
    """How the API server refuses a change; fails if it does not."""
    try:
        world.patch(service, **spec)
    except Exception as refused:
        return str(refused)
    raise AssertionError(f"the API server takes {spec}")


@proof(
    "dual-headless-without-selector",
    needs=("dual-stack",),
    control="It would be of IPv4 alone, as one with a selector is, and one with an address.",
)
def test_a_headless_service_without_a_selector_has_both_unasked(world: World) -> None:
    """Makes Services that say nothing of families: with and without a selector, with and without an address."""
    seen = {}
    for name, headless, selector in (("a", True, {}), ("b", True, {"app": "echo"}), ("c", False, {})):
        spec = world.service(name, clusterIP="None" if headless else None, selector=selector).spec
        seen[name] = (spec.ip_family_policy, spec.ip_families)
    assert seen == {
        "a": ("RequireDualStack", ["IPv4", "IPv6"]),
        "b": ("SingleStack", ["IPv4"]),
        "c": ("SingleStack", ["IPv4"]),
    }


@proof(
    "dual-external-name",
    needs=("dual-stack",),
    control="It would have families and a policy, as all other Services have.",
)
def test_an_external_name_has_no_families(world: World) -> None:
    """Makes a Service of type ExternalName and another one, and reads their families."""
    spec = world.service("elsewhere", type="ExternalName", externalName="example.com", selector={}).spec
    assert (spec.ip_families, spec.ip_family_policy, spec.cluster_ips) == (None, None, None)
    spec = world.service().spec
    assert (spec.ip_families, spec.ip_family_policy) == (["IPv4"], "SingleStack")


@proof(
    "dual-kubernetes-service",
    needs=("dual-stack",),
    control="It would have two addresses, as a Service beside it has that asks for them.",
)
def test_the_api_servers_service_has_one_family(world: World) -> None:
    """Reads the Service `kubernetes`, and one that asks for both families."""
    spec = world.core.read_namespaced_service("kubernetes", "default").spec
    assert (spec.ip_family_policy, spec.ip_families, len(spec.cluster_ips)) == ("SingleStack", ["IPv4"], 1)
    assert len(world.service(ipFamilyPolicy=DUAL).spec.cluster_ips) == 2


@proof(
    "dual-listens-on-one",
    needs=("dual-stack",),
    control="Both families would answer, as they do by the same Service when the program listens at ::.",
)
def test_a_program_that_listens_at_ipv4_only_is_ready_and_refuses_ipv6(world: World) -> None:
    """Starts a web server at 0.0.0.0 with a readiness probe, asks it by both families, then one at `::`."""
    four, six = world.service(ipFamilyPolicy=DUAL).spec.cluster_ips
    _start_web_server(world, "one", "0.0.0.0")
    _wait_until_answered(world, url(four), "one")
    wait_for(lambda: world.failure(url(six)) == "refused", "IPv6 is refused")
    assert world.ask(url(four)) == ["one"]
    world.core.delete_namespaced_pod("one", world.namespace)
    _start_web_server(world, "both", "[::]")
    _wait_until_answered(world, url(four), "both")
    _wait_until_answered(world, url(six), "both")


@proof(
    "dual-probe-one-family",
    needs=("dual-stack",),
    control="The Pod that listens at its IPv6 address alone would be ready, or the one at IPv4 alone not; or the probe"
    " that fails would have asked at another address.",
)
def test_a_program_that_listens_at_ipv6_only_is_not_ready(world: World) -> None:
    """Starts a web server at its Pod's IPv6 address, asks it there, then starts one at 0.0.0.0 until it is ready."""
    _start_web_server(world, "six", "[${ADDRESSES#*,}]")
    own = [each.ip for each in wait_for(lambda: _status(world, "six").pod_ips, "the Pod has addresses")]
    assert families(own) == ["IPv4", "IPv6"]
    at_six = url(own[1], port=POD_PORT)
    _wait_until_answered(world, at_six, "six")
    _start_web_server(world, "four", "0.0.0.0")
    wait_for(lambda: _is_ready(world, "four"), "the one that listens at IPv4 is ready")
    refused = f"dial tcp {own[0]}:{POD_PORT}: connect: connection refused"
    wait_for(lambda: refused in _events(world, "six"), "the probe was refused at the IPv4 address")
    assert not _is_ready(world, "six")
    assert world.ask(at_six) == ["six"]


def _status(world: World, pod: str) -> Any:
    return world.core.read_namespaced_pod(pod, world.namespace).status


def _is_ready(world: World, pod: str) -> bool:
    return any((each.type, each.status) == ("Ready", "True") for each in _status(world, pod).conditions or ())


def _events(world: World, pod: str) -> str:
    events = world.core.list_namespaced_event(world.namespace, field_selector=f"involvedObject.name={pod}")
    return "\n".join(each.message or "" for each in events.items)


def _start_web_server(world: World, name: str, listens: str) -> None:
    serve = f"mkdir /w; printf {name} >/w/hostname; exec httpd -f -p {listens}:{POD_PORT} -h /w"
    addresses = {"name": "ADDRESSES", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}}
    container = {
        "name": "main",
        "image": TOOLBOX,
        "command": ["sh", "-c", serve],
        "env": [addresses],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": POD_PORT}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    pod = {"metadata": {"name": name, "labels": {"app": "echo"}}, "spec": spec}
    world.core.create_namespaced_pod(world.namespace, pod)


@proof(
    "dual-environment",
    needs=("dual-stack",),
    control="The variable would have the other address, or both.",
)
def test_the_environment_has_the_primary_address(world: World) -> None:
    """Makes two Services of both families in either order, starts a Pod, and reads its environment."""
    four = world.service("four-first", ipFamilyPolicy=DUAL).spec.cluster_ips
    six = world.service("six-first", ipFamilyPolicy=DUAL, ipFamilies=["IPv6", "IPv4"]).spec.cluster_ips
    assert (families(four), families(six)) == (["IPv4", "IPv6"], ["IPv6", "IPv4"])
    told = world.run("env | grep _SERVICE_HOST", world.toolbox().name).split()
    assert f"FOUR_FIRST_SERVICE_HOST={four[0]}" in told
    assert f"SIX_FIRST_SERVICE_HOST={six[0]}" in told
    assert not any(four[1] in each or six[1] in each for each in told)
