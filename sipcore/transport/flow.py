"""A flow: local socket, remote address and connection, in the sense of RFC 5626 §1.

Where a message came from is a flow, and an answer can go back on it.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from sipcore.message.hosts import canonical_host, same_host

Address = tuple[str, int]
"""Host (IP literal without brackets) and port."""
DEFAULT_PORTS: Final = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}
"""Where a URI or Via says none (RFC 3261 §19.1.2, RFC 7118 §8)."""


class Flow(NamedTuple):
    """One way to a peer. For datagrams `connection` is 0; for streams 0 means "reuse or open"."""

    transport: str
    """"UDP", "TCP", "TLS", "WS" or "WSS", upper case as in a Via."""
    local: Address
    remote: Address
    connection: int = 0
    """Number of a stream connection, unique within one worker's life; never reused."""
    peer: str = ""
    """Of a TLS connection that may have to be opened: the domain its other end must prove to be."""

    @property
    def reliable(self) -> bool:
        """True where the transport itself retransmits (RFC 3261 §17)."""
        return self.transport != "UDP"

    @property
    def secure(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.transport in ("TLS", "WSS")


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Whether this is an IP address (IPv6 without brackets) that means the same to everybody.

    Not so `127.1` or `1.2.3.4.5`: a socket would take those for short forms, or ask the DNS for
    them and keep the event loop waiting.
    """
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_no_host(host: str) -> bool:
    """Whether this is a number without being an address: nobody's name (RFC 3696 §2).

    Such as `127.1`, which some take for 127.0.0.1, `10.0.0.01` or `0x7f000001`.
    """
    last = host.rpartition(".")[2]
    is_number = last.isdigit() or (last[:2] == "0x" and last[2:].isalnum())
    return is_number and not is_address(host)


def is_datagram_to(flow: Flow, destination: Address) -> bool:
    """Whether what is sent on this flow are datagrams to that address."""
    host, port = flow.remote
    return flow.transport == "UDP" and port == destination[1] and same_host(host, destination[0])


def bracketed(host: str) -> str:
    """An IPv6 literal in the brackets that URIs and Vias want."""
    return f"[{host}]" if ":" in host else host


__all__ = [
    "DEFAULT_PORTS",
    "Address",
    "Flow",
    "bracketed",
    "canonical_host",
    "is_address",
    "is_datagram_to",
    "is_no_host",
    "same_host",
]
