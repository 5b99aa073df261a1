"""A call context: 96 random bits that name one call in tokens, records, journals and log lines."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

CONTEXT_BYTES: Final = 12


def context_from_bytes(raw: bytes) -> str:
    """Sixteen characters of base64url."""
    return urlsafe_b64encode(raw).decode("ascii")


def context_from_bits(bits: int) -> str:
    """A context from 96 random bits, as `random.Random.getrandbits(96)` gives them."""
    return context_from_bytes(bits.to_bytes(CONTEXT_BYTES, "big"))


def context_to_bytes(context: str) -> bytes:
    """The twelve bytes that travel in a call token."""
    return urlsafe_b64decode(context)
