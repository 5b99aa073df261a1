"""What a softphone is pointed at: what a node says that it serves, which it listens on for sure."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from sipcore.transport.flow import bracketed
from voip_portal.nodes.certificates import own_authority
from voip_portal.nodes.domain_records import last_found
from voip_portal.nodes.services import told_node

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
    node = told_node()
    if node is None:
        return _configured(domain)
    ports = {transport: port for transport, _host, port, _told in node.listeners}
    plain = tuple(transport for transport in TRANSPORTS if transport in ports)
    return Server(
        _literal(node.address or settings.VOIP_ADVERTISE),
        ports[plain[0]],
        plain,
        tls_port=ports.get("TLS", 0),
        own_authority=node.own_authority,
        domain=_shown(domain),
    )


def _configured(domain: str) -> Server:
    return Server(
        _literal(settings.VOIP_ADVERTISE),
        settings.VOIP_SIP_PORT,
        tls_port=max(0, settings.VOIP_TLS_PORT),
        own_authority=own_authority(settings.VOIP_TLS_FOLDER) is not None,
        domain=_shown(domain),
    )


def _shown(domain: str) -> str:
    """The domain, where it was found lately that the DNS leads from it to us; else ""."""
    found = last_found()
    return found.domain if found is not None and found.leads_here_from(domain) else ""


def _literal(host: str) -> str:
    return bracketed(host.strip("[]"))
