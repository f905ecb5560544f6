"""What of a Service's traffic can be read on the wire, as one program.

It starts a web server and one with TLS on worker2, a client Pod on worker1, and listens at worker2's network card
while the client sends passwords to both. In the end it removes what it made.

It runs `throwaway capture`, which listens on a Node:

    throwaway shell -- python examples/network_encryption.py

What it prints is in network_encryption.expected.txt, word for word.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-network-encryption"
NAME = f"sealed.{NAMESPACE}.svc.cluster.local"
CLUSTERS_AUTHORITY = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
SERVER = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start(core)
        read_along(core)
        check_names(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core), seconds=60)
    print("\nThe namespace is deleted, and everything with it.")


def start(core: client.CoreV1Api) -> None:
    """Start a server without TLS and one with it, each behind a Service, and a client with the certificate."""
    certificate, key = self_signed("sealed", NAME)
    data = {"tls.crt": certificate, "tls.key": key}
    core.create_namespaced_secret(
        NAMESPACE, {"metadata": {"name": "sealed"}, "type": "kubernetes.io/tls", "stringData": data}
    )
    tls = ["--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key"]
    start_pod(core, "plain", "worker2", image=SERVER, args=["netexec", "--http-port=8080"])
    start_pod(core, "sealed", "worker2", image=SERVER, args=["netexec", "--http-port=8443", *tls])
    start_pod(core, "client", "worker1", image="localhost/toolbox:1", command=["sleep", "infinity"])
    for name, port, target in (("plain", 80, 8080), ("sealed", 443, 8443)):
        spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]}
        core.create_namespaced_service(NAMESPACE, {"metadata": {"name": name}, "spec": spec})
    wait_until(lambda: all(is_running(core, name) for name in ("plain", "sealed", "client")), seconds=60)
    wait_until(lambda: ask(core, "http://plain/hostname") == "plain", seconds=30)
    wait_until(lambda: ask(core, "--cacert /tls/tls.crt https://sealed/hostname") == "sealed", seconds=30)
    print("Two servers run on worker2, one without TLS and one with it. The client runs on worker1.")


def read_along(core: client.CoreV1Api) -> None:
    """Send a password to each server, and look for it among the bytes that pass worker2's network card."""
    print("\nThe client sends a password. Who listens between the Nodes")
    seen = wire(core, lambda: ask(core, "http://plain/echo?msg=password-1234"))
    print(f"  reads it by http: {yes_or_no(b'password-1234' in seen)}")
    seen = wire(core, lambda: ask(core, f"--cacert /tls/tls.crt https://{NAME}/echo?msg=password-5678"))
    print(f"  reads it by https: {yes_or_no(b'password-5678' in seen)}")
    print(f"  reads the server's name by https: {yes_or_no(NAME.encode() in seen)}")


def check_names(core: client.CoreV1Api) -> None:
    """A client that looks at the certificate takes the names in it only."""
    address = core.read_namespaced_service("sealed", NAMESPACE).spec.cluster_ip
    print("\nDoes the client take the certificate")
    for what, options in (
        ("by a name that is in it", "--cacert /tls/tls.crt https://sealed/hostname"),
        ("by the Service's address", f"--cacert /tls/tls.crt https://{address}/hostname"),
        ("without knowing its authority", f"--cacert {CLUSTERS_AUTHORITY} https://sealed/hostname"),
    ):
        print(f"  {what}: {yes_or_no(ask(core, options) == 'sealed')}")


def self_signed(*names: str) -> tuple[str, str]:
    """A certificate for these names that signs itself, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(pem).decode(), key.private_bytes(pem, form, serialization.NoEncryption()).decode()


def start_pod(core: client.CoreV1Api, name: str, node: str, **container: Any) -> None:
    """Start a Pod on a Node, with the Secret in /tls."""
    container |= {"name": "main", "volumeMounts": [{"name": "tls", "mountPath": "/tls"}]}
    spec = {
        "nodeName": node,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "sealed"}}],
        "terminationGracePeriodSeconds": 1,
    }
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})


def is_running(core: client.CoreV1Api, name: str) -> bool:
    """Whether a Pod runs."""
    return bool(core.read_namespaced_pod(name, NAMESPACE).status.phase == "Running")


def ask(core: client.CoreV1Api, options: str) -> str:
    """What curl prints in the client; "" if it gets no answer that it trusts."""
    run = core.connect_get_namespaced_pod_exec
    command = ["sh", "-c", f"curl -s --max-time 3 {options}"]
    return str(stream(run, "client", NAMESPACE, command=command, stdout=True, stderr=True)).strip()


def wire(core: client.CoreV1Api, happens: Callable[[], object]) -> bytes:
    """The bytes that pass worker2's network card while something happens."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "wire.pcap")
        command = ["throwaway", "capture", "--interface", "eth0", "--write", str(file), "worker2", "tcp"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe) as capture:
            assert capture.stderr
            capture.stderr.readline()  # says that it listens
            try:
                happens()
                # What was sent before a mark, which can be read, is in the file when the mark is.
                mark = f"mark{time.monotonic_ns()}"
                wait_until(
                    lambda: ask(core, f"http://plain/echo?msg={mark}") == mark and mark.encode() in file.read_bytes(),
                    seconds=30,
                )
            finally:
                capture.terminate()
        return file.read_bytes()


def is_gone(core: client.CoreV1Api) -> bool:
    """Whether the namespace, and so everything in it, is deleted."""
    return NAMESPACE not in {namespace.metadata.name for namespace in core.list_namespace().items}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until a change has reached the place where it shows; raise TimeoutError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a change did not show within {seconds} seconds")
        time.sleep(0.1)


def yes_or_no(answer: bool) -> str:
    """The word for it."""
    return "yes" if answer else "no"


if __name__ == "__main__":
    main()
