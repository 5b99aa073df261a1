"""Whose certificate it is: SIP domain identities (RFC 5922 §7.1, §7.2).

The TLS library verifies the chain, the dates and the key usage. Whom the certificate names is read
here, by SIP's own rules, which are stricter than those of the web: no wildcards, no suffixes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sipcore.errors import MalformedMessage
from sipcore.message import parse_uri
from sipcore.transport.limits import MAX_IDENTITIES

_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def sip_identities(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """The domains a verified certificate speaks for, in lower case.

    `certificate` is what `SSLObject.getpeercert()` returns. A `sip` URI without user part in the
    subjectAltName; only where there is none a DNS name there; only without any subjectAltName the
    one common name. IP addresses and wildcards are no identities.
    """
    alternatives = [entry for entry in certificate.get("subjectAltName", ()) if len(entry) == 2]
    if alternatives:
        found = [_sip_host(value) for kind, value in alternatives if kind == "URI"]
        if not any(found):
            found = [value.lower() for kind, value in alternatives if kind == "DNS"]
    else:
        found = _common_name(certificate.get("subject", ()))
    names = (name for name in found if is_dns_name(name) or name.startswith("["))
    return tuple(dict.fromkeys(names))[:MAX_IDENTITIES]


def speaks_for(identities: Iterable[str], host: str) -> bool:
    """Whether one of the identities is this host of a URI: in full, without regard to case."""
    return host.lower() in identities


def is_dns_name(text: str) -> bool:
    """Whether this is a name as the DNS writes it: letters, digits, hyphens (IDNs as A-labels)."""
    return 0 < len(text) <= 253 and all(
        0 < len(label) <= 63 and _LABEL.issuperset(label) for label in text.split(".")
    )


def _sip_host(uri_text: str) -> str:
    """The host of a `sip` URI without user part, "" for all others."""
    scheme, _, rest = uri_text.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return ""
    try:
        return parse_uri(uri_text).host
    except MalformedMessage:
        return ""


def _common_name(subject: Iterable[Iterable[tuple[str, str]]]) -> list[str]:
    """The common name, where there is exactly one."""
    names = [value for rdn in subject for key, value in rdn if key == "commonName"]
    return [names[0].lower()] if len(names) == 1 else []
