"""The keeper: a thread that keeps the node's directory at the database's latest version.

It looks for changes several times a second, builds the new directory off the event loop, hands it
over, and writes back which version is in force. When the database is away, or what it says does
not validate, the last good directory stays and the reason is reported.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sipcore.directory import Account, Directory
from voip_portal.bridge.database import Database
from voip_portal.bridge.directory_loader import BadDirectory, load_directory

log = logging.getLogger("voip_portal.keeper")

POLL_S = 0.2
HEARTBEAT_S = 5.0

OnDirectory = Callable[[Directory, Sequence[int] | None], None]
Figures = Callable[[], dict[str, int]]


class Keeper(threading.Thread):
    """Calls `on_directory(directory, changed account ids)` from its own thread."""

    def __init__(
        self,
        settings: dict[str, Any],
        node: str,
        directory: Directory,
        on_directory: OnDirectory,
        figures: Figures,
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._database = Database(settings)
        self._node = node
        self._directory = directory
        self._on_directory = on_directory
        self._figures = figures
        self._stop_wanted = threading.Event()
        self._seen: Any = None
        self._heartbeat_due = 0.0
        self._refused = ""

    def stop(self) -> None:
        """End the thread after its present step."""
        self._stop_wanted.set()

    def run(self) -> None:
        while not self._stop_wanted.wait(POLL_S):
            try:
                self._look()
            except self._database.errors as error:
                log.warning("database: %s", error)
                self._database.close()
                self._stop_wanted.wait(1.0)
            except BadDirectory as error:
                self._refuse(str(error))
        self._database.close()

    def _look(self) -> None:
        if self._changed():
            self._rebuild()
        if time.monotonic() >= self._heartbeat_due:
            self._heartbeat()

    def _changed(self) -> bool:
        """Whether anything was committed since the last look (cheap on SQLite: one pragma)."""
        if self._database.is_postgresql:
            seen = self._database.query("SELECT COALESCE(MAX(version), 0) FROM changes_change")
        else:
            seen = self._database.query("PRAGMA data_version")
        changed = bool(seen != self._seen)
        self._seen = seen
        return changed

    def _rebuild(self) -> None:
        new = load_directory(self._database)
        changed = changed_accounts(self._directory, new)
        same_shape = new.domains == self._directory.domains
        addresses = new.addresses_differ(self._directory)
        if not changed and same_shape and not addresses:
            return
        self._directory = new
        self._on_directory(new, changed)
        self._refused = ""
        self._heartbeat()

    def _refuse(self, why: str) -> None:
        if why != self._refused:
            log.error("directory refused: %s", why)
            self._refused = why
            self._heartbeat()

    def _heartbeat(self) -> None:
        """Say that we live, and what is in force."""
        self._heartbeat_due = time.monotonic() + HEARTBEAT_S
        now = datetime.now(UTC).replace(tzinfo=None if not self._database.is_postgresql else UTC)
        moment: Any = now if self._database.is_postgresql else now.isoformat(" ")
        figures = self._figures()
        self._database.execute(
            "INSERT INTO nodes_node (name, started_at, heartbeat_at, directory_version,"
            " refused_why, calls_now, registrations, spool_backlog)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
            " ON CONFLICT (name) DO UPDATE SET heartbeat_at = excluded.heartbeat_at,"
            " directory_version = excluded.directory_version, refused_why = excluded.refused_why,"
            " calls_now = excluded.calls_now, registrations = excluded.registrations",
            (
                self._node,
                moment,
                moment,
                self._directory.version,
                self._refused,
                figures["calls_now"],
                figures["registrations"],
            ),
        )


def changed_accounts(old: Directory, new: Directory) -> list[int]:
    """Ids of the accounts that are not the same in both."""
    before: dict[int, Account] = {a.id: a for a in old.accounts()}
    changed = [a.id for a in new.accounts() if before.pop(a.id, None) != a]
    return [*changed, *before]
