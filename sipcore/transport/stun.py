"""STUN on the SIP port: what a phone behind a NAT asks to keep its flow open (RFC 5626 §8).

The smallest server of RFC 5389 §7.3: a Binding request is answered with the address it came from,
so that the phone sees when its NAT has given it another one. No long or short-term credentials, no
ICE. The answer is never more than 24 bytes longer than the question.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from sipcore.transport.flow import Address
from sipcore.transport.limits import MAX_REQUEST_BYTES, MOST_UNKNOWN

MAGIC_COOKIE: Final = b"\x21\x12\xa4\x42"
HEADER_BYTES: Final = 20

_REQUEST: Final = b"\x00\x01"
_SUCCESS: Final = b"\x01\x01"
_ERROR: Final = b"\x01\x11"
_XOR_MAPPED_ADDRESS: Final = b"\x00\x20"
_ERROR_CODE: Final = b"\x00\x09"
_UNKNOWN_ATTRIBUTES: Final = b"\x00\x0a"
_OPTIONAL: Final = 0x8000
"""Attributes from here on may be ignored by who does not know them."""
_KNOWN: Final = frozenset(
    (0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x0020)  # RFC 5389 §18.2
)


def is_stun(datagram: bytes) -> bool:
    """Whether this is STUN and no SIP: two zero bits in front, and the magic cookie (§6)."""
    return len(datagram) >= HEADER_BYTES and datagram[0] < 64 and datagram[4:8] == MAGIC_COOKIE


def binding_answer(datagram: bytes, source: Address) -> bytes | None:
    """The answer to a Binding request; None for all else, which is passed over in silence."""
    if not datagram.startswith(_REQUEST) or len(datagram) > MAX_REQUEST_BYTES:
        return None
    if int.from_bytes(datagram[2:4], "big") != len(datagram) - HEADER_BYTES:
        return None
    unknown = _unknown_attributes(datagram)
    if unknown is None:
        return None
    transaction = datagram[8:HEADER_BYTES]
    if unknown:
        return _message(_ERROR, transaction, _refusal(unknown))
    return _message(_SUCCESS, transaction, _xor_mapped(source, transaction))


def _unknown_attributes(datagram: bytes) -> list[int] | None:
    """What the server would have to understand and does not (§7.3.1); None when it is not STUN."""
    unknown: list[int] = []
    offset = HEADER_BYTES
    while offset < len(datagram):
        if offset + 4 > len(datagram):
            return None
        kind = int.from_bytes(datagram[offset : offset + 2], "big")
        length = int.from_bytes(datagram[offset + 2 : offset + 4], "big")
        offset += 4 + (length + 3) // 4 * 4
        if kind < _OPTIONAL and kind not in _KNOWN:
            unknown.append(kind)
    return unknown if offset == len(datagram) else None


def _refusal(unknown: list[int]) -> bytes:
    named = unknown[:MOST_UNKNOWN]
    names = b"".join(kind.to_bytes(2, "big") for kind in named)
    padding = b"\0" * (-len(names) % 4)
    return (
        _ERROR_CODE + b"\x00\x04\x00\x00\x04\x14"  # 420, without words
        + _UNKNOWN_ATTRIBUTES + len(names).to_bytes(2, "big") + names + padding
    )  # fmt: skip


def _xor_mapped(source: Address, transaction: bytes) -> bytes:
    """XOR-MAPPED-ADDRESS (§15.2): no NAT that rewrites addresses in payloads finds it."""
    packed = ip_address(source[0]).packed
    mask = (MAGIC_COOKIE + transaction)[: len(packed)]
    address = bytes(a ^ b for a, b in zip(packed, mask, strict=True))
    port = source[1] ^ int.from_bytes(MAGIC_COOKIE[:2], "big")
    family = b"\x00\x01" if len(packed) == 4 else b"\x00\x02"
    value = family + port.to_bytes(2, "big") + address
    return _XOR_MAPPED_ADDRESS + len(value).to_bytes(2, "big") + value


def _message(kind: bytes, transaction: bytes, attributes: bytes) -> bytes:
    return kind + len(attributes).to_bytes(2, "big") + MAGIC_COOKIE + transaction + attributes
