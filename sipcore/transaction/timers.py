"""Timer values (RFC 3261 Table 4, RFC 6026) and one heap for all of a worker's timers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(slots=True, frozen=True)
class Timers:
    """The base timers in seconds; the others follow from them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying_s: float = 0.15
    """An INVITE that nothing has answered by then gets a 100 (§17.2.1 asks for 200 ms)."""

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L, M and D."""
        return 64 * self.t1


class TimerHeap:
    """Deadlines with keys. Cancelling is lazy: the owner of a key ignores what it outlived.

    An entry keeps only its key, so a long timer does not keep what it was for alive.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, object]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, deadline: float, key: int) -> None:
        """Give `key` back at `deadline`."""
        heappush(self._heap, (deadline, key))

    def pop_due(self, now: float) -> Iterator[int]:
        """The keys whose deadline has come, earliest first."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            yield heappop(heap)[1]  # type: ignore[misc]

    def next_deadline(self) -> float | None:
        """The earliest deadline, perhaps of a key that needs it no more."""
        return self._heap[0][0] if self._heap else None
