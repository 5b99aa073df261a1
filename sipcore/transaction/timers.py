"""Timer values (RFC 3261 Table 4, RFC 6026, RFC 4320) and one heap for all of a worker's timers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, heapreplace
from typing import Any, Final

NEVER: Final = float("inf")


@dataclass(slots=True, frozen=True)
class Waits:
    """How long a transaction waits, in seconds, on one kind of transport."""

    first_resend: float
    """Timers A, E and G start with this and double; NEVER where the transport repeats by itself."""
    t2: float
    """Where E and G stop doubling."""
    timeout: float
    """Timers B, F, H, L and M."""
    d: float
    i: float
    j: float
    k: float
    invite_trying: float
    """An INVITE unanswered for so long gets a 100."""
    other_trying: float
    """The same for the other methods; over UDP no 100 may be sent before (RFC 4320 §4.1)."""
    abandon: float
    """A request unanswered for so long has no client any more: timer F, and what the network may
    hold back of its last retransmission."""


@dataclass(slots=True, frozen=True)
class Timers:
    """The base timers in seconds; all others follow from them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying_s: float = 0.15
    """An INVITE that nothing has answered by then gets a 100 (§17.2.1 asks for 200 ms)."""
    least_d_s: float = 32.0
    """Timer D is never shorter (§17.1.1.2)."""
    unreliable: Waits = field(init=False, repr=False, compare=False)
    reliable: Waits = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        timeout = 64 * self.t1
        unreliable = Waits(
            first_resend=self.t1,
            t2=self.t2,
            timeout=timeout,
            d=max(timeout, self.least_d_s),
            i=self.t4,
            j=timeout,
            k=self.t4,
            invite_trying=self.trying_s,
            other_trying=self._until_e_is_t2(),
            abandon=timeout + self.t4,
        )
        reliable = replace(unreliable, first_resend=NEVER, d=0.0, i=0.0, j=0.0, k=0.0)
        object.__setattr__(self, "unreliable", unreliable)
        object.__setattr__(self, "reliable", reliable)

    def _until_e_is_t2(self) -> float:
        """When a client's timer E, doubling, is set to T2: 3.5 s by default (RFC 4320 §4.1)."""
        interval, total = self.t1, 0.0
        while interval < self.t2:
            total += interval
            interval *= 2
        return total


REBUILD_FROM: Final = 1024
"""Fewer entries are not worth looking through."""
LANES: Final = 6
"""Nearly all deadlines are now and one of a few waits (T1, T4, 64*T1, timer C …)."""


NO_LANE: Final = -1


class TimerHeap:
    """Deadlines with keys; whatever is waited for in one worker can share one.

    Those of one wait come in the order of their deadlines. So nearly all stand in a few lanes, each
    in order by itself, and the heap holds the first of each lane and what fits none: it stays small
    however many wait.

    Cancelling is lazy: the entry stays in its place as three numbers, and what it was for is let go
    at once. When most entries are cancelled all are looked through, so they stay in proportion.
    """

    __slots__ = ("_entries", "_heap", "_keys", "_lanes", "_rebuild_from", "_tails", "_token")

    def __init__(self, rebuild_from: int = REBUILD_FROM) -> None:
        self._rebuild_from = rebuild_from
        self._heap: list[tuple[float, int, int]] = []
        """(deadline, token, lane that the next one comes from)."""
        self._lanes: list[deque[tuple[float, int, int]]] = [deque() for _ in range(LANES)]
        """What follows the first of each lane."""
        self._tails = [-NEVER] * LANES
        """The deadline of each lane's last; `-NEVER` where the lane has not even a first."""
        self._entries = 0
        self._keys: dict[int, Any] = {}
        self._token = 0

    def __len__(self) -> int:
        """How many deadlines are ahead; cancelled ones do not count."""
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<TimerHeap {len(self._keys)} of {self._entries} next={self.next_deadline()}>"

    def schedule(self, deadline: float, key: Any) -> int:
        """Have `pop_due` give `key` back at `deadline`; the token returned is for `cancel`."""
        token = self._token = self._token + 1
        self._keys[token] = key
        self._insert(deadline, token)
        return token

    def _insert(self, deadline: float, token: int) -> None:
        self._entries += 1
        # The lane that it follows most closely, so that others stay open to shorter waits.
        best, nearest = NO_LANE, -NEVER
        for lane, tail in enumerate(self._tails):
            if nearest <= tail <= deadline:
                best, nearest = lane, tail
        if best == NO_LANE:
            heappush(self._heap, (deadline, token, NO_LANE))
            return
        self._tails[best] = deadline
        if nearest == -NEVER:
            heappush(self._heap, (deadline, token, best))
        else:
            self._lanes[best].append((deadline, token, best))

    def cancel(self, token: int) -> None:
        """Forget a deadline; one that has passed or was cancelled before is no mistake."""
        self._keys.pop(token, None)
        if self._entries >= self._rebuild_from and self._entries > 4 * len(self._keys):
            self._forget_cancelled()

    def _forget_cancelled(self) -> None:
        keys = self._keys
        waiting = [entry for entry in self._heap if entry[1] in keys]
        for lane in self._lanes:
            waiting += [entry for entry in lane if entry[1] in keys]
            lane.clear()
        self._heap.clear()
        self._tails[:] = [-NEVER] * LANES
        self._entries = 0
        for deadline, token, _ in sorted(waiting):
            self._insert(deadline, token)

    def pop_due(self, now: float) -> Iterator[Any]:
        """The keys whose deadline has come, earliest first, those of the same time in order.

        Deadlines may be added and cancelled while this goes on.
        """
        heap, keys = self._heap, self._keys
        while heap and heap[0][0] <= now:
            token = self._pop()
            if token in keys:
                yield keys.pop(token)

    def next_deadline(self) -> float | None:
        """The earliest deadline, None when nothing is waited for."""
        heap, keys = self._heap, self._keys
        while heap and heap[0][1] not in keys:
            self._pop()
        return heap[0][0] if heap else None

    def _pop(self) -> int:
        """Take the first entry out, and let the next of its lane come first; its token."""
        _, token, lane = self._heap[0]
        self._entries -= 1
        if lane != NO_LANE and self._lanes[lane]:
            heapreplace(self._heap, self._lanes[lane].popleft())
        else:
            heappop(self._heap)
            if lane != NO_LANE:
                self._tails[lane] = -NEVER
        return token
