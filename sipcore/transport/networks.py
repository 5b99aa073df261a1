"""What network a source is of, as one text: for limits, for bans, and for "is it next to us".

One host has one IPv4 address, or has been given a whole IPv6 /64 and can send from any address in
it. So what is counted or compared is the network, never an IPv6 address by itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from sipcore.transport.limits import CACHED_ADDRESSES


class Networks(NamedTuple):
    """How many leading bits of an address name its network."""

    ipv4_prefix: int = 24
    ipv6_prefix: int = 64


NETWORKS: Final = Networks()
SINGLE_SOURCES: Final = Networks(ipv4_prefix=32)
"""What one host may have: an IPv4 address, an IPv6 /64."""


@lru_cache(maxsize=CACHED_ADDRESSES)
def network_of(address: str, networks: Networks = NETWORKS) -> str:
    """The network as `192.0.2.0/24` or `2001:db8:0:1::/64`; equal texts are equal networks.

    The address is an IP literal without brackets, as a socket or `is_address` gives it; ValueError
    for others. IPv4 written as IPv6 (`::ffff:192.0.2.7`, in any spelling) is IPv4, and a zone
    (`%eth0`) does not count. Computed by hand: a network made by `ipaddress` takes four times as long.
    """
    if ":" not in address:
        return _ipv4_network(_ipv4_value(address), networks.ipv4_prefix)
    groups = _ipv6_groups(address.partition("%")[0])
    if groups[5] == 0xFFFF and not any(groups[:5]):
        return _ipv4_network(groups[6] << 16 | groups[7], networks.ipv4_prefix)
    return _ipv6_network(groups, networks.ipv6_prefix)


def _ipv4_value(text: str) -> int:
    value = 0
    parts = text.split(".")
    for part in parts:
        number = int(part)
        if not 0 <= number <= 255:
            raise ValueError(f"no IPv4 address: {text!r}")
        value = value << 8 | number
    if len(parts) != 4:
        raise ValueError(f"no IPv4 address: {text!r}")
    return value


def _ipv6_groups(text: str) -> list[int]:
    """The eight groups of an IPv6 address; its last two may be written as IPv4."""
    head, shortened, tail = text.partition("::")
    front, back = _groups(head), _groups(tail)
    missing = 8 - len(front) - len(back)
    if missing < 0 or (missing > 0) != bool(shortened):
        raise ValueError(f"no IPv6 address: {text!r}")
    return front + [0] * missing + back


def _groups(text: str) -> list[int]:
    if not text:
        return []
    parts = text.split(":")
    last = parts[-1]
    if "." in last:
        value = _ipv4_value(last)
        return [*_hexadecimal(parts[:-1]), value >> 16, value & 0xFFFF]
    return _hexadecimal(parts)


def _hexadecimal(parts: list[str]) -> list[int]:
    groups = [int(part, 16) for part in parts]
    for group in groups:
        if not 0 <= group <= 0xFFFF:
            raise ValueError(f"no group of an IPv6 address: {group:x}")
    return groups


def _ipv4_network(value: int, prefix: int) -> str:
    shift = 32 - prefix
    first = value >> shift << shift
    return f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}/{prefix}"


def _ipv6_network(groups: list[int], prefix: int) -> str:
    whole, bits = divmod(prefix, 16)
    named = [f"{group:x}" for group in groups[:whole]]
    if bits:
        shift = 16 - bits
        named.append(f"{groups[whole] >> shift << shift:x}")
    end = "" if len(named) == 8 else "::"
    return f"{':'.join(named)}{end}/{prefix}"
