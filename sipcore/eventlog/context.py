"""A call context: 96 random bits that name one call in tokens, records, journals and log lines."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

from sipcore.random_source import RandomSource

CONTEXT_BYTES: Final = 12


def base64url(raw: bytes) -> str:
    """As `base64.urlsafe_b64encode`, in one step and as text."""
    return b2a_base64(raw, newline=False).decode("ascii").replace("+", "-").replace("/", "_")


def from_base64url(text: str) -> bytes:
    """As `base64.urlsafe_b64decode`; `ValueError` where the text cannot be that."""
    return a2b_base64(text.replace("-", "+").replace("_", "/"))


def context_from_bytes(raw: bytes) -> str:
    """Sixteen characters of base64url."""
    return base64url(raw)


def context_from_bits(bits: int) -> str:
    """A context from 96 random bits, as `random.Random.getrandbits(96)` gives them."""
    return base64url(bits.to_bytes(CONTEXT_BYTES, "big"))


def new_context(random: RandomSource) -> str:
    """A fresh call context."""
    return context_from_bits(random.getrandbits(8 * CONTEXT_BYTES))


def context_to_bytes(context: str) -> bytes:
    """The twelve bytes that travel in a call token."""
    return from_base64url(context)
