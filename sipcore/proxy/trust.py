"""How far the sender of a request is trusted: the columns of the tables of methods and of headers."""

from __future__ import annotations

from enum import IntEnum


class Trust(IntEnum):
    """Who sent a request. The values are the columns of the tables."""

    STRANGER = 0
    """Nobody we know: From is in a foreign domain, and nothing proves even that."""
    ACCOUNT = 1
    """A device of one of our accounts, by digest (RFC 3261 §22.3)."""
    PEER = 2
    """A trusted peer, by the certificate of its connection (RFC 3325 §2.3)."""
    OWN = 3
    """A service of ours; of headers also a phone of the sender's own line."""


__all__ = ["Trust"]
