"""What a softphone is pointed at."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from voip_portal.nodes.certificates import own_authority
from voip_portal.nodes.domain_records import last_found
from voip_portal.numbers.models import Domain

DEFAULT_PORT = 5060


@dataclass(frozen=True, slots=True)
class Server:
    """Where phones register."""

    host: str
    port: int
    transports: tuple[str, ...] = ("UDP", "TCP")
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


def server() -> Server:
    """The advertised address of sipd, an IPv6 address in brackets, and the domain that leads there."""
    host = settings.VOIP_ADVERTISE
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return Server(
        host,
        settings.VOIP_SIP_PORT,
        tls_port=max(0, settings.VOIP_TLS_PORT),
        own_authority=own_authority(settings.VOIP_TLS_FOLDER) is not None,
        domain=_domain(),
    )


def _domain() -> str:
    """The default domain, where it was found lately that the DNS leads from it to us; else ""."""
    name = Domain.objects.filter(is_default=True).values_list("name", flat=True).first() or ""
    found = last_found(name)
    return name if found is not None and found.leads_here else ""
