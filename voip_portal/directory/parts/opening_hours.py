"""When the office is open: for services that send its calls elsewhere at other times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import time
from typing import Any

from sipcore.directory.opening_hours import Day, OpeningHours
from voip_portal.directory.loader import Row, SmallTable
from voip_portal.directory.watched import Watched


class OpeningHoursLoader(SmallTable[OpeningHours]):
    """Reads `OpeningHours`."""

    name = "opening_hours"
    kind = OpeningHours
    tables = (Watched("hours_openinghours", ("id", "weekday", "opens", "closes")),)

    def row(self, values: Row) -> Day:
        weekday, opens, closes = int(values[0]), *map(_time, values[1:])
        if weekday not in range(7) or opens >= closes:
            raise ValueError(f"day {weekday} from {opens} to {closes}: write 0 (Monday) from 08:00")
        return weekday, opens, closes

    def rows_of(self, part: OpeningHours) -> Iterator[list[Any]]:
        return ([d, str(opens), str(closes)] for d, opens, closes in sorted(part.days.values()))

    def part_of(self, rows: Iterable[list[Any]]) -> OpeningHours:
        return OpeningHours(map(self.row, map(tuple, rows)))


def _time(value: Any) -> time:
    """A time of the day: text from SQLite and in `changes` rows, already read by psycopg."""
    return value if isinstance(value, time) else time.fromisoformat(value)


LOADER = OpeningHoursLoader()
