"""The domain below which the DNS is asked for telephone numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipcore.directory import NumberLookup
from voip_portal.directory.loader import Row, SmallTable
from voip_portal.directory.watched import Watched
from voip_portal.directory.words import enum_domain


class NumberLookupLoader(SmallTable[NumberLookup]):
    """Reads `NumberLookup`."""

    name = "number_lookup"
    kind = NumberLookup
    tables = (Watched("peers_numberlookup", ("id", "suffix")),)

    def row(self, values: Row) -> str:
        return enum_domain(values[0])

    def rows_of(self, part: NumberLookup) -> Iterator[list[Any]]:
        return iter([[part.suffix]] if part.suffix else [])

    def part_of(self, rows: Iterable[list[Any]]) -> NumberLookup:
        return NumberLookup(suffix for [suffix] in rows)


LOADER = NumberLookupLoader()
