"""Private networks that an account may have us send to, besides what is everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from sipcore.directory.part import Delta, Part


class OpenNetworks(Part[str, str]):
    """Networks as `sipcore.transport.reach` takes them: `10.1.0.0/16`."""

    __slots__ = ("networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self.networks: frozenset[str] = frozenset(networks)

    def changed(self, delta: Delta[str, str]) -> OpenNetworks:
        return OpenNetworks(self.networks.difference(delta.removed).union(delta.put))

    def includes(self, address: str) -> bool:
        """Whether an IP address is in one of them."""
        wanted = ip_address(address)
        return any(wanted in ip_network(network) for network in self.networks)


__all__ = ["OpenNetworks"]
