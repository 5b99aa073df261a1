"""When restarting does not help: Erlang/OTP's restart intensity."""

from __future__ import annotations

from collections import deque


class RestartIntensity:
    """Counts the starts of one process that failed; more than `limit` in `window_s` is too much.

    A death after the process had become ready does not count: it is started again for ever.
    """

    def __init__(self, limit: int = 10, window_s: float = 60.0) -> None:
        self._limit = limit
        self._window_s = window_s
        self._failures: deque[float] = deque()

    def failed(self, now: float) -> bool:
        """Note a failed start at monotonic time `now`; True when there were too many."""
        self._failures.append(now)
        while self._failures[0] <= now - self._window_s:
            self._failures.popleft()
        return len(self._failures) > self._limit

    def succeeded(self) -> None:
        """The process became ready."""
        self._failures.clear()
