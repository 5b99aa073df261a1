"""Networks into which connections may be opened, besides what is everybody's."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.directory.part import Delta, Part


class OpenNetworks(Part[str, str]):
    """Networks as `sipcore.transport.reach` takes them: `10.1.0.0/16`."""

    __slots__ = ("networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self.networks: frozenset[str] = frozenset(networks)

    def changed(self, delta: Delta[str, str]) -> OpenNetworks:
        return OpenNetworks(self.networks.difference(delta.removed).union(delta.put))


__all__ = ["OpenNetworks"]
