"""Domains of other registrars that the SIP server is the edge proxy of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipcore.directory import Edges
from voip_portal.directory.loader import BadDirectory, Reader, Row, SmallTable
from voip_portal.directory.watched import Watched
from voip_portal.directory.words import edge


class EdgesLoader(SmallTable[Edges]):
    """Reads `Edges`. A domain of our own has no other registrar."""

    name = "edges"
    kind = Edges
    tables = (Watched("peers_edge", ("id", "domain", "registrar")),)

    def row(self, values: Row) -> tuple[str, str]:
        return edge(*values)

    def rows(self, read: Reader) -> list[Any]:
        rows = super().rows(read)
        own = {name for (name,) in read.query("SELECT name FROM numbers_domain")} if rows else set()
        for domain, _ in rows:
            if domain in own:
                raise BadDirectory(f"peers_edge: {domain} is a domain of our own")
        return rows

    def rows_of(self, part: Edges) -> Iterator[list[Any]]:
        return ([domain, registrar] for domain, registrar in sorted(part.hops.items()))

    def part_of(self, rows: Iterable[list[Any]]) -> Edges:
        return Edges((domain, registrar) for domain, registrar in rows)


LOADER = EdgesLoader()
