"""A call context: 80 random bits that name one call in tokens, records, journals and log lines."""

from __future__ import annotations

from base64 import b32decode, b32encode

CONTEXT_BYTES = 10


def context_from_bytes(raw: bytes) -> str:
    """Sixteen lower-case base32 characters."""
    return b32encode(raw).decode("ascii").lower()


def context_from_bits(bits: int) -> str:
    """A context from 80 random bits, as `random.Random.getrandbits(80)` gives them."""
    return context_from_bytes(bits.to_bytes(CONTEXT_BYTES, "big"))


def context_to_bytes(context: str) -> bytes:
    """The ten bytes that travel in a call token."""
    return b32decode(context.upper())
