"""Private networks into which the SIP server may open connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipcore.directory import OpenNetworks
from voip_portal.directory.loader import Row, SmallTable
from voip_portal.directory.watched import Watched
from voip_portal.directory.words import network


class NetworksLoader(SmallTable[OpenNetworks]):
    """Reads `OpenNetworks`."""

    name = "networks"
    kind = OpenNetworks
    tables = (Watched("peers_opennetwork", ("id", "network")),)

    def row(self, values: Row) -> str:
        return network(values[0])

    def rows_of(self, part: OpenNetworks) -> Iterator[list[Any]]:
        return ([network] for network in sorted(part.networks))

    def part_of(self, rows: Iterable[list[Any]]) -> OpenNetworks:
        return OpenNetworks(network for [network] in rows)


LOADER = NetworksLoader()
