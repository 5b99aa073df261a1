"""Which connections have to go: those that are too slow, and the slowest of a source that has too many.

Nobody is refused: a new connection takes the place of the one of the same source that has waited
longest without a whole request. So a thousand slow senders keep out each other, and a browser beside
them, even behind the same address, is answered: its request is whole in milliseconds. No I/O here;
times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Protocol

from voip_portal.web.limits import WebLimits
from voip_portal.web.sources import most_common


class Doing(IntEnum):
    """What a connection is at."""

    IDLE = 0
    HEADERS = 1
    BODY = 2
    SENDING = 3
    """Its answer waits for the client to take it."""
    SERVED = 4
    """A thread has its request, or will: that is our own time, and not the client's."""


class Connection(Protocol):
    """What the rules look at."""

    source: str
    """The address that counts, or "" for a proxy's: not counted."""
    neighbours: str
    since: float
    """When it began to wait for what it waits for."""

    @property
    def doing(self) -> Doing: ...

    @property
    def body_bytes(self) -> int:
        """Received of an incomplete body."""

    @property
    def answer_bytes(self) -> int:
        """Of an answer, not taken yet."""

    def close_now(self) -> None: ...


def overdue(connection: Connection, limits: WebLimits, now: float) -> bool:
    """Whether a client has taken too long for the request that it is sending, or not sending."""
    waited = now - connection.since
    match connection.doing:
        case Doing.IDLE:
            return waited > limits.idle_s
        case Doing.HEADERS:
            return waited > limits.header_within_s
        case Doing.BODY:
            earned = connection.body_bytes / limits.body_bytes_per_s
            return waited > limits.body_within_s + earned
        case _:
            return False


def surplus(connections: Collection[Connection], limits: WebLimits) -> Iterator[Connection]:
    """Those to drop until every limit on numbers and sizes holds."""
    left = list(connections)
    while len(left) > limits.connections_per_source:
        crowd = most_common(c.source for c in left if c.source)
        of_crowd = [c for c in left if c.source == crowd]
        if not crowd or len(of_crowd) <= limits.connections_per_source:
            break
        gone = _longest_waiting(of_crowd) or of_crowd[-1]
        left.remove(gone)
        yield gone
    while len(left) > limits.connections:
        crowd = most_common(c.neighbours for c in left)
        gone = _longest_waiting([c for c in left if c.neighbours == crowd]) or left[-1]
        left.remove(gone)
        yield gone
    while sum(c.body_bytes for c in left) > limits.bodies_bytes:
        gone = max(left, key=lambda c: c.body_bytes)
        left.remove(gone)
        yield gone
    while sum(c.answer_bytes for c in left) > limits.answers_bytes:
        gone = max(left, key=lambda c: c.answer_bytes)
        left.remove(gone)
        yield gone


def _longest_waiting(connections: list[Connection]) -> Connection | None:
    """Who waits for a request before who waits for an answer to be taken; None: all are served."""
    waiting = [c for c in connections if c.doing is not Doing.SERVED]
    return min(waiting, key=lambda c: (c.doing is Doing.SENDING, c.since), default=None)
