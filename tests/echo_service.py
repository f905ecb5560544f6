"""An echo Service for tests that look at packets: a Deployment of two Pods behind a NodePort."""

import json

from command_line import CommandLine, eventually

NODE_PORT = 30080
POD_PORT = 5678

_LABELS = {"app": "echo"}
_MANIFEST = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "echo",
                            "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
                            "args": ["netexec", f"--http-port={POD_PORT}"],
                            "readinessProbe": {"httpGet": {"path": "/", "port": POD_PORT}, "periodSeconds": 1},
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "echo"},
        "spec": {
            "type": "NodePort",
            "selector": _LABELS,
            "ports": [{"port": 80, "targetPort": POD_PORT, "nodePort": NODE_PORT}],
        },
    },
]


def deploy(throwaway: CommandLine, name: str, address: str) -> dict[str, str]:
    """Make it; returns its Pods, name → address, once it is served at a node's address."""
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": _MANIFEST})
    kubectl(throwaway, name, "sh", "-c", 'echo "$1" | kubectl apply -f -', "sh", manifest)
    kubectl(throwaway, name, "kubectl", "wait", "--for=condition=Available", "deployment/echo", "--timeout=90s")
    eventually(lambda: answer(throwaway, name, address), "the echo Service is served")
    pods = json.loads(kubectl(throwaway, name, "kubectl", "get", "pods", "-l", "app=echo", "-o", "json"))["items"]
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}


def remove(throwaway: CommandLine, name: str) -> None:
    """Delete it; returns when its Pods are gone, too."""
    kubectl(throwaway, name, "kubectl", "delete", "service/echo", "deployment/echo", "--cascade=foreground")


def answer(throwaway: CommandLine, name: str, address: str) -> str:
    """The name of the Pod that answers at a node's address; "" if none does."""
    url = f"http://{address}:{NODE_PORT}/hostname"
    return throwaway("shell", "--name", name, "--", "curl", "--silent", "--max-time", "5", url).stdout


def kubectl(throwaway: CommandLine, name: str, *command: str) -> str:
    """Run a command in the cluster's shell; fails on an error."""
    done = throwaway("shell", "--name", name, "--", *command)
    assert done.returncode == 0, done.stderr
    return done.stdout
