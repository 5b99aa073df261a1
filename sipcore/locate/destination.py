"""What is looked for, read from a URI or a Via, and where it may be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sipcore.locate.limits import MAX_NAME
from sipcore.message import Uri
from sipcore.message.grammar import ascii_upper
from sipcore.message.headers import Via
from sipcore.transport.flow import is_address

SECURE: Final = frozenset({"TLS", "WSS"})
_OVER_TLS: Final = {"TCP": "TLS", "TLS": "TLS", "WS": "WSS", "WSS": "WSS"}


class Candidate(NamedTuple):
    """One server to try."""

    transport: str
    address: str
    port: int
    domain: str
    """The name that was looked for, before NAPTR and SRV: what a certificate must be for
    (RFC 5922 §4)."""


@dataclass(slots=True, frozen=True)
class Destination:
    """What to look for: TARGET of RFC 3263 §4, with what the URI or Via says of it."""

    host: str
    """A name in lower case, or an address without brackets."""
    port: int | None = None
    transport: str | None = None
    """The transport that was asked for; None: to be found out."""
    secure: bool = False
    """A sips URI: only transports over TLS will do."""
    named: str = field(default="", compare=False)
    """Of a URI or Via its host as written, whatever the maddr."""

    @property
    def domain(self) -> str:
        """Whom a certificate must be for (RFC 5922 §4)."""
        return self.named or self.host

    @property
    def is_numeric(self) -> bool:
        return is_address(self.host)

    @property
    def leads_nowhere(self) -> bool:
        """Whether it is no name that anybody could know.

        That is `.invalid` (RFC 6761 §6.4, RFC 7118 §5), what is too long, and what only looks like
        an address: no top-level domain is a number (RFC 3696 §2).
        """
        top = self.host.rpartition(".")[2]
        if len(self.host) > MAX_NAME:
            return True
        return top == "invalid" or (top.isdigit() and not self.is_numeric)


def destination(uri: Uri) -> Destination | None:
    """What a SIP or SIPS URI leads to; None where it contradicts itself or is of another scheme.

    So is one with a name that is longer than names are.
    """
    if uri.scheme not in ("sip", "sips") or len(uri.host) > MAX_NAME:
        return None
    host = (uri.params.get("maddr") or uri.host).strip("[]").lower().removesuffix(".")
    secure = uri.scheme == "sips"
    transport = ascii_upper(uri.params.get("transport") or "") or None
    if secure and transport is not None:
        transport = _OVER_TLS.get(transport)
        if transport is None:
            return None  # sips over UDP: there is no such thing
    return Destination(host, uri.port, transport, secure, uri.host.lower().removesuffix("."))


def way_back_of(via: Via) -> Destination:
    """Where a response goes when the way its request came by is gone (RFC 3263 §5)."""
    transport = via.transport
    domain = via.host.lower().removesuffix(".")
    return Destination(domain.strip("[]"), via.port, transport, transport in SECURE, domain)
