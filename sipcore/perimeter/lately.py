"""How much of what came lately is whose: a count by key over a sliding time."""

from __future__ import annotations

from collections import deque

Key = int | str | tuple[int, str]
"""A line, a network, or a network at a line."""


class Lately:
    """What was counted in the last `seconds`, in all and by line, network and both."""

    __slots__ = ("_counts", "_entries", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._counts: dict[Key, int] = {}
        self._entries: deque[tuple[float, int, str]] = deque()
        """(until, line id, network), the oldest first."""

    def __len__(self) -> int:
        return len(self._entries)

    def forget(self, now: float) -> None:
        """Let go of what is too long ago."""
        entries = self._entries
        while entries and entries[0][0] <= now:
            _, line_id, network = entries.popleft()
            for key in (line_id, network, (line_id, network)):
                count_down(self._counts, key)

    def count(self, line_id: int, network: str, now: float) -> None:
        """One more, now."""
        self._entries.append((now + self._seconds, line_id, network))
        counts = self._counts
        for key in (line_id, network, (line_id, network)):
            counts[key] = counts.get(key, 0) + 1

    def of(self, key: Key) -> int:
        """How many there are of a line, a network, or a network at a line."""
        return self._counts.get(key, 0)


def count_down(counts: dict[Key, int], key: Key) -> None:
    """One less, and none forgotten."""
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]


__all__ = ["Key", "Lately", "count_down"]
