"""Whether a phone can be reached at the address that it writes of itself.

Phones write what they know: the address behind their NAT, the name of their computer, the port that a
STUN server saw. Where that is of no use to us, the way that their messages came by is.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from sipcore.message import Uri
from sipcore.transport.flow import Flow, is_address, same_host

_BLOCKS: Final = tuple(
    [
        ip_network(text)
        for text in (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
            *("100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),  # RFC 6598, RFC 3927, RFC 1122
            *("fc00::/7", "fe80::/10", "::1/128"),  # RFC 4193, RFC 4291
        )
    ]
)
"""Addresses that mean something within their own network alone."""
_LOCAL_ENDS: Final = (
    ".local",
    ".localhost",
    ".localdomain",
    ".invalid",
    ".internal",
    ".lan",
    ".home.arpa",
)
"""Names that no DNS knows, or each house another (RFC 6761, 6762, 8375)."""


def is_local_name(host: str) -> bool:
    """Whether a host name means something to its own machine or house alone: `laptop.local`, `PC-7`."""
    bare = host.rstrip(".").lower()
    return "." not in bare or bare.endswith(_LOCAL_ENDS)


@lru_cache(maxsize=4096)
def is_private(host: str) -> bool:
    """Whether a host is an address of a private network, or a name that its house alone knows."""
    bare = host.strip("[]")
    if not is_address(bare):
        return is_local_name(host)
    address = ip_address(bare)
    return any(address in block for block in _BLOCKS)


@lru_cache(maxsize=4096)
def is_of_use(host: str, source: str) -> bool:
    """Whether what a phone writes as its host leads to it, that sends from the address `source`.

    A name that may be in the DNS does, and an address that is everybody's, or of the same private
    block as the source.
    """
    bare = host.strip("[]")
    if not is_address(bare):
        return not is_local_name(host)
    if same_host(bare, source):
        return True
    address, seen = ip_address(bare), ip_address(source)
    if address.is_unspecified or address.is_multicast:
        return False
    block = next((each for each in _BLOCKS if address in each), None)
    return block is None or seen in block


def is_mapped(contact: Uri, flow: Flow) -> bool:
    """Whether a contact is the source but for its port: that of a NAT towards somebody else.

    Another transport than the flow's has ports of its own.
    """
    transport = contact.params.get("transport") or ""
    if contact.scheme != "sip" or (transport and transport.upper() != flow.transport):
        return False
    return same_host(contact.host, flow.remote[0]) and (contact.port or 5060) != flow.remote[1]
