"""Where this deployment keeps its state and which addresses it uses, from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = "127.0.0.1"


class CannotStart(Exception):
    """The deployment cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the supervisor needs to know before any process runs."""

    var: Path
    host: str
    """The address that phones and browsers are told to use."""
    web_port: int
    sip_port: int
    database_url: str
    tls_port: int = -1
    """Of SIP over TLS; -1: none."""
    health_port: int = 0
    """Where the web server says on loopback whether it is well; 0: one that is free then."""

    @property
    def on_sqlite(self) -> bool:
        return not self.database_url.startswith(("postgres://", "postgresql://"))

    @property
    def web_hosts(self) -> list[str]:
        """Where the web server listens: always on loopback, for health and the mail page."""
        return [LOOPBACK] if self.host == LOOPBACK else [LOOPBACK, self.host]

    @property
    def sip_hosts(self) -> list[str]:
        """Where the SIP daemon listens (`manage.py sipd` decides the same way)."""
        return [LOOPBACK, "::1"] if self.host == LOOPBACK else [self.host]

    def environment(self) -> dict[str, str]:
        """The children's environment."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "voip_portal.settings",
            "PYTHONUNBUFFERED": "1",
            "VOIP_VAR": str(self.var),
            "VOIP_ADVERTISE": self.host,
            "VOIP_WEB_PORT": str(self.web_port),
            "VOIP_HEALTH_PORT": str(self.health_port or ""),
            "VOIP_SIP_PORT": str(self.sip_port),
            "VOIP_TLS_PORT": str(self.tls_port),
        }


def from_environment(environ: Mapping[str, str]) -> Deployment:
    """Read VOIP_VAR, VOIP_*_PORT, VOIP_ADVERTISE, LAN and DATABASE_URL."""
    sip_port = port(environ, "VOIP_SIP_PORT", 5060)
    lan = environ.get("LAN", "").lower() in {"1", "true", "yes", "on"}
    return Deployment(
        var=Path(environ.get("VOIP_VAR") or ROOT / "var").resolve(),
        host=environ.get("VOIP_ADVERTISE") or (lan_address() if lan else LOOPBACK),
        web_port=port(environ, "VOIP_WEB_PORT", 8000),
        sip_port=sip_port,
        tls_port=tls_port(environ, sip_port),
        health_port=port(environ, "VOIP_HEALTH_PORT", 0),
        database_url=environ.get("DATABASE_URL", ""),
    )


def port(environ: Mapping[str, str], name: str, default: int) -> int:
    """A port number from the environment."""
    text = environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStart(f"{name} is {text!r}: give a port number from 1 to 65535.")
    return int(text)


def tls_port(environ: Mapping[str, str], sip_port: int) -> int:
    """The port of SIP over TLS: the one after SIP's own; -1 when it is not wanted."""
    if environ.get("VOIP_TLS_PORT") == "-1":
        return -1
    return port(environ, "VOIP_TLS_PORT", sip_port + 1 if sip_port < 65_535 else 5061)


def lan_address() -> str:
    """This machine's address on its default route. A UDP connect sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise CannotStart(
                "LAN=1, but this machine has no network route. Connect it, or name its address: "
                "make run VOIP_ADVERTISE=192.168.1.10"
            ) from None
        address: str = probe.getsockname()[0]
    return address
