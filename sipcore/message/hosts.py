"""Hosts compared: an address has many spellings and means one thing (RFC 5954 §4.2, RFC 5952)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address


@lru_cache(maxsize=4096)
def _canonical_address(host: str) -> str:
    bare = host.strip("[]").partition("%")[0]
    try:
        address = IPv6Address(bare)
    except ValueError:
        return host
    return str(address.ipv4_mapped or address)


def canonical_host(host: str) -> str:
    """A host in the one spelling that is compared: IPv6 as RFC 5952 has it, without brackets or zone.

    An IPv4 address in IPv6 clothes is that IPv4 address. Names come back as they are.
    """
    return _canonical_address(host) if ":" in host else host


def same_host(one: str, other: str) -> bool:
    """Whether two hosts are one, however they are spelled."""
    return one == other or canonical_host(one) == canonical_host(other)


__all__ = ["canonical_host", "same_host"]
