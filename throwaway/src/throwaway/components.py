"""What runs on a node, as data: each component's command line and the files it reads.

All paths are those that a node sees. Settings that are not Kubernetes' defaults have their reason beside them; those
with the mark (userns) are what a kubelet and containerd need inside a user namespace (KEP-2033).
"""

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from throwaway import feature_gates
from throwaway.plan import API_PORT, Node, Plan
from throwaway.requirements import SYSTEM_PATH

if TYPE_CHECKING:  # most who need to know a component need no keys, and cryptography is slow to import
    from throwaway.pki import KeyPair, Pki

FOLDER = "/run/throwaway"
BIN = f"{FOLDER}/bin"
IMAGES = f"{FOLDER}/images"
ETCD_STORE = f"{FOLDER}/etcd-store"
ETCD_DATA = "/var/lib/etcd"
CONTROL = f"{FOLDER}/control"
"""The sandbox's socket for commands; its file system, and so the socket, is open to the account that started it."""
KEPT = f"{FOLDER}/kept"
"""A file that is there once the cluster's start was completed."""
LOGS = f"{FOLDER}/log"
PLAN = f"{FOLDER}/plan.json"
NODE_PATH = f"{BIN}:{SYSTEM_PATH}"
ENVIRONMENT = {"PATH": NODE_PATH, "HOME": "/tmp", "GOGC": "300"}
"""The environment of components.

Go's collector of garbage runs when the heap has become four times as big, not twice: a start takes 0.8 s less of 5 s of
processor time, and an idle cluster 140 MiB more of 860.
"""
KUBECONFIG = f"{FOLDER}/kubeconfig"
_CNI = f"{FOLDER}/cni"
PKI = f"{FOLDER}/pki"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_LOOPBACK_CERTIFICATE = (  # without it each would make an RSA key of its own, which takes up to half a second
    f"--tls-cert-file={PKI}/loopback.crt",
    f"--tls-private-key-file={PKI}/loopback.key",
)
_IMAGE_OF_PAUSE = "registry.k8s.io/pause:3.10.2"


@dataclass(frozen=True)
class Component:
    """A program that a node's init starts, and starts again when it ends."""

    name: str
    """Its name, also that of its log."""
    argv: tuple[str, ...]
    """Program and arguments; the program is looked up on the node's PATH."""


def components(plan: Plan, node: Node) -> list[Component]:
    """The programs of one node; the recipe starts them when what they need is there."""
    own = [_containerd(), _kubelet(node), _kube_proxy()]
    if plan.network_policy:
        own.append(_network_policy(plan, node))
    if not node.is_control_plane:
        return own
    return [_etcd(), _kube_apiserver(plan), _kube_controller_manager(plan), _kube_scheduler(plan), *own]


def files(plan: Plan, pki: "Pki", node: Node) -> dict[str, str]:
    """The files of one node: path → text. Keys are among them, so all are to be readable by their owner only."""
    server = plan.api_server
    texts = {
        **client_files(plan, pki),
        f"{FOLDER}/resolv.conf": "",
        f"{FOLDER}/containerd.toml": _containerd_config(),
        f"{_CNI}/10-pods.conflist": _json(_cni_config(node)),
        f"{PKI}/ca.crt": pki.authority.certificate,
        f"{FOLDER}/kubelet.json": _json(_kubelet_config(plan)),
        f"{FOLDER}/kubelet.kubeconfig": kubeconfig(server, pki.authority, pki.kubelets[node.name], plan.name),
        f"{FOLDER}/kube-proxy.json": _json(_kube_proxy_config(plan, node)),
        f"{FOLDER}/kube-proxy.kubeconfig": kubeconfig(
            server, pki.authority, pki.clients["system:kube-proxy"], plan.name
        ),
        **_pair("kubelet", pki.kubelets[node.name]),
    }
    if plan.network_policy:
        texts[f"{FOLDER}/network-policy.kubeconfig"] = kubeconfig(
            server, pki.authority, pki.clients["throwaway:network-policy"], plan.name
        )
    if node.is_control_plane:
        texts |= {
            **_pair("ca", pki.authority),
            **_pair("apiserver", pki.api_server),
            **_pair("kubelet-client", pki.clients["kubelet-client"]),
            **_pair("front-proxy", pki.clients["front-proxy"]),
            **_pair("loopback", pki.loopback),
            **_pair("service-accounts", pki.service_accounts),
        }
        for name in ("kube-controller-manager", "kube-scheduler"):
            texts[f"{FOLDER}/{name}.kubeconfig"] = kubeconfig(
                server, pki.authority, pki.clients[f"system:{name}"], plan.name
            )
    return texts


def client_files(plan: Plan, pki: "Pki") -> dict[str, str]:
    """The files of a machine beside the nodes, as those of `files`: with them kubectl works there."""
    return {KUBECONFIG: kubeconfig(plan.api_server, pki.authority, pki.clients["admin"], plan.name)}


def kubeconfig(server: str, authority: "KeyPair", client: "KeyPair", name: str) -> str:
    """A kubeconfig with one context called `name`; certificates and key are inside it."""

    def encoded(pem: str) -> str:
        return base64.b64encode(pem.encode()).decode()

    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": encoded(authority.certificate),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": encoded(client.certificate),
                        "client-key-data": encoded(client.key),
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _any_address(plan: Plan) -> str:
    """What a server listens on that is to be reached at all addresses of its node."""
    return "::" if plan.has_ipv6 else "0.0.0.0"


def _feature_gates(plan: Plan) -> tuple[str, ...]:
    """The flag for feature gates; none without any."""
    return (feature_gates.flag(plan.feature_gates),) if plan.feature_gates else ()


def _pair(name: str, pair: "KeyPair") -> dict[str, str]:
    return {f"{PKI}/{name}.crt": pair.certificate, f"{PKI}/{name}.key": pair.key}


def _etcd() -> Component:
    return Component(
        "etcd",
        (
            "etcd",
            f"--data-dir={ETCD_DATA}",
            "--unsafe-no-fsync",  # the data lies in memory and goes with the cluster
            "--heartbeat-interval=20",  # milliseconds; it elects itself only after an election timeout of silence
            "--election-timeout=200",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
        ),
    )


def _kube_apiserver(plan: Plan) -> Component:
    return Component(
        "kube-apiserver",
        (
            "kube-apiserver",
            f"--advertise-address={plan.control_plane.address}",
            f"--bind-address={_any_address(plan)}",
            f"--secure-port={API_PORT}",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={','.join(plan.service_subnets)}",
            f"--service-node-port-range={plan.service_node_port_range}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--endpoint-reconciler-type=lease",
            f"--client-ca-file={PKI}/ca.crt",
            f"--tls-cert-file={PKI}/apiserver.crt",
            f"--tls-private-key-file={PKI}/apiserver.key",
            f"--kubelet-client-certificate={PKI}/kubelet-client.crt",
            f"--kubelet-client-key={PKI}/kubelet-client.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--proxy-client-cert-file={PKI}/front-proxy.crt",
            f"--proxy-client-key-file={PKI}/front-proxy.key",
            f"--requestheader-client-ca-file={PKI}/ca.crt",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI}/service-accounts.crt",
            f"--service-account-signing-key-file={PKI}/service-accounts.key",
            *_feature_gates(plan),
        ),
    )


def _kube_controller_manager(plan: Plan) -> Component:
    own = f"{FOLDER}/kube-controller-manager.kubeconfig"
    return Component(
        "kube-controller-manager",
        (
            "kube-controller-manager",
            f"--kubeconfig={own}",
            f"--authentication-kubeconfig={own}",
            f"--authorization-kubeconfig={own}",
            "--bind-address=127.0.0.1",
            *_LOOPBACK_CERTIFICATE,
            "--leader-elect=false",  # there is one only
            "--use-service-account-credentials=true",
            f"--root-ca-file={PKI}/ca.crt",
            f"--client-ca-file={PKI}/ca.crt",
            f"--requestheader-client-ca-file={PKI}/ca.crt",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
            f"--service-account-private-key-file={PKI}/service-accounts.key",
            f"--cluster-cidr={','.join(plan.pod_subnets)}",
            f"--service-cluster-ip-range={','.join(plan.service_subnets)}",
            "--allocate-node-cidrs=false",  # the plan did it
            "--kube-api-qps=500",  # the defaults (20, 30) spare a big API server and cost seconds at the start
            "--kube-api-burst=1000",
            "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",  # the default is the host's, read-only here
            *_feature_gates(plan),
        ),
    )


def _kube_scheduler(plan: Plan) -> Component:
    own = f"{FOLDER}/kube-scheduler.kubeconfig"
    return Component(
        "kube-scheduler",
        (
            "kube-scheduler",
            f"--kubeconfig={own}",
            f"--authentication-kubeconfig={own}",
            f"--authorization-kubeconfig={own}",
            "--bind-address=127.0.0.1",
            *_LOOPBACK_CERTIFICATE,
            "--leader-elect=false",
            *_feature_gates(plan),
        ),
    )


def _containerd() -> Component:
    return Component("containerd", ("containerd", f"--config={FOLDER}/containerd.toml"))


def _containerd_config() -> str:
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{_IMAGE_OF_PAUSE}"

[plugins.'io.containerd.cri.v1.runtime']
# (userns) No capability here may lower a score or set a sysctl of the host.
restrict_oom_score_adj = true
enable_unprivileged_ports = false
enable_unprivileged_icmp = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{BIN}"]
conf_dir = "{_CNI}"

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{BIN}/oci-without-cgroups"
SystemdCgroup = false
"""


def _cni_config(node: Node) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                # Every Pod has a link of its own to its node. On a common bridge, an answer to a Pod of the same node
                # would pass kube-proxy's NAT by, unless the host has br_netfilter loaded.
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": subnet}] for subnet in node.pod_subnets],
                    "routes": [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in node.pod_subnets],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(node: Node) -> Component:
    return Component(
        "kubelet",
        (
            "kubelet",
            f"--config={FOLDER}/kubelet.json",
            f"--kubeconfig={FOLDER}/kubelet.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={','.join(node.addresses)}",
        ),
    )


def _kubelet_config(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "address": _any_address(plan),
        "clusterDNS": [plan.dns_services[0]],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{FOLDER}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "featureGates": {"KubeletInUserNamespace": True, **plan.feature_gates},  # (userns)
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,  # (userns) no cgroup may be written
        "enforceNodeAllocatable": [],  # (userns)
        "failCgroupV1": False,
        "failSwapOn": False,
        # The disk is the host's or its memory: how full it is says nothing about this cluster.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",  # the default is the host's, read-only here
    }


def _kube_proxy() -> Component:
    return Component("kube-proxy", ("kube-proxy", f"--config={FOLDER}/kube-proxy.json"))


def _network_policy(plan: Plan, node: Node) -> Component:
    return Component(
        "network-policy",
        (
            "network-policy",
            f"--kubeconfig={FOLDER}/network-policy.kubeconfig",
            f"--hostname-override={node.name}",
            f"--service-cluster-ip-range={','.join(plan.service_subnets)}",
            f"--service-node-port-range={plan.service_node_port_range}",
        ),
    )


def _kube_proxy_config(plan: Plan, node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{FOLDER}/kube-proxy.kubeconfig"},
        "mode": plan.proxy_mode,
        # By default a second passes between two writings of rules, and a client meets refusals for as long.
        plan.proxy_mode: {"minSyncPeriod": "100ms"},
        "hostnameOverride": node.name,
        "bindAddress": _any_address(plan),
        "metricsBindAddress": "127.0.0.1:10249",  # as by default; with an address of IPv6 above it would be of IPv6
        "clusterCIDR": ",".join(plan.pod_subnets),
        "featureGates": plan.feature_gates,
        # The limits of conntrack belong to the host; failing to write them would be fatal to kube-proxy.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
