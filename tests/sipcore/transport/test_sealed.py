"""A seal hides what it holds, finds every change, and keeps purposes apart."""

from __future__ import annotations

import pytest

from sipcore.eventlog.context import base64url, from_base64url
from sipcore.transport.sealed import Seal

KEY = b"k" * 32
PAYLOAD = b"203.0.113.7 and 40123"


def raw_of(text: str) -> bytes:
    return from_base64url(text + "=" * (-len(text) % 4))


def test_what_is_sealed_cannot_be_read() -> None:
    raw = raw_of(Seal([KEY], b"this").close(PAYLOAD))
    assert all(PAYLOAD[i : i + 3] not in raw for i in range(len(PAYLOAD) - 2))
    assert len(raw) == 1 + 16 + len(PAYLOAD)


def test_it_opens_for_its_purpose_and_what_it_is_bound_to_alone() -> None:
    text = Seal([KEY], b"this").close(PAYLOAD, b"bound")
    assert Seal([KEY], b"this").open(text, b"bound") == PAYLOAD
    assert Seal([KEY], b"that").open(text, b"bound") is None
    assert Seal([KEY], b"this").open(text) is None
    assert Seal([KEY], b"this").open(text, b"bound ") is None
    assert Seal([b"o" * 32], b"this").open(text, b"bound") is None
    assert Seal([b"o" * 32, KEY], b"this").open(text, b"bound") == PAYLOAD


def test_no_bit_can_be_another() -> None:
    seal = Seal([KEY], b"this")
    raw = raw_of(seal.close(PAYLOAD))
    for index in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[index // 8] ^= 1 << index % 8
        assert seal.open(base64url(bytes(changed)).rstrip("=")) is None, index


@pytest.mark.parametrize("size", range(40))
def test_bytes_that_nobody_sealed_open_nothing(size: int) -> None:
    for version in range(4):
        text = base64url(bytes((version,)) + b"x" * size).rstrip("=")
        assert Seal([KEY], b"this").open(text) is None
