"""A flow: local socket, remote address and connection, in the sense of RFC 5626 §1.

Where a message came from is a flow, and an answer can go back on it.
"""

from __future__ import annotations

from typing import NamedTuple

Address = tuple[str, int]
"""Host (IP literal without brackets) and port."""


class Flow(NamedTuple):
    """One way to a peer. For datagrams `connection` is 0; for streams 0 means "reuse or open"."""

    transport: str
    """"UDP", "TCP", "TLS", "WS" or "WSS", upper case as in a Via."""
    local: Address
    remote: Address
    connection: int = 0
    """Number of a stream connection, unique within one worker's life; never reused."""

    @property
    def reliable(self) -> bool:
        """True where the transport itself retransmits (RFC 3261 §17)."""
        return self.transport != "UDP"


def bracketed(host: str) -> str:
    """An IPv6 literal in the brackets that URIs and Vias want."""
    return f"[{host}]" if ":" in host else host
