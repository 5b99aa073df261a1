"""What a deployment decides about registrations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sipcore.message import parse_name_addr

OUTBOUND_TRANSPORTS: Final = frozenset({"UDP", "TCP", "TLS", "WS", "WSS"})


class WhenFull(StrEnum):
    """What a registration of one contact too many does."""

    REPLACE = "replace"
    """The contact that would end first goes: the one not refreshed for longest, most likely of a
    phone that restarted under another port and will never come back. Refusing would lock its
    owner out until the forgotten ones have expired."""
    REFUSE = "refuse"
    """403: nothing that is registered is ever displaced."""


@dataclass(slots=True, frozen=True)
class RegistrarPolicy:
    """Limits and choices of a registrar; the defaults suit a campus."""

    default_expires_s: int = 3600
    """Granted to a contact that asks for no interval."""
    min_expires_s: int = 60
    """Less than this is answered 423, or raised where RFC 3261 forbids a 423 (not below 3600)."""
    max_expires_s: int = 7200
    """More than this is shortened."""
    spread_part: int = 5
    """parts: a 200 says less than is granted by up to one of so many, drawn for each, so that phones
    that have restarted together do not come back together for ever. Never below the minimum; 0: none."""
    max_contacts: int = 10
    """contacts: live ones of one address-of-record."""
    when_full: WhenFull = WhenFull.REPLACE
    path_without_support: bool = False
    """Accept a Path from a phone that does not list it; else 420 (RFC 3327 §5.3)."""
    outbound_transports: frozenset[str] = OUTBOUND_TRANSPORTS
    """Where a phone's own flow gets outbound processing (RFC 5626 §6): transports whose
    keep-alive we answer. Over others reg-id is ignored, as by a registrar without outbound."""
    service_route: tuple[str, ...] = ()
    """Route values that phones are told to put before their requests (RFC 3608), as they are
    written: `<sip:proxy.campus.example;lr>`."""

    def __post_init__(self) -> None:
        for value in self.service_route:
            if "lr" not in parse_name_addr(value).uri.params:
                raise ValueError(f"a Service-Route must have the parameter lr: {value}")

    @property
    def option_tags(self) -> tuple[str, ...]:
        """The extensions a registration may require."""
        return ("path", "outbound") if self.outbound_transports else ("path",)
