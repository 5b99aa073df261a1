"""The campus's own authority, and the certificate that it signs for sipd while there is no better one.

Made at the first start, so that TLS works before anybody has asked an authority for anything. A phone
trusts it once the authority's certificate is installed there; `docs/configuration.md` says how an
operator's own certificate takes its place. Imports no Django.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voip_portal.nodes.certificates import AUTHORITY, AUTHORITY_KEY, OWN, of_operator

AUTHORITY_FOR: Final = timedelta(days=3650)
CERTIFICATE_FOR: Final = timedelta(days=800)
"""Apple's phones accept no more than 825 days."""
RENEW_BEFORE: Final = timedelta(days=90)
_CLOCK_SKEW: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class NoAuthority(Exception):
    """A certificate is needed, and the authority's key is not in the folder."""


def ensure(folder: Path, hosts: Sequence[str], *, may_found: bool = True) -> bool:
    """Have a certificate for these names and addresses; True when one was made.

    Nothing is made where an operator's own certificates lie. Where there is no usable authority,
    `may_found` says whether one may be made; else it is `NoAuthority`.
    """
    if of_operator(folder) or _is_good(folder / OWN, hosts):
        return False
    (folder / AUTHORITY).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    signer = _authority(folder, may_found=may_found)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        _builder(hosts[0], signer.certificate.subject, key, now, CERTIFICATE_FOR)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
        .sign(signer.key, hashes.SHA256())
    )
    _write(folder / OWN, _pem(certificate) + _pem(signer.certificate) + _key_pem(key))
    return True


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Each host as SIP knows it (RFC 5922 §7.1), and as phones that think of the web look for it."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            address = ip_address(host)
        except ValueError:
            names += [x509.UniformResourceIdentifier(f"sip:{host}"), x509.DNSName(host)]
            continue
        literal = f"[{host}]" if address.version == 6 else host
        names += [x509.UniformResourceIdentifier(f"sip:{literal}"), x509.IPAddress(address)]
        if address.version == 4:
            names.append(x509.DNSName(host))  # Linphone, by Mbed TLS 2, knows no other names
    return names


def _is_good(path: Path, hosts: Sequence[str]) -> bool:
    """Whether the certificate is there, names all these hosts, and will do for a while."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    missing = [name for name in _names(hosts) if name not in list(names)]
    return not missing and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE


def _authority(folder: Path, *, may_found: bool) -> Signer:
    """The authority of an earlier start, or a new one."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and (
            certificate.public_key() == key.public_key()
        ):
            if certificate.not_valid_after_utc - datetime.now(UTC) > CERTIFICATE_FOR:
                return Signer(certificate, key)
            may_found = True  # whoever holds the old key may follow it with a new one
    except (OSError, ValueError):
        pass
    if not may_found:
        raise NoAuthority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Campus telephone authority")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("Campus telephone authority", subject, key, datetime.now(UTC), AUTHORITY_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / AUTHORITY_KEY, _key_pem(key))
    _write(folder / AUTHORITY, _pem(certificate))
    return Signer(certificate, key)


def _builder(
    common_name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    valid: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes) -> None:
    """Write a file for its owner alone; readers see the old one or the new one whole."""
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    temporary.replace(path)
