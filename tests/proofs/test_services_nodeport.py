"""Proofs of docs/kubernetes/resources/services-nodeport.md."""

from proofs import proof
from proofs.world import World, answers, outside, outside_failure, wait_for


@proof("nodeport-every-node", control="A port that no Service has is refused by the same Nodes.")
def test_every_node_answers_also_one_without_a_pod(world: World) -> None:
    """Starts one Pod on one Node and asks all Nodes, the control plane's too, from a machine outside the cluster."""
    (pod,) = world.pods(node="worker1")
    port = world.service(type="NodePort").spec.ports[0].node_port
    urls = [f"http://{address}:{port}/hostname" for address in world.nodes.values()]
    wait_for(lambda: all(map(answers, urls)), "every Node answers")
    for address in world.nodes.values():
        assert outside(f"http://{address}:{port}/hostname") == pod.name
        assert outside_failure(f"http://{address}:29999/") == "refused"
