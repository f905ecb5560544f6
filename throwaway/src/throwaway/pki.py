"""The cluster's own certificates: one authority, made anew for each cluster, kept only inside it."""

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from throwaway.plan import Plan

_YEAR = datetime.timedelta(days=365)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    """The X.509 certificate."""
    key: str
    """Its private key in SEC1 form: what `--service-account-key-file` accepts (PKCS#8 it does not)."""


@dataclass(frozen=True)
class Pki:
    """All certificates of one cluster."""

    authority: KeyPair
    """Signs all others."""
    api_server: KeyPair
    """The API server's, valid for each address it is reached by."""
    clients: dict[str, KeyPair]
    """By the name in the certificate: `admin`, `kubelet-client`, `front-proxy`, `system:kube-proxy`, …"""
    kubelets: dict[str, KeyPair]
    """By Node name: `system:node:NAME`, both client and server of its node."""
    loopback: KeyPair
    """Of the controller manager and the scheduler, which serve their metrics on their node's loopback."""
    service_accounts: KeyPair
    """Signs the tokens of ServiceAccounts."""


class _Authority:
    def __init__(self, pair: KeyPair | None) -> None:
        self._key = _private_key(pair) if pair else ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway")])
        # Valid in the past too: the machine's clock may be set back while the cluster runs.
        now = datetime.datetime.now(datetime.UTC)
        self._begin, self._end = now - _YEAR, now + 10 * _YEAR
        if pair:
            self.pair = pair
            return
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pair = _pair(certificate, self._key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(self._end)
        )

    def issue(self, name: str, group: str | None = None, server_names: tuple[str, ...] = ()) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if server_names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = self._builder(x509.Name(attributes), key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        if server_names:
            alternatives = x509.SubjectAlternativeName([_general_name(text) for text in server_names])
            builder = builder.add_extension(alternatives, critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _private_key(pair: KeyPair) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pair.key.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # we made it
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return KeyPair(
        certificate=certificate.public_bytes(pem).decode(),
        key=key.private_bytes(pem, form, serialization.NoEncryption()).decode(),
    )


def make_pki(plan: Plan, authority: KeyPair | None = None) -> Pki:
    """Make every key and certificate of a cluster: about 10 ms. `authority` is the one that it has already, if any.

    Names and groups are those that Kubernetes' RBAC bootstrap policy and Node authorizer know
    (kubernetes.io, "PKI certificates and requirements").
    """
    issuer = _Authority(authority)
    groups = {
        "admin": "system:masters",
        "kubelet-client": "system:masters",
        "front-proxy": None,
        "system:kube-controller-manager": None,
        "system:kube-scheduler": None,
        "system:kube-proxy": None,
        "throwaway:network-policy": None,
    }
    service_names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
    return Pki(
        authority=issuer.pair,
        api_server=issuer.issue(
            "kube-apiserver",
            server_names=(
                *service_names,
                "localhost",
                "127.0.0.1",
                *plan.control_plane.addresses,
                plan.api_service,
            ),
        ),
        clients={name: issuer.issue(name, group) for name, group in groups.items()},
        loopback=issuer.issue("localhost", server_names=("localhost", "127.0.0.1")),
        kubelets={
            node.name: issuer.issue(f"system:node:{node.name}", "system:nodes", (node.name, *node.addresses))
            for node in plan.nodes
        },
        service_accounts=issuer.issue("service-accounts"),
    )
