"""Labs: each has all its parts, and its check sees through ways round the trouble.

That a lab is broken at first, and mended by its page's solution, is tested with all other fences of its page.
"""

import re
import shlex
import time
from dataclasses import dataclass

import pytest
import yaml
from click.testing import CliRunner

from throwaway import Cluster, ThrowawayError, labs
from throwaway.cli import main


@dataclass(frozen=True)
class Cheat:
    """A way round a lab's trouble."""

    commands: tuple[str, ...]
    """Arguments of kubectl's, in the lab's namespace; what follows ` <<< ` is its input."""
    complaint: str
    """What the check says of it."""


NOT_IN_THE_DEPLOYMENT = (
    "apply -f - <<< {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: more}, spec: {selector: {matchLabels:"
    " {more: 'yes'}}, template: {metadata: {labels: {app: shop, more: 'yes'}}, spec: {terminationGracePeriodSeconds: 0,"
    " tolerations: [{operator: Exists}], containers: [{name: more, image: 'hashicorp/http-echo:1.0.0',"
    " args: [-text=more]}]}}}}"
)
CHEATS = {
    "refused": [
        Cheat(
            ("label pods --selector=app=shop release=winter --overwrite",),
            "the next Pod that the Deployment shop makes is not found by the Service shop",
        ),
    ],
    "ready": [
        Cheat(
            (
                'patch deployment shop --type=json -p \'[{"op": "replace", "path":'
                ' "/spec/template/spec/containers/0/args", "value": ["-listen=:8080"]}, {"op": "replace", "path":'
                ' "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "value": 8080}]\'',
            ),
            "deployment/shop was to stay as it was, and its spec.template.spec.containers[0].args[0] is another",
        )
    ],
    "waiting": [
        Cheat(
            ('patch service shop -p \'{"spec": {"publishNotReadyAddresses": true}}\'',),
            "the Service now leads to Pods that are not ready, too",
        ),
        Cheat(
            (
                'patch service shop -p \'{"spec": {"publishNotReadyAddresses": false}}\'',
                'patch deployment shop --type=json -p \'[{"op": "remove", "path":'
                ' "/spec/template/spec/containers/0/readinessProbe"}]\'',
            ),
            "no readiness probe of the Deployment asks the program",
        ),
    ],
    "silent": [Cheat((NOT_IN_THE_DEPLOYMENT,), "which is no Pod of the Deployment shop")],
    "taken": [
        Cheat(
            ('patch service trial -p \'{"spec": {"selector": {"app": "shop"}}}\'',),
            "port 30072 is not that of the Service shop",
        )
    ],
    "favourite": [
        Cheat(
            ("expose deployment shop --name=other --port=80 --target-port=5678", "scale deployment shop --replicas=1"),
            "deployment/shop was to stay as it was, and its spec.replicas is another",
        ),
        Cheat(
            ("scale deployment shop --replicas=2", 'patch service shop -p \'{"spec": {"sessionAffinity": "None"}}\''),
            "service/other was put beside what is broken",
        ),
    ],
    "found": [
        Cheat(
            (
                "expose deployment shop --name=other --port=80 --target-port=5678",
                "exec client -- sh -c 'echo $(dig +short +search other) shop >> /etc/hosts'",
            ),
            "service/other was put beside what is broken",
        )
    ],
    "outside": [
        Cheat(
            ('patch service shop -p \'{"spec": {"loadBalancerSourceRanges": null}}\'',),
            "the Service shop lets in everybody",
        ),
        Cheat(
            ('patch service shop -p \'{"spec": {"loadBalancerSourceRanges": ["172.30.0.0/24"]}}\'',),
            "the office, 198.51.100.0/24, is no longer let in",
        ),
    ],
    "elsewhere": [
        Cheat(
            (
                "delete pod client",
                "apply -f - <<< {apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {affinity: {podAffinity:"
                " {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname,"
                " labelSelector: {matchLabels: {app: shop}}}]}}, terminationGracePeriodSeconds: 0,"
                " containers: [{name: client, image: 'localhost/toolbox:1', command: [sleep, infinity]}]}}",
                "wait pod/client --for=condition=Ready --timeout=60s",
            ),
            "pod/client was to stay as it was, and its spec.affinity.podAntiAffinity is another",
        )
    ],
}
"""Lab → ways round its trouble, each tried after the one before it."""


def test_each_lab_has_a_page_with_hints_and_a_way_round_it_that_is_tried() -> None:
    assert {lab.name for lab in labs.labs()} == CHEATS.keys()
    for lab in labs.labs():
        assert len(lab.symptom.split()) > 5
        assert len(lab.hints) >= 2
        assert not any(re.search(r"\]\(|[`*]", hint) for hint in lab.hints), "hints are plain text"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("start", "no-such-lab"),
            "throwaway: there is no lab 'no-such-lab'; there are " + ", ".join(sorted(CHEATS)) + "\n",
        ),
        *(
            (
                (command, "refused", "--name", "no-such-cluster"),
                "throwaway: no cluster 'no-such-cluster' is running; start it with 'throwaway up --name"
                " no-such-cluster'",
            )
            for command in ("start", "check", "hint", "stop")
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    done = CliRunner().invoke(main, ["lab", *arguments])
    assert done.exit_code == 1
    assert done.output.startswith(complaint)
    assert done.output.count("\n") == 1


@pytest.mark.cluster
@pytest.mark.once
@pytest.mark.needs_capability("exec", "node-network", "ipv4", "load-balancer", nodes=3)
@pytest.mark.parametrize(
    "name",
    # By the worker that runs the lab's page, before or after it: it is the same namespace.
    [pytest.param(name, marks=pytest.mark.xdist_group(f"docs/labs/{name}.md")) for name in CHEATS],
)
def test_a_check_sees_through_ways_round_the_trouble(throwaway_cluster: Cluster, name: str) -> None:
    lab = labs.find(name)
    labs.start(lab, throwaway_cluster)
    try:
        for cheat in CHEATS[name]:
            for command in cheat.commands:
                arguments, _, text = command.partition(" <<< ")
                throwaway_cluster.kubectl([f"--namespace={lab.namespace}", *shlex.split(arguments)], text)
            await_complaint(lab, throwaway_cluster, cheat.complaint)
    finally:
        labs.stop(lab, throwaway_cluster)


@pytest.mark.cluster
@pytest.mark.once
@pytest.mark.xdist_group("docs/labs/outside.md")
@pytest.mark.needs_capability("load-balancer")
def test_hints_come_one_by_one_while_a_lab_is_started(throwaway_cluster: Cluster) -> None:
    lab = labs.find("outside")
    for act in (labs.check, labs.next_hint, labs.stop):
        with pytest.raises(ThrowawayError, match="lab 'outside' is not started"):
            act(lab, throwaway_cluster)
    labs.start(lab, throwaway_cluster)
    try:
        with pytest.raises(ThrowawayError, match="lab 'outside' is started already"):
            labs.start(lab, throwaway_cluster)
        hints = [labs.next_hint(lab, throwaway_cluster) for _ in range(len(lab.hints) + 1)]
        assert hints == [*enumerate(lab.hints, start=1), (len(lab.hints), lab.hints[-1])]
    finally:
        labs.stop(lab, throwaway_cluster)


def await_complaint(lab: labs.Lab, cluster: Cluster, complaint: str, seconds: float = 60) -> None:
    """Check a lab until the check complains of just this: then the symptom is gone, and the cause is not.

    Fails when the check passes, whatever was or was not changed by then.
    """
    deadline = time.monotonic() + seconds
    while True:
        with pytest.raises(labs.NotMendedError) as caught:
            labs.check(lab, cluster, patience=0)
        if complaint in str(caught.value):
            return
        assert time.monotonic() < deadline, f"not said within {seconds:.0f} s: {complaint}; but: {caught.value}"
        time.sleep(2)  # each look costs a third of a second of processor time


def test_no_two_labs_have_the_same_node_port() -> None:
    ports = [
        port["nodePort"]
        for lab in labs.labs()
        for item in yaml.safe_load_all(lab.manifest.read_text("utf-8"))
        for port in item["spec"].get("ports", ())
        if "nodePort" in port
    ]
    assert len(ports) == len(set(ports))
