"""What bounds connections, flows and what is read of STUN and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CACHED_ADDRESSES: Final = 8_192
"""addresses: whose networks are kept, the last ones."""
MAX_REQUEST_BYTES: Final = 548
"""RFC 5389 §7.1: what a STUN request may be where nobody knows the MTU."""
MOST_UNKNOWN: Final = 4
"""attributes: named in a STUN refusal; a question is not to be answered with many times its size."""
MAX_IDENTITIES: Final = 100
"""names: of one certificate; a public authority names at most so many."""

MOST_AT_ONCE: Final = 1_000
"""flows: kept open by a CRLFCRLF at one look; what is left is due at the next."""
MAX_FLOWS: Final = 50_000
"""flows: kept open; of more, the later ones must see to it themselves."""
MAX_LINES: Final = 16
"""accounts: remembered of one flow; those of a phone with several, the last ones."""


@dataclass(slots=True, frozen=True)
class StreamLimits:
    """What stream connections may cost; times in seconds, watched every `sweep_s`."""

    connections: int = 40_000
    """connections: open at a time, ours and those of others; each is an open file."""
    connections_per_source: int = 1_000
    """connections: accepted from one IPv4 address or one IPv6 /64. A hall of residence may be one address."""
    message_s: float = 32.0
    """How long a message may take from first byte to last, and a new connection to its first."""
    idle_s: float = 8_000.0
    """How long nothing needs to arrive: longer than the longest registration, whose phone waits
    for calls on its connection and need not say anything before the next one."""
    waiting_bytes: int = 1 << 20
    """Bytes that may wait for one slow reader or one connection being opened."""
    connect_s: float = 5.0
    """How long a connection of ours may take to be open, its TLS handshake included."""
    handshakes: int = 512
    """handshakes: of others (TLS) going on at a time; each costs us a signature."""
    handshakes_per_source: int = 64
    """handshakes: of those, from one IPv4 address or one IPv6 /64."""
    handshake_s: float = 10.0
    """How long a handshake with one that connected to us may take."""
    keep_alive_s: float = 120.0
    """After so long without a byte from us an accepted connection gets a CRLF, which SIP passes over:
    NATs forget what is idle, and we hear of those that have. 0: never."""
    sweep_s: float = 4.0
    """How often all of these times are looked at."""
