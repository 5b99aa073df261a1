"""When the office is open, by day of the week."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time

from sipcore.directory.part import Delta, Part

Day = tuple[int, time, time]
"""Day of the week (0 is Monday), opening and closing in local time."""


class OpeningHours(Part[int, Day]):
    """One row a day; on a day without one the office is closed."""

    __slots__ = ("days",)

    def __init__(self, days: Iterable[Day] = ()) -> None:
        self.days: dict[int, Day] = {day[0]: day for day in days}

    def __bool__(self) -> bool:
        """Whether anybody has said when the office is open."""
        return bool(self.days)

    def are_open(self, local: datetime) -> bool:
        """Whether the office is open at this local time."""
        day = self.days.get(local.weekday())
        return day is not None and day[1] <= local.time() < day[2]

    def changed(self, delta: Delta[int, Day]) -> OpeningHours:
        removed = frozenset(delta.removed)
        kept = [day for day in self.days.values() if day[0] not in removed]
        return OpeningHours([*kept, *delta.put])


__all__ = ["OpeningHours"]
