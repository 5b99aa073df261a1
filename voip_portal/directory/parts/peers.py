"""Trusted peers: PBXs and gateways that are believed who calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipcore.directory import TrustedPeers
from voip_portal.directory.loader import Row, SmallTable
from voip_portal.directory.watched import Watched
from voip_portal.directory.words import peer_domain


class PeersLoader(SmallTable[TrustedPeers]):
    """Reads `TrustedPeers`."""

    name = "peers"
    kind = TrustedPeers
    tables = (Watched("peers_trustedpeer", ("id", "domain")),)

    def row(self, values: Row) -> str:
        return peer_domain(values[0])

    def rows_of(self, part: TrustedPeers) -> Iterator[list[Any]]:
        return ([domain] for domain in sorted(part.domains))

    def part_of(self, rows: Iterable[list[Any]]) -> TrustedPeers:
        return TrustedPeers(domain for [domain] in rows)


LOADER = PeersLoader()
