"""The keeper: a thread that keeps the node's directory at the database's latest version.

It is woken by commits, builds the new directory off the event loop, hands it over, and writes back
which version is in force. When the database is away, or what it says does not validate, the last
good directory stays and the reason is reported.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sipcore.directory import Account, Directory
from voip_portal.bridge.database import Database
from voip_portal.bridge.directory_loader import BadDirectory, Delta, catch_up, latest_version
from voip_portal.bridge.pace import LOOK_EVERY, Pace
from voip_portal.bridge.wake import waker_for
from voip_portal.faults import first_line, in_a_sentence

log = logging.getLogger("voip_portal.keeper")

HEARTBEAT_S = 5.0
RETRY_S = 1.0

OnDirectory = Callable[[Delta], None]
Figures = Callable[[], dict[str, Any]]

_HEARTBEAT = (
    "INSERT INTO nodes_node (name, started_at, heartbeat_at, directory_version, refused_version,"
    " refused_why, calls_now, registrations, counts, listeners, address,"
    " own_authority, spool_backlog)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
    " ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at,"
    " heartbeat_at = excluded.heartbeat_at, directory_version = excluded.directory_version,"
    " refused_version = excluded.refused_version, refused_why = excluded.refused_why,"
    " calls_now = excluded.calls_now, registrations = excluded.registrations,"
    " counts = excluded.counts, listeners = excluded.listeners,"
    " address = excluded.address, own_authority = excluded.own_authority"
)


class Keeper(threading.Thread):
    """Calls `on_directory` with what is newer, from its own thread."""

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
        self._waker = waker_for(settings, self._database)
        self._node = node
        self._directory = directory
        self._on_directory = on_directory
        self._figures = figures
        self._stop_wanted = threading.Event()
        self._started_at = datetime.now(UTC)
        self._heartbeat_due = 0.0
        self._refused: tuple[int | None, str] = (None, "")
        self._away = False
        self._replaced: list[Account] = []
        """Accounts of directories before, so that they are not freed by the loop, all at once."""

    def stop(self) -> None:
        """End the thread after its present step."""
        self._stop_wanted.set()

    def run(self) -> None:
        while not self._stop_wanted.is_set():
            try:
                if self._waker.wait(self._stop_wanted):
                    self.look()
                if time.monotonic() >= self._heartbeat_due:
                    self._heartbeat()
                    self._let_go()
                self._is_back()
            except self._database.errors as error:
                self._is_away(error)
            except Exception:  # the thread must outlive what nobody thought of
                log.exception("looking for a newer directory failed")
                self._stop_wanted.wait(RETRY_S)
        self._waker.close()
        self._database.close()

    def look(self) -> None:
        """Put the latest version in force, if it is newer and makes sense."""
        latest = latest_version(self._database)
        if latest in {self._directory.version, self._refused[0]}:
            return
        try:
            delta = catch_up(self._database, self._directory)
        except BadDirectory as error:
            self._refuse(latest, str(error))
            return
        if delta is not None:
            replaced = map(self._directory.account, delta.changed)
            self._replaced += [account for account in replaced if account is not None]
            self._directory = delta.directory
            self._on_directory(delta)
            self._refused = (None, "")
            self._heartbeat()

    def _let_go(self) -> None:
        """Free what was replaced; the loop has done with it for seconds."""
        pace = Pace()
        while self._replaced:
            del self._replaced[-LOOK_EVERY:]
            pace()

    def _refuse(self, version: int, why: str) -> None:
        log.error("version %d of the directory is refused: %s", version, why)
        self._refused = (version, why)
        self._heartbeat()

    def _is_away(self, error: Exception) -> None:
        if not self._away:
            why = in_a_sentence(error) or first_line(error)
            log.warning("directory %d stays in force: %s", self._directory.version, why)
        self._away = True
        self._waker.close()
        self._database.close()
        self._stop_wanted.wait(RETRY_S)

    def _is_back(self) -> None:
        if self._away:
            version = self._directory.version
            log.warning("the database is back, directory %d is in force", version)
        self._away = False

    def _heartbeat(self) -> None:
        """Say that we live, and what is in force."""
        self._heartbeat_due = time.monotonic() + HEARTBEAT_S
        figures = self._figures()
        values = (
            self._node,
            self._moment(self._started_at),
            self._moment(datetime.now(UTC)),
            self._directory.version,
            *self._refused,
            figures["calls_now"],
            figures["registrations"],
            json.dumps(figures["counts"]),
            json.dumps(figures["listeners"]),
            figures["address"],
            figures["own_authority"],
        )
        self._database.execute(_HEARTBEAT, values)

    def _moment(self, moment: datetime) -> Any:
        """A time as Django keeps it."""
        if self._database.is_postgresql:
            return moment
        return moment.replace(tzinfo=None).isoformat(" ")
