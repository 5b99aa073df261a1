"""Certificates for tests: an authority, and what it signs, however odd."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Certificate and key in one file."""
        return self.public_pem + self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def public_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.pem)
        return path


def general_name(text: str) -> x509.GeneralName:
    """`sip:…` as a URI, an address as itself, everything else as a DNS name."""
    if ":" in text and not text.replace(":", "").isalnum():
        return x509.UniformResourceIdentifier(text)
    if text.startswith(("sip:", "sips:", "https:", "SIP:")):
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def self_signed(name: str = "Test Authority") -> Pair:
    """An authority."""
    return _issue([name], [], None, authority=True)


def signed(
    issuer: Pair | None,
    *names: str,
    common_names: Iterable[str] = ("test",),
    days: int = 30,
    usages: Iterable[x509.ObjectIdentifier] = (),
) -> Pair:
    """A certificate for these subject alternative names; by itself without an issuer."""
    return _issue(list(common_names), list(names), issuer, days=days, usages=list(usages))


CLIENT_ONLY = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_ONLY = ExtendedKeyUsageOID.SERVER_AUTH


def _issue(
    common_names: list[str],
    names: list[str],
    issuer: Pair | None,
    *,
    authority: bool = False,
    days: int = 30,
    usages: list[x509.ObjectIdentifier] | None = None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - 60 * DAY)
        .not_valid_after(_NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([general_name(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
