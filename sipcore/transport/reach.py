"""Where no connection is opened to: what is not everybody's.

Whom we send to is named by whoever calls: in a Request-URI, a Path, a contact, the DNS of his domain.
What he names may be a server of our own house that trusts its neighbours, such as a cache without a
password; and what is in a message may be commands to it. So a connection is opened to addresses
that are everybody's, and to networks that the operator has named. Whoever opened a connection to us
is reached by that one, wherever he is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from sipcore.transport.flow import Address, Flow


class Reach:
    """Which connections may be opened."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """`networks` such as `10.0.0.0/8`, besides what is everybody's; ValueError for others."""
        self._networks = tuple([ip_network(text) for text in networks])

    def includes(self, flow: Flow) -> bool:
        """Whether a connection may be opened to where this flow leads."""
        remote = _plain(ip_address(flow.remote[0]))
        if remote.is_loopback:
            # Who listens on the loopback alone is there for this machine alone.
            return ip_address(flow.local[0]).is_loopback
        if flow.remote[0] == flow.local[0]:
            return flow.remote == flow.local  # what else listens here may be closed to outsiders
        if remote.is_global and not remote.is_multicast and not _is_site_local(remote):
            return True
        return any(remote in network for network in self._networks)

    def may_keep(self, flow: Flow, own: Address) -> bool:
        """Whether the connection opened for this flow may be used; `own` is its own end.

        What `includes` cannot see under a wildcard address shows here: it leads to this machine.
        """
        remote = _plain(ip_address(flow.remote[0]))
        if remote.is_loopback or remote != _plain(ip_address(own[0])):
            return True
        return flow.remote[1] == flow.local[1]


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether an address of ours is there for this machine alone."""
    return ip_address(host).is_loopback


@lru_cache(maxsize=4096)
def leads_nowhere(host: str, port: int, is_loopback_ours: bool) -> bool:
    """Whether nothing may ever be sent to this address, by datagrams neither.

    Multicast, broadcast, unspecified and reserved ones, port 0, and the loopback unless we listen
    there alone: whoever names them in a Contact or in the DNS would have us speak to many, or to
    what trusts its own machine.
    """
    address = _plain(ip_address(host))
    if address.is_loopback:
        return not is_loopback_ours or port == 0
    return port == 0 or address.is_multicast or address.is_unspecified or address.is_reserved


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv6Address) and not address.is_loopback:
        if any(address in network for network in _WITH_IPV4_LAST):
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.sixtofour or address
    return address


def _is_site_local(address: IPv4Address | IPv6Address) -> bool:
    """fec0::/10, which RFC 3879 has given up, and some still use."""
    return isinstance(address, IPv6Address) and address.is_site_local


_WITH_IPV4_LAST = (
    IPv6Network("::/96"),  # RFC 4291 §2.5.5.1
    IPv6Network("::ffff:0:0/96"),  # RFC 4291 §2.5.5.2
    IPv6Network("::ffff:0:0:0/96"),  # SIIT (RFC 7915)
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052)
)
