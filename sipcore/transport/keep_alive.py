"""Which UDP flows are due for a keep-alive of ours: those behind a NAT whose phone sends none.

A NAT forgets a flow by which nothing passes for some 30 s (RFC 5626 §4.4.2 has phones send every 24
to 29). Each flow has one entry in a queue that is in order of time, since all wait equally long. So
a look at it costs what is due and no more, and a refresh of a registration costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sipcore.transport.flow import Flow
from sipcore.transport.limits import MAX_FLOWS, MAX_LINES, MOST_AT_ONCE


class KeepAlives:
    """Flows with the accounts that registered by each, and when each is due."""

    __slots__ = ("_heard", "_lines", "_queue", "interval_s")

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._lines: dict[Flow, tuple[int, ...]] = {}
        self._heard: dict[Flow, float] = {}
        """When a phone last kept its flow open itself."""
        self._queue: deque[tuple[float, Flow]] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, flow: Flow, line_id: int, now: float) -> None:
        """Keep this flow open for as long as that account has a binding that needs it."""
        known = self._lines.get(flow)
        if known is None:
            if len(self._lines) >= MAX_FLOWS or not self.interval_s:
                return
            self._queue.append((now + self.interval_s, flow))
            self._lines[flow] = (line_id,)
        elif line_id not in known:
            self._lines[flow] = (*known[1 - MAX_LINES :], line_id)

    def heard(self, flow: Flow, now: float) -> None:
        """A keep-alive of the phone came by this flow: it needs none of ours."""
        if flow in self._lines:
            self._heard[flow] = now

    def is_alive(self, flow: Flow, now: float) -> bool:
        """Whether a keep-alive of the phone came by this flow within two intervals."""
        heard = self._heard.get(flow)
        return heard is not None and now - heard <= 2 * self.interval_s

    def due(self, now: float, is_needed: Callable[[int, Flow], bool]) -> list[Flow]:
        """The flows to send by now. `is_needed(line_id, flow)`: whether a binding has it still."""
        found: list[Flow] = []
        queue = self._queue
        while queue and queue[0][0] <= now and len(found) < MOST_AT_ONCE:
            _, flow = queue.popleft()
            if not any(is_needed(line_id, flow) for line_id in self._lines[flow]):
                del self._lines[flow]
                self._heard.pop(flow, None)
                continue
            # Phones send a little later than we would, and may lose one.
            if not self.is_alive(flow, now):
                found.append(flow)
            queue.append((now + self.interval_s, flow))
        return found
