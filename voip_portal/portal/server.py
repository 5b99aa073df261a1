"""What a softphone is pointed at."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from voip_portal.nodes.certificates import own_authority

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

    @property
    def address(self) -> str:
        """Host, with the port when it is not SIP's own."""
        return self.host if self.port == DEFAULT_PORT else f"{self.host}:{self.port}"


def server() -> Server:
    """The advertised address of sipd; an IPv6 address stands in brackets."""
    host = settings.VOIP_ADVERTISE
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return Server(
        host,
        settings.VOIP_SIP_PORT,
        tls_port=max(0, settings.VOIP_TLS_PORT),
        own_authority=own_authority(settings.VOIP_TLS_FOLDER) is not None,
    )
