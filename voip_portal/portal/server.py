"""What a softphone is pointed at: what a node says that it serves, which it listens on for sure."""

from __future__ import annotations

from dataclasses import dataclass

from sipcore.transport.flow import bracketed
from voip_portal.nodes.domain_records import last_found
from voip_portal.nodes.services import served

DEFAULT_PORT = 5060
TRANSPORTS = ("UDP", "TCP")


@dataclass(frozen=True, slots=True)
class Server:
    """Where phones register."""

    host: str
    port: int
    transports: tuple[str, ...] = TRANSPORTS
    tls_port: int = 0
    """0 without TLS."""
    own_authority: bool = False
    """Whether phones know the certificate only once our own authority is installed there."""
    domain: str = ""
    """Our domain, where the DNS leads from it to here."""

    @property
    def address(self) -> str:
        """What people and phones are told: the domain, or else the host, with a port if not SIP's own."""
        if self.domain:
            return self.domain
        return self.host if self.port == DEFAULT_PORT else f"{self.host}:{self.port}"


def server(domain: str = "") -> Server:
    """As a node has reported it, with the domain that leads there; from the settings before any has.

    `domain` is the default one where it was just read: what was found of another is no use then.

    IPv6 addresses stand in brackets.
    """
    found = served()
    plain = tuple(transport for transport in TRANSPORTS if transport in found.ports)
    return Server(
        bracketed(found.host),
        found.ports[plain[0]],
        plain,
        tls_port=found.ports.get("TLS", 0),
        own_authority=found.own_authority,
        domain=_shown(domain, found.host),
    )


def _shown(domain: str, host: str) -> str:
    """The domain, where it was found lately that the DNS leads from it to us; else ""."""
    found = last_found(host)
    return found.domain if found is not None and found.leads_here_from(domain) else ""
