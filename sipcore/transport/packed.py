"""A flow in a few bytes, as the tokens in our URIs carry it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from sipcore.transport.flow import Address, Flow

_NAMED: Final = 0x80
_TRANSPORTS: Final = ("UDP", "TCP", "TLS", "WS", "WSS")


def pack_flow(flow: Flow) -> bytes:
    """A flow as bytes that say where they end."""
    kind = _TRANSPORTS.index(flow.transport)
    packed = (
        bytes((kind | _NAMED if flow.peer else kind,))
        + _pack_local(flow.local)
        + _pack_address(flow.remote)
        + flow.connection.to_bytes(4, "big")
    )
    if flow.peer:
        name = flow.peer.encode()
        packed += bytes((len(name),)) + name
    return packed


def _pack_address(address: Address) -> bytes:
    return _pack_host(address[0]) + address[1].to_bytes(2, "big")


_pack_local: Final = lru_cache(maxsize=64)(_pack_address)
"""Of our own there are few."""


@lru_cache(maxsize=4096)
def _pack_host(host: str) -> bytes:
    packed = ip_address(host).packed
    return bytes((len(packed),)) + packed


def unpack_flow(data: bytes, offset: int) -> tuple[Flow, int]:
    """The flow that `pack_flow` wrote at this offset, and the offset behind it."""
    kind = data[offset]
    local, offset = _unpack_address(data, offset + 1)
    remote, offset = _unpack_address(data, offset)
    connection = int.from_bytes(data[offset : offset + 4], "big")
    offset += 4
    peer = ""
    if kind & _NAMED:
        end = offset + 1 + data[offset]
        peer, offset = data[offset + 1 : end].decode(), end
    return Flow(_TRANSPORTS[kind & ~_NAMED], local, remote, connection, peer), offset


def _unpack_address(data: bytes, offset: int) -> tuple[Address, int]:
    end = offset + 1 + data[offset]
    host = str(ip_address(data[offset + 1 : end]))
    return (host, int.from_bytes(data[end : end + 2], "big")), end + 2
