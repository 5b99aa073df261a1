"""What stream connections may cost a node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class StreamLimits:
    """What stream connections may cost; times in seconds, watched every `sweep_s`."""

    connections: int = 40_000
    connections_per_source: int = 1_000
    """Accepted from one IPv4 address or one IPv6 /64. A hall of residence may be one address."""
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
    """TLS handshakes of others going on at a time; each costs us a signature."""
    handshakes_per_source: int = 64
    handshake_s: float = 10.0
    keep_alive_s: float = 120.0
    """After so long without a byte from us an accepted connection gets a CRLF, which SIP passes over:
    NATs forget what is idle, and we hear of those that have. 0: never."""
    sweep_s: float = 4.0
