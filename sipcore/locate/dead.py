"""Servers that did not answer, and those that asked to be left alone, for a while.

Without it every request to a domain whose first server is down would wait for that server's time-out,
and none but an INVITE can (RFC 4321 §1.4). After a time of silence the next use of the server has
it probed in the background; any answer takes it up again.
"""

from __future__ import annotations

from typing import Final

from sipcore.locate.destination import Candidate
from sipcore.locate.limits import MAX_DEAD, MAX_RETRY_AFTER_S, PROBE_AFTER_S, SILENT_S

NEVER: Final = float("inf")

Key = tuple[str, str, int]


class _Dead:
    __slots__ = ("probe_at", "silent", "until")

    def __init__(self, until: float, probe_at: float, silent: bool) -> None:
        self.until = until
        self.probe_at = probe_at
        self.silent = silent


class DeadServers:
    """Which servers are passed over now. Bounded: the longest dead are forgotten first."""

    def __init__(self, most: int = MAX_DEAD) -> None:
        self._most = most
        self._dead: dict[Key, _Dead] = {}

    def __len__(self) -> int:
        return len(self._dead)

    def __bool__(self) -> bool:
        return bool(self._dead)

    def silent(self, server: Candidate, now: float) -> None:
        """It gave no answer at all, or could not be sent to."""
        self._add(server, _Dead(now + SILENT_S, now + PROBE_AFTER_S, silent=True))

    def asked_for_rest(self, server: Candidate, seconds: float, now: float) -> None:
        """It answered 503 with a Retry-After (RFC 3261 §21.5.4)."""
        if seconds > 0:
            until = now + min(seconds, MAX_RETRY_AFTER_S)
            self._add(server, _Dead(until, NEVER, silent=False))

    def answered(self, server: Candidate) -> None:
        """It is there."""
        self._dead.pop(server[:3], None)

    def is_out(self, server: Candidate, now: float) -> bool:
        """Whether to pass over it."""
        dead = self._dead.get(server[:3])
        if dead is None:
            return False
        if dead.until <= now:
            del self._dead[server[:3]]
            return False
        return True

    def is_silent(self, server: Candidate) -> bool:
        """Whether it is out for its silence: it may be tried where there is nothing else."""
        dead = self._dead.get(server[:3])
        return dead is not None and dead.silent

    def wants_probe(self, server: Candidate, now: float) -> bool:
        """Whether to probe it now; says so once, until the probe's outcome is told."""
        dead = self._dead.get(server[:3])
        if dead is None or dead.probe_at > now:
            return False
        dead.probe_at = NEVER
        dead.until = max(dead.until, now + PROBE_AFTER_S)
        return True

    def _add(self, server: Candidate, dead: _Dead) -> None:
        key = server[:3]
        self._dead.pop(key, None)
        if len(self._dead) >= self._most:
            del self._dead[next(iter(self._dead))]
        self._dead[key] = dead
