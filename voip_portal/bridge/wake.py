"""How the keeper learns that something was committed.

SQLite: a pragma that costs microseconds, asked five times a second. PostgreSQL: NOTIFY on a
connection of its own, and a look every second for what no notification told.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from voip_portal.bridge.database import Database

CHANNEL = "voip_changes"
POLL_S = 0.2
NOTIFY_TIMEOUT_S = 1.0


class Waker(Protocol):
    """Waits until it is time to look for a newer version."""

    def wait(self, stop: threading.Event) -> bool:
        """Whether it is worth looking; at the latest after a second, at once when stopped."""

    def close(self) -> None:
        """Release what it holds; the next `wait` starts afresh."""


class DataVersionWaker:
    """SQLite: `PRAGMA data_version` moves with every commit of another connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: Any = None

    def wait(self, stop: threading.Event) -> bool:
        if stop.wait(POLL_S):
            return False
        seen = self._database.query("PRAGMA data_version")
        changed = bool(seen != self._seen)
        self._seen = seen
        return changed

    def close(self) -> None:
        self._seen = None


class NotifyWaker:
    """PostgreSQL: LISTEN, and a poll where that does not get through (a pooling proxy)."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._database = Database(settings)
        self._listening = False

    def wait(self, stop: threading.Event) -> bool:
        if stop.is_set():
            return False
        if not self._listening:
            self._database.execute(f"LISTEN {CHANNEL}")
            self._listening = True
            return True  # what was committed before is not notified any more
        for _ in self._database.connect().notifies(timeout=NOTIFY_TIMEOUT_S, stop_after=1):
            pass
        return True

    def close(self) -> None:
        self._listening = False
        self._database.close()


def waker_for(settings: dict[str, Any], database: Database) -> Waker:
    """The way that this database allows."""
    return NotifyWaker(settings) if database.is_postgresql else DataVersionWaker(database)
